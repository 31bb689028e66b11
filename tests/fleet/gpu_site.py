"""A site: test machines with a stand-in GPU, package repositories, a model hub, and Ansible."""

from __future__ import annotations

import dataclasses
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from apt_repository import AptRepository
from hub_mirror import HubMirror
from loadfleet_agent.model.tiny_llama import make_tiny_llama
from machines import DEFAULT_STATE, Machine, Machines
from standin import gpus, packages
from standin.debian import Package, build

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
LONG_S = 3600.0
TOKEN = "hf_SecretOfTheTestSite0123456789"
MODEL = "site/tiny-llama"
BASE_IMAGE = "debian-base:trixie"
GPU_HOSTS = ("gpu-1", "gpu-2")
PCI_DEVICES = "/sys/bus/pci/devices"
SHARED = "/mnt/site"
"""A folder of the controller that all GPU hosts mount, as an NFS share."""
NETWORK = "10.78.0"


def ansible_environment() -> dict[str, str]:
    """Of ansible-playbook with this project's settings, and nothing of the user's token."""
    mine = os.environ | {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",  # YAML breaks long lines
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }
    mine.pop("HF_TOKEN", None)
    return mine


@dataclasses.dataclass(frozen=True)
class Played:
    """What a playbook said, and how it ended."""

    returncode: int
    output: str

    def changed(self) -> dict[str, int]:
        """Host to its number of changed tasks, of the recap."""
        recap = self.output.rpartition("PLAY RECAP")[2].splitlines()
        found = {}
        for line in recap:
            if "changed=" in line:
                found[line.split()[0]] = int(line.split("changed=")[1].split()[0])
        return found

    def changed_tasks(self) -> list[str]:
        """The tasks that changed something, for a message."""
        task, found = "", []
        for line in self.output.splitlines():
            if line.startswith(("TASK [", "RUNNING HANDLER [")):
                task = line.split("[", 1)[1].split("]")[0]
            elif line.startswith("changed: ["):
                found.append(f"{task}: {line.split('[')[1].split(']')[0]}")
        return found

    def lines(self, *parts: str) -> list[str]:
        """The lines that hold all of these."""
        return [
            line.strip(' ",')
            for line in self.output.splitlines()
            if all(part in line for part in parts)
        ]


class Site:
    """Machines gpu-1 and gpu-2 (Debian 13, a stand-in A30 each) and plain (Debian 12, no GPU)."""

    def __init__(self, folder: Path, fleet: Machines, machines: dict[str, Machine]) -> None:
        self.folder = folder
        self.fleet = fleet
        self.machines = machines
        self.variables: dict[str, Any] = {}
        self.hub: HubMirror | None = None
        self.check_mode_kept: dict[str, bool] = {}
        """Host to whether check mode left it as it was, while it was bare."""

    def play(
        self,
        playbook: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        **inventory: Any,
    ) -> Played:
        """Runs a playbook of the project as an operator does, over SSH as user ops with sudo.

        ``inventory`` is as in ``write_inventory``.
        """
        folder = self.write_inventory(**inventory)
        process = self._start(playbook, folder, arguments, environment or {})
        output, _ = process.communicate(timeout=LONG_S)
        (self.folder / "last-play.txt").write_text(output)
        return Played(process.returncode, output)

    def play_in_background(
        self, playbook: str, *arguments: str, **inventory: Any
    ) -> subprocess.Popen[str]:
        """The same, while it runs."""
        return self._start(playbook, self.write_inventory(**inventory), arguments, {})

    def write_inventory(
        self,
        *,
        hosts: tuple[str, ...] = GPU_HOSTS,
        groups: Mapping[str, Any] | None = None,
        **variables: Any,
    ) -> Path:
        """Its folder. ``variables`` replace the site's; ``groups`` are further groups."""
        path = self.folder / "inventory" / "hosts.yml"
        self.fleet.write_inventory(
            path, group="gpu_hosts", names=hosts, variables=self.variables | variables
        )
        if groups:
            tree = yaml.safe_load(path.read_text())
            tree["all"]["children"] |= groups
            path.write_text(yaml.safe_dump(tree, sort_keys=False))
        return path.parent

    def _start(
        self,
        playbook: str,
        inventory: Path,
        arguments: tuple[str, ...],
        environment: Mapping[str, str],
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(BIN / "ansible-playbook"), playbook, "-i", str(inventory), *arguments],
            cwd=ROOT,
            env=ansible_environment() | dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def provision(self, *arguments: str, **variables: Any) -> Played:
        return self.play("playbooks/provision.yml", *arguments, **variables)


