"""From a bare machine to a host that is ready, seen without the roles' own words."""

from __future__ import annotations

import json

import pytest
from gpu_site import GPU_HOSTS, Site
from loadfleet_agent.host.facts import boot_id
from machines import Machine
from standin import gpus, packages


@pytest.fixture(params=GPU_HOSTS)
def host(request: pytest.FixtureRequest, provisioned: Site) -> Machine:
    return provisioned.machines[request.param]


def test_check_mode_changes_nothing_on_a_bare_host(provisioned: Site) -> None:
    assert provisioned.check_mode_kept == dict.fromkeys(GPU_HOSTS, True)


def test_every_host_says_that_it_is_ready(provisioned: Site) -> None:
    output = (provisioned.folder / "provisioned.txt").read_text()
    for name in GPU_HOSTS:
        assert f"{name}: ready: 1 x NVIDIA A30, driver {packages.DRIVER}" in output
    assert "differs:" not in output


def test_a_second_run_changes_nothing(provisioned: Site) -> None:
    played = provisioned.provision()
    assert played.returncode == 0, played.output
    assert played.changed() == dict.fromkeys(GPU_HOSTS, 0), played.changed_tasks()


def test_check_mode_of_a_ready_host_finds_nothing_to_do(provisioned: Site) -> None:
    played = provisioned.provision("--check")
    assert played.returncode == 0, played.output
    assert played.changed() == dict.fromkeys(GPU_HOSTS, 0), played.changed_tasks()


def test_the_driver_in_use_is_of_the_pinned_branch(host: Machine) -> None:
    # The repository has 590 too, which apt takes without the pin.
    shown = host.run("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader").stdout
    assert shown.strip() == packages.DRIVER
    policy = host.run("apt-cache", "policy", "nvidia-driver-cuda").stdout
    assert packages.NEW_BRANCH_DRIVER in policy
    assert f"Candidate: {packages.DRIVER}" in policy


def test_the_host_was_rebooted_once(host: Machine) -> None:
    boots = host.run("journalctl", "--list-boots", "--quiet", "--output", "json").stdout
    assert len(json.loads(boots)) == 2


def test_an_upgrade_leaves_driver_and_docker_alone(host: Machine) -> None:
    plan = host.run("apt-get", "--simulate", "dist-upgrade").stdout
    assert "nvidia" not in plan.partition("The following packages will be upgraded")[2]
    held = set(host.run("apt-mark", "showhold").stdout.split())
    assert {"nvidia-driver-cuda", "nvidia-kernel-open-dkms", "docker-ce"} <= held
    blacklist = host.run("apt-config", "dump", "Unattended-Upgrade::Package-Blacklist").stdout
    assert '"nvidia-"' in blacklist


def test_gpus_stay_initialised_without_a_client(host: Machine) -> None:
    daemon = host.run("systemctl", "is-active", "nvidia-persistenced").stdout.strip()
    assert daemon == "active"
    assert gpus.read(host.root)["gpus"][0]["persistence_mode"] == "Enabled"


def test_docker_runs_a_container(host: Machine) -> None:
    done = host.run("docker", "run", "--rm", image_of(host), "--version")
    assert done.stdout.startswith("loadfleet-agent")
    assert host.run("docker", "info", "--format", "{{.DefaultRuntime}}").stdout.strip() == "runc"


def image_of(host: Machine) -> str:
    return host.run("docker", "image", "ls", "--quiet", "loadfleet-agent").stdout.split()[0]


def test_a_cdi_device_brings_the_gpu_into_a_container(host: Machine) -> None:
    seen = host.run(
        "docker", "run", "--rm", "--device", "nvidia.com/gpu=all", "--entrypoint", "nvidia-smi",
        image_of(host), "-L",
    ).stdout  # fmt: skip
    assert seen == host.run("nvidia-smi", "-L").stdout
    assert "NVIDIA A30" in seen
    without = host.run(
        "docker", "run", "--rm", "--entrypoint", "nvidia-smi", image_of(host), "-L", check=False
    )
    assert without.returncode != 0


def test_all_hosts_run_the_same_image(provisioned: Site) -> None:
    images = {
        provisioned.machines[name].run("docker", "image", "ls", "--no-trunc", "--quiet",
                                       "loadfleet-agent").stdout.strip()
        for name in GPU_HOSTS
    }  # fmt: skip
    assert len(images) == 1


def test_keys_of_the_user_in_daemon_json_stay(provisioned: Site) -> None:
    host = provisioned.machines["gpu-2"]
    mine = json.loads(host.read("/etc/docker/daemon.json")) | {"shutdown-timeout": 20}
    host.write("/etc/docker/daemon.json", json.dumps(mine))
    played = provisioned.provision("--tags", "docker", hosts=("gpu-2",))
    assert played.returncode == 0, played.output
    after = json.loads(host.read("/etc/docker/daemon.json"))
    assert after["shutdown-timeout"] == 20
    assert after["features"]["cdi"] is True


