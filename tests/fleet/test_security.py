"""A run in a virtual environment on one host, looked at as an attacker would: what it may do, who
reads its files, what listens, and where the secrets are that the user gave."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from hub_mirror import HubMirror
from loadfleet_agent.model.tiny_llama import make_tiny_llama
from machines import DEFAULT_STATE, Machine, Machines
from waiting import wait_until

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
HOME = "/var/lib/loadfleet"
RUN_ID = "looked-at"
RUN = f"{HOME}/runs/{RUN_ID}"
MODEL = "site/tiny-llama"
LONG_S = 1800.0

TOKEN = "hf_SecretInTheVault0123456789"
PASSWORD = "SecretOfSudo0123456789"
VAULT = "SecretOfTheVault0123456789"
OTHER_TOKEN = "hf_SecretInTheEnvironment0123456789"
"""HF_TOKEN of the operator's shell; where a token is given otherwise, nobody needs it."""
SECRETS = (TOKEN, PASSWORD, VAULT, OTHER_TOKEN)


@dataclass
class Seen:
    """One run with all that was seen of it."""

    folder: Path
    host: Machine
    unit: str = ""
    exposure: str = ""
    """What systemd-analyze security said while it ran."""
    listening_before: str = ""
    listening: str = ""
    """On the host, while it ran."""
    listening_inside: str = ""
    """In the run's own network."""
    links_inside: str = ""
    processes: list[dict[str, str]] = field(default_factory=list)
    """/proc/PID/status of each process of the unit."""
    commands: str = ""
    """Command lines and environments of all processes of the host, but for root's own shells."""
    controller: str = ""
    """Command lines of all processes of the controller."""
    tried: dict[str, int] = field(default_factory=dict)
    """Exit code of what was tried as the run's user among its files."""

    @property
    def run(self) -> Path:
        return self.folder / "results" / RUN_ID


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder = tmp_path_factory.mktemp("security")
    fleet = Machines(DEFAULT_STATE / "test-security", "10.92.0", bases=DEFAULT_STATE)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, fleet.state, ignore_errors=True)
        stack.callback(fleet.down)
        fleet.down()
        host = fleet.up({"host": "bookworm"})["host"]
        sudo_wants_a_password(host)
        make_tiny_llama(folder / "hub" / MODEL, 0)
        hub = stack.enter_context(HubMirror(folder / "hub", fleet.gateway, token=TOKEN))
        write_inventory(folder, fleet, hub)
        provision(folder)
        result = Seen(folder, host)
        result.listening_before = host.run("ss", "-Hltn").stdout
        benchmark(folder, result)
        yield result


def sudo_wants_a_password(host: Machine) -> None:
    for name in host.run("grep", "-rl", "ops", "/etc/sudoers.d").stdout.split():
        host.run("rm", name)
    host.write("/etc/sudoers.d/ops", "ops ALL=(ALL) ALL\n", 0o440)
    host.run("sh", "-c", f"echo ops:{PASSWORD} | chpasswd")


def write_inventory(folder: Path, fleet: Machines, hub: HubMirror) -> None:
    """As a user has it: settings in the open, secrets in a vault."""
    settings = {
        "ansible_become_password": "{{ vault_become_password }}",
        "hf_auth_token": "{{ vault_token }}",
        "hf_auth_endpoint": hub.url,
        "caches_endpoint": hub.url,
        "loadfleet_profile": "null-engine",
        "loadfleet_runtime": "venv",
        "loadfleet_run_id": RUN_ID,
        "loadfleet_model": {"source": "hub", "repo": MODEL, "revision": hub.commit(MODEL)},
        "loadfleet_dataset": {"source": "synthetic"},
        "loadfleet_length": {"samples": 16, "server_queries": 3_000},
        "loadfleet_server_target_qps": 200,
        "loadfleet_collect_accuracy_logs": True,
        "loadfleet_results_dir": str(folder / "results"),
        "loadfleet_reports_dir": str(folder / "reports"),
    }
    path = folder / "inventory" / "hosts.yml"
    fleet.write_inventory(path, group="gpu_hosts", names=("host",), variables=settings)
    (folder / "vault-password").write_text(VAULT)
    vault = path.parent / "group_vars" / "gpu_hosts.yml"
    vault.parent.mkdir()
    vault.write_text(yaml.safe_dump({"vault_token": TOKEN, "vault_become_password": PASSWORD}))
    encrypt = ["encrypt", "--vault-password-file", str(folder / "vault-password"), str(vault)]
    subprocess.run([BIN / "ansible-vault", *encrypt], check=True, capture_output=True)
    assert TOKEN not in vault.read_text()