@contextmanager
def open_site(folder: Path) -> Iterator[Site]:
    """The machines, up and bare; all is taken down at the end, however that comes."""
    fleet = Machines(DEFAULT_STATE / "site", NETWORK, DEFAULT_STATE)
    with ExitStack() as stack:
        stack.callback(fleet.down)
        fleet.down()  # of a session that was killed
        bus = _pci_bus(folder / "pci")
        suites = {"gpu-1": "trixie", "gpu-2": "trixie", "plain": "bookworm"}
        (folder / "shared").mkdir()
        binds = {PCI_DEVICES: bus, SHARED: folder / "shared"}
        machines = fleet.up(suites, binds=dict.fromkeys(GPU_HOSTS, binds))
        site = Site(folder, fleet, machines)
        for name in GPU_HOSTS:
            gpus.write(machines[name].root, gpus.a30(name))
        repository = stack.enter_context(AptRepository(folder / "apt"))
        _fill(repository, folder / "debs")
        url = stack.enter_context(repository.serve(fleet.gateway))
        models = folder / "hub"
        make_tiny_llama(models / MODEL, 0)
        site.hub = stack.enter_context(HubMirror(models, fleet.gateway, token=TOKEN))
        site.variables = _variables(site, repository, url)
        for machine in machines.values():
            _add_distribution(machine, repository, url)
        yield site


def disk_state(machine: Machine) -> str:
    """Packages, what holds them, and the files that provisioning writes with their times."""
    return machine.run(
        "sh",
        "-c",
        "dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\n'; apt-mark showhold; "
        "find /etc /usr/local /var/lib/loadfleet /var/lib/docker -printf '%p %s %T@ %m\n' "
        "2>/dev/null | sort",
        timeout=300,
    ).stdout


def import_base_image(machine: Machine) -> None:
    """The machine's own Debian tree as an image: there is no registry to pull one from."""
    machine.run(
        "sh",
        "-c",
        "tar --create --one-file-system --exclude=./var --exclude=./boot --exclude=./etc/loadfleet "
        "--exclude=./usr/sbin/dockerd --exclude='./usr/bin/*docker*' --exclude='./usr/bin/cont*' "
        "--exclude=./usr/libexec --exclude=./usr/share/locale --directory=/ . "
        f"| docker import - {BASE_IMAGE}",
        timeout=600,
    )


def _pci_bus(folder: Path) -> Path:
    """A PCI bus with one NVIDIA 3D controller, as sysfs shows it."""
    device = folder / "0000:17:00.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x10de\n")
    (device / "device").write_text("0x20b7\n")  # A30
    (device / "class").write_text("0x030200\n")
    return folder


def _fill(repository: AptRepository, debs: Path) -> None:
    repository.add_flat("nvidia", packages.build_nvidia(debs / "nvidia"))
    repository.add_flat("toolkit", packages.build_container_toolkit(debs / "toolkit"))
    repository.add_suite("docker", "trixie", "stable", packages.build_docker(debs / "docker"))
    headers = Package(
        name=f"linux-headers-{platform.release()}",
        version="1",
        summary="Header files of the running kernel; empty, no module is built here",
        architecture="all",
    )
    repository.add_flat("distribution", [build(headers, debs)])
    repository.publish_key("key.asc")


def _variables(site: Site, repository: AptRepository, url: str) -> dict[str, Any]:
    assert site.hub is not None
    return {
        "loadfleet_profile": "null-engine",
        "loadfleet_runtime": "container",
        "loadfleet_model": {
            "source": "hub",
            "repo": MODEL,
            "revision": site.hub.commit(MODEL),
        },
        "loadfleet_dataset": {"source": "synthetic"},
        "loadfleet_length": {"samples": 16, "server_queries": 500},
        "loadfleet_server_target_qps": 200,
        "loadfleet_results_dir": str(site.folder / "results"),
        "loadfleet_reports_dir": str(site.folder / "reports"),
        "preflight_memory_gib": 1,
        "preflight_disk": [
            {"path": "/var/lib/loadfleet", "gib": 0.2, "purpose": "agent", "unless": "/nowhere"}
        ],
        "hf_auth_token": TOKEN,
        "hf_auth_endpoint": site.hub.url,
        "nvidia_driver_repository_url": f"{url}/nvidia/",
        "nvidia_driver_repository_key_url": f"{url}/key.asc",
        "nvidia_driver_repository_fingerprint": repository.fingerprint,
        "docker_repository_url": f"{url}/docker",
        "docker_repository_key_url": f"{url}/key.asc",
        "docker_repository_fingerprint": repository.fingerprint,
        "nvidia_container_toolkit_repository_url": f"{url}/toolkit",
        "nvidia_container_toolkit_repository_key_url": f"{url}/key.asc",
        "nvidia_container_toolkit_repository_fingerprint": repository.fingerprint,
        "agent_image_base": BASE_IMAGE,
        "agent_image_python": "3.13",
        "agent_image_store": str(site.folder / "images"),
        "agent_image_build_host": "gpu-1",
        "host_reboot_timeout_s": 300,
    }


def _add_distribution(machine: Machine, repository: AptRepository, url: str) -> None:
    """The archive of the distribution has headers for its kernels; of ours, this one has."""
    machine.write("/etc/apt/keyrings/distribution.asc", repository.public_key)
    machine.write(
        "/etc/apt/sources.list.d/distribution.sources",
        f"Types: deb\nURIs: {url}/distribution\nSuites: ./\n"
        "Signed-By: /etc/apt/keyrings/distribution.asc\n",
    )
    machine.run("apt-get", "--quiet", "update", timeout=600)