def test_the_model_is_there_with_the_hubs_own_hashes(host: Machine, provisioned: Site) -> None:
    assert provisioned.hub is not None
    repository = "/var/lib/loadfleet/cache/hub/models--site--tiny-llama"
    listed = host.run("sh", "-c", f"cd {repository}/snapshots/* && sha256sum *").stdout.split()
    have = dict(zip(listed[1::2], listed[::2], strict=True))
    files = provisioned.hub.files("site/tiny-llama")
    wanted = {file.path: file.sha256 for file in files}
    assert have == wanted


def test_a_power_cap_is_put_right_and_named(provisioned: Site) -> None:
    host = provisioned.machines["gpu-1"]
    gpus.write(host.root, gpus.wrong_power_cap(gpus.read(host.root)))
    played = provisioned.provision("--tags", "gpu_settings")
    assert played.returncode == 0, played.output
    assert gpus.read(host.root)["gpus"][0]["power.limit"] == 165
    # Asked for on one host only, it differs, and the report says where.
    played = provisioned.provision(
        "--tags", "gpu_settings", hosts=("gpu-1",), gpu_settings_power_limit_w=140
    )
    assert played.returncode == 0, played.output
    assert gpus.read(host.root)["gpus"][0]["power.limit"] == 140
    played = provisioned.provision(
        "--tags", "gpu_settings", groups=one_host("gpu-1", gpu_settings_power_limit_w=140)
    )
    assert played.lines("differs: power.limit", "165.00 on gpu-2", "140.00 on gpu-1")
    played = provisioned.provision("--tags", "gpu_settings")
    assert played.returncode == 0, played.output
    assert gpus.read(host.root)["gpus"][0]["power.limit"] == 165


def one_host(name: str, **variables: object) -> dict[str, object]:
    return {"only": {"hosts": {name: {}}, "vars": variables}}


def test_mig_that_is_on_goes_off_with_a_reboot(provisioned: Site) -> None:
    host = provisioned.machines["gpu-2"]
    before = host.boot_id()
    gpus.write(host.root, gpus.mig_on(gpus.read(host.root)))
    played = provisioned.provision("--tags", "gpu_settings", hosts=("gpu-2",))
    assert played.returncode == 0, played.output
    assert host.boot_id() != before
    gpu = gpus.read(host.root)["gpus"][0]
    assert (gpu["mig.mode.current"], gpu["mig.mode.pending"]) == ("Disabled", "Disabled")


def test_a_driver_that_does_not_load_is_named_after_the_reboot(provisioned: Site) -> None:
    host = provisioned.machines["gpu-2"]
    before, healthy = host.boot_id(), gpus.read(host.root)
    gpus.write(host.root, gpus.version_mismatch(healthy))
    host.reboot()  # the kernel has another version from here on
    booted = host.boot_id()
    try:
        played = provisioned.provision("--tags", "nvidia_driver", hosts=("gpu-2",))
        assert played.returncode != 0
        assert host.boot_id() not in (before, booted), "one more boot might have helped"
        assert played.lines("gpu-2: not ready: driver none is loaded, wanted is branch 580")
        assert played.lines("Driver/library version mismatch")
    finally:
        gpus.write(host.root, healthy)
        host.reboot()
    played = provisioned.provision("--tags", "nvidia_driver,gpu_settings", hosts=("gpu-2",))
    assert played.returncode == 0, played.output


def test_no_reboot_without_leave(provisioned: Site) -> None:
    host = provisioned.machines["gpu-2"]
    gpus.write(host.root, gpus.mig_on(gpus.read(host.root)))
    before = host.boot_id()
    played = provisioned.provision(
        "--tags", "gpu_settings", hosts=("gpu-2",), host_reboot_allowed=False
    )
    assert played.returncode != 0
    assert played.lines("gpu-2: not ready: a reboot is needed, and host_reboot_allowed is false")
    assert host.boot_id() == before
    played = provisioned.provision("--tags", "gpu_settings", hosts=("gpu-2",))
    assert played.returncode == 0, played.output
    assert host.boot_id() != before


def test_the_controller_itself_is_never_rebooted(provisioned: Site) -> None:
    """A local connection, as where the controller is a host of its own fleet."""
    before = boot_id()
    play = provisioned.folder / "reboot.yml"
    play.write_text(
        "- hosts: gpu-1\n  gather_facts: false\n  become: false\n  connection: local\n"
        "  vars: {ansible_connection: local, ansible_become: false}\n"
        "  tasks:\n"
        "    - block:\n"
        "        - ansible.builtin.import_role: {name: host_reboot}\n"
        "        - ansible.builtin.debug: {msg: wanted}\n"
        "          changed_when: true\n"
        "          notify: Reboot the host\n"
        "        - ansible.builtin.meta: flush_handlers\n"
        "      rescue:\n"
        "        - ansible.builtin.debug: {msg: rescued}\n"
    )
    played = provisioned.play(str(play))
    assert played.lines("gpu-1: a reboot is needed, and this host is the controller itself")
    assert played.lines("rescued")
    assert "Rebooting" not in played.output
    assert boot_id() == before