def start(folder: Path, log: str, *command: str) -> subprocess.Popen[bytes]:
    """A command of the operator's, at -vvv, in a shell of an ordinary umask; it ends in ``log``."""
    environment = os.environ | {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_LOG_PATH": str(folder / "ansible.log"),
        "ANSIBLE_NOCOLOR": "1",
        "HF_TOKEN": OTHER_TOKEN,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }
    given = ["-i", folder / "inventory", "--vault-password-file", folder / "vault-password", "-vvv"]
    with (folder / log).open("wb") as output:
        return subprocess.Popen(
            [BIN / command[0], *command[1:], *given],
            cwd=ROOT, env=environment, umask=0o022, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip


def provision(folder: Path) -> None:
    tags = ("--diff", "--tags", "hf_auth,agent,caches")
    process = start(folder, "provision.txt", "ansible-playbook", "playbooks/provision.yml", *tags)
    assert process.wait(timeout=LONG_S) == 0, (folder / "provision.txt").read_text()[-4000:]


def benchmark(folder: Path, seen: Seen) -> None:
    """The run, looked at while LoadGen's Server scenario goes on."""
    host = seen.host
    process = start(folder, "run.txt", "loadfleet", "run")

    def status() -> str:
        assert process.poll() is None, (folder / "run.txt").read_text()[-4000:]
        return str(host.run("cat", f"{RUN}/status.json", check=False).stdout)

    try:
        wait_until(lambda: "server-performance" in status(), "the Server scenario", LONG_S)
        seen.unit = json.loads(status())["systemd_unit"]
        look(seen)
        assert process.wait(timeout=LONG_S) == 0, (folder / "run.txt").read_text()[-4000:]
    finally:
        process.kill()
        process.wait()


def look(seen: Seen) -> None:
    host, unit = seen.host, seen.unit
    pid = host.run("systemctl", "show", "--property=MainPID", "--value", unit).stdout.strip()
    inside = ("nsenter", "--net", "--target", pid)
    seen.exposure = host.run("systemd-analyze", "security", "--no-pager", unit).stdout
    seen.listening = host.run("ss", "-Hltn").stdout
    seen.listening_inside = host.run(*inside, "ss", "-Hltun").stdout
    seen.links_inside = host.run(*inside, "ip", "-brief", "link").stdout
    group = host.run("systemctl", "show", "--property=ControlGroup", "--value", unit).stdout.strip()
    told = host.run(
        "sh", "-c",
        f"for p in $(cat /sys/fs/cgroup{group}/cgroup.procs); do cat /proc/$p/status; echo; done",
    ).stdout  # fmt: skip
    seen.processes = [
        dict(line.split(":\t", 1) for line in block.splitlines() if ":\t" in line)
        for block in told.strip().split("\n\n")
    ]
    read = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null"
    seen.commands = host.run("sh", "-c", f"{read}; true").stdout
    here = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    seen.controller = b"\n".join(here).decode(errors="replace")
    user = ("setpriv", "--reuid=loadfleet", "--regid=loadfleet", "--init-groups")
    for name, command in TRIED.items():
        done = host.run(
            "nsenter", "--mount", "--target", pid, *user, "sh", "-c", command, check=False
        )
        seen.tried[name] = done.returncode


TRIED = {
    "read the token": "cat /etc/loadfleet/hf_token",
    "write beside the runs": f"touch {HOME}/new",
    "replace the agent": f"touch {HOME}/bin/new",
    "write into another run": f"mkdir {HOME}/runs/other",
    "write to the system": "touch /etc/new /usr/new",
    "look into home": "ls /home/ops",
    "write to the run": f"touch {RUN}/phases/tried && rm {RUN}/phases/tried",
}


def test_every_process_of_it_is_an_unprivileged_user_without_a_way_back(seen: Seen) -> None:
    uid = seen.host.run("id", "-u", "loadfleet").stdout.strip()
    assert len(seen.processes) >= 2  # the agent and its worker
    for process in seen.processes:
        assert set(process["Uid"].split()) == {uid}, process["Name"]
        assert {process[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {
            "0" * 16
        }, process["Name"]
        assert (process["NoNewPrivs"], process["Seccomp"]) == ("1", "2"), process["Name"]


def test_it_reads_no_token_and_writes_nothing_but_its_run_and_cache(seen: Seen) -> None:
    assert {name for name, code in seen.tried.items() if code == 0} == {"write to the run"}


def test_systemd_scores_it_as_security_md_says(seen: Seen) -> None:
    stated_in = (ROOT / "SECURITY.md").read_text()
    (stated,) = re.findall(r"in a virtual environment \| ([\d.]+) ", stated_in)
    (found,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", seen.exposure)
    assert float(found) <= float(stated), seen.exposure


def test_nothing_listens_on_the_host_that_did_not_before(seen: Seen) -> None:
    def addresses(text: str) -> set[str]:
        return {line.split()[3] for line in text.splitlines()}

    assert addresses(seen.listening) <= addresses(seen.listening_before)
    assert [line.split()[0] for line in seen.links_inside.splitlines()] == ["lo"]
    for address in (line.split()[4] for line in seen.listening_inside.splitlines()):
        assert address.startswith(("127.0.0.1:", "[::1]:")), seen.listening_inside


def test_no_secret_is_in_a_process_list_of_host_or_controller(seen: Seen) -> None:
    assert "loadfleet_agent" in seen.commands  # it was looked at
    assert "ansible-playbook" in seen.controller
    for secret in SECRETS:
        assert secret not in seen.commands
        assert secret not in seen.controller


def test_no_secret_is_in_a_file_or_journal_of_the_host(seen: Seen) -> None:
    host = seen.host
    journal = host.run("journalctl", "--no-pager", timeout=300).stdout
    assert seen.unit in journal
    for secret in SECRETS:
        assert secret not in journal
        found = host.run(
            "grep", "--recursive", "--files-with-matches", "--binary-files=text", secret,
            "/etc", "/home", "/root", "/run/systemd", "/tmp", "/usr/local", HOME, "/var/log",
            "/var/tmp", "/dev/shm", check=False, timeout=600,
        )  # fmt: skip
        assert found.stdout.split() == (["/etc/loadfleet/hf_token"] if secret == TOKEN else [])


def test_no_secret_is_in_what_the_controller_shows_or_keeps(seen: Seen) -> None:
    """Output at -vvv, Ansible's log, results, reports, and what ansible-runner leaves."""
    kept = {seen.folder / name for name in ("vault-password",)}
    folders = (seen.folder, *(ROOT / ".loadfleet").glob("[!w]*"))  # wheelhouses hold packages
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    expected = {"run.txt", "ansible.log", "report.html", "report.json", "stdout", "plan.json"}
    assert expected <= names
    assert "agent.log" in names
    assert (seen.folder / "ansible.log").stat().st_size > 10_000
    for path in set(files) - kept:
        content = path.read_bytes()
        assert not [secret for secret in SECRETS if secret.encode() in content], path


def modes(seen: Seen) -> dict[str, str]:
    listed = seen.host.run("find", HOME, "-printf", "%P\t%m %u\n").stdout
    return dict(line.split("\t") for line in listed.splitlines())


def test_prompts_and_answers_on_the_host_are_for_its_user_alone(seen: Seen) -> None:
    found = modes(seen)
    run = f"runs/{RUN_ID}"
    assert found["runs"] == "755 loadfleet"
    for name in ("cache/datasets", "datasets", f"{run}/phases"):
        assert found[name] == "700 loadfleet", name
    texts = [name for name in found if name.endswith("mlperf_log_accuracy.json")]
    texts += [name for name in found if name.startswith("cache/datasets/")]
    texts += [f"{run}/agent.log", f"{run}/engine.log"]
    assert len(texts) > 4
    for name in texts:
        assert found[name] == "600 loadfleet", name


def test_a_watcher_who_is_not_root_sees_how_far_it_is_and_nothing_else(seen: Seen) -> None:
    host = seen.host
    for name in ("status.json", "events.jsonl", "telemetry.jsonl"):
        assert host.ssh("head", "-c1", f"{RUN}/{name}").stdout == "{"
    for name in ("agent.log", "result.json", "phases"):
        assert host.ssh("ls", f"{RUN}/{name}/.", check=False).returncode != 0
        assert host.ssh("cat", f"{RUN}/{name}", check=False).returncode != 0


def test_what_was_collected_is_for_the_operator_alone(seen: Seen) -> None:
    host = seen.run / "hosts" / "host"
    texts = [path for path in host.rglob("*") if path.name == "mlperf_log_accuracy.json"]
    assert [path for path in texts if path.stat().st_size > 100]
    for path in (host.parent, *host.parent.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    artifacts = seen.run / "ansible"
    for path in artifacts.iterdir():
        assert path.stat().st_mode & 0o777 == 0o700, path


def test_the_token_is_a_file_for_root_alone(seen: Seen) -> None:
    listed = seen.host.run("stat", "--format=%a %U", "/etc/loadfleet", "/etc/loadfleet/hf_token")
    assert listed.stdout.split("\n")[:2] == ["700 root", "600 root"]


def test_loadfleet_logs_reads_the_agents_log_with_the_inventorys_sudo(seen: Seen) -> None:
    words = ["-i", seen.folder / "inventory", "--vault-password-file"]
    done = subprocess.run(
        [BIN / "loadfleet", "logs", "host", *words, seen.folder / "vault-password"],
        capture_output=True, text=True, timeout=LONG_S, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "server-performance finished" in done.stdout
