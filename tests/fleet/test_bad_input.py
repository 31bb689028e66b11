"""What cannot be provisioned says so in one line, stays as it was, and stops nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from gpu_site import Played, Site, disk_state
from standin import gpus


@pytest.fixture(scope="module")
def plain(site: Site) -> Any:
    """The host without a GPU, and what its packages and settings were."""
    return site.machines["plain"]


def reason(played: Played, host: str) -> str:
    """The host's one line of the report."""
    lines = [line for line in played.lines(f"{host}: not ready: ") if not line.startswith('msg"')]
    assert lines, played.output
    return lines[0]


def test_a_host_without_a_gpu_is_named_and_left_as_it_was(site: Site, plain: Any) -> None:
    before = disk_state(plain)
    played = site.provision(hosts=("plain",))
    assert played.returncode != 0
    assert "no NVIDIA GPU on the PCI bus: check the card's seat" in reason(played, "plain")
    assert disk_state(plain) == before


def test_the_other_hosts_go_on(provisioned: Site) -> None:
    played = provisioned.provision("--tags", "preflight", hosts=("gpu-1", "plain"))
    assert played.returncode != 0
    assert played.lines("gpu-1: ready")
    assert played.lines("plain: not ready", "no NVIDIA GPU")


def test_an_unsupported_system_names_the_supported_ones(site: Site) -> None:
    played = site.provision("--tags", "preflight", preflight_systems=["Ubuntu 24.04"])
    assert played.returncode != 0
    assert played.lines("gpu-1: not ready: Debian 13 is not supported: use Ubuntu 24.04")


def test_a_full_disk_says_what_is_free_and_needed(site: Site) -> None:
    disk = [{"path": "/srv/full", "gib": 2, "purpose": "model"}]
    host = site.machines["gpu-1"]
    host.run("mkdir", "-p", "/srv/full")
    host.disk("/srv/full", "16M")
    try:
        played = site.provision("--tags", "preflight", hosts=("gpu-1",), preflight_disk=disk)
    finally:
        host.undisk("/srv/full")
    assert played.returncode != 0
    assert "0.0 GiB free at /srv/full, 2 are needed (model 2): free some" in reason(played, "gpu-1")


def test_no_route_to_a_mirror_is_told_before_anything_changes(site: Site, plain: Any) -> None:
    before = disk_state(plain)
    closed = f"http://{site.fleet.gateway}:9/docker"  # nothing listens there
    played = site.play(
        "playbooks/provision.yml", "--tags", "docker", hosts=("plain",),
        docker_repository_url=closed, docker_repository_key_url=f"{closed}/gpg",
    )  # fmt: skip
    line = reason(played, "plain")
    assert "key cannot be had from" in line
    assert "onnection refused" in line
    assert "docker_repository_key_url" in line
    assert disk_state(plain) == before


def test_a_key_with_another_fingerprint_is_refused(site: Site, plain: Any) -> None:
    before = disk_state(plain)
    played = site.provision(
        "--tags", "docker", hosts=("plain",), docker_repository_fingerprint="0" * 40
    )
    assert f"not {'0' * 40}" in reason(played, "plain")
    assert "docker_repository_fingerprint" in reason(played, "plain")
    assert disk_state(plain) == before


def test_a_branch_that_does_not_exist_names_what_there_is(site: Site, plain: Any) -> None:
    before = disk_state(plain)
    played = site.provision("--tags", "nvidia_driver", hosts=("plain",), nvidia_driver_branch="577")
    line = reason(played, "plain")
    assert "nvidia-driver-pinning-577 is not in" in line
    assert "nvidia_driver_branch" in line
    assert disk_state(plain) == before


def test_docker_that_is_too_old_for_cdi_is_refused(site: Site, plain: Any) -> None:
    before = disk_state(plain)
    played = site.provision("--tags", "docker", hosts=("plain",), docker_source="distribution")
    assert "has Docker 20.10" in reason(played, "plain")
    assert "set docker_source to docker" in reason(played, "plain")
    assert disk_state(plain) == before


def test_groups_that_contradict_each_other_are_named(site: Site) -> None:
    groups = {
        name: {"hosts": {"gpu-2": {}}, "vars": {"nvidia_driver_branch": branch}}
        for name, branch in (("rack_a", "580"), ("rack_b", "590"))
    }
    played = site.provision("--tags", "preflight", groups=groups)
    assert played.returncode != 0
    assert played.lines("gpu-1: ready")
    assert reason(played, "gpu-2").endswith(
        "nvidia_driver_branch is '580' in group rack_a and '590' in group rack_b: "
        "set it on the host, or keep it in one group"
    )


def test_a_misspelt_setting_is_suggested(site: Site) -> None:
    played = site.provision("--tags", "preflight", hosts=("gpu-1",), nvidia_driver_brnch="580")
    assert "did you mean nvidia_driver_branch?" in reason(played, "gpu-1")


def test_a_reboot_that_is_pending_is_told(site: Site) -> None:
    host = site.machines["gpu-1"]
    host.write("/run/reboot-required", "")
    try:
        played = site.provision("--tags", "preflight", hosts=("gpu-1",))
    finally:
        host.run("rm", "/run/reboot-required")
    assert "a reboot is pending (the system): reboot the host" in reason(played, "gpu-1")


def test_nothing_is_changed_while_a_run_is_in_progress(provisioned: Site) -> None:
    host = provisioned.machines["gpu-2"]
    host.write("/var/lib/loadfleet/run.lock", '{"run_id": "r1", "since": "2026-01-01T00:00:00Z"}')
    host.run("chown", "loadfleet:", "/var/lib/loadfleet/run.lock")
    host.run(
        "systemd-run", "--quiet", "--collect", "--unit=holder",
        "flock", "/var/lib/loadfleet/run.lock", "sleep", "infinity",
    )  # fmt: skip
    try:
        for tag in ("preflight", "docker", "gpu_settings", "hf_auth", "caches"):
            played = provisioned.provision("--tags", tag, hosts=("gpu-2",))
            assert played.returncode != 0
            assert "run r1 is in progress since 2026-01-01T00:00:00Z" in reason(played, "gpu-2")
            assert played.changed()["gpu-2"] == 0
    finally:
        host.run("systemctl", "stop", "holder")


def test_an_unreachable_host_stops_nobody(provisioned: Site) -> None:
    host = provisioned.machines["gpu-2"]
    host.cut()
    try:
        played = provisioned.provision("--tags", "preflight")
    finally:
        host.heal()
    assert played.returncode != 0
    assert played.lines("gpu-1: ready")
    assert played.lines("gpu-2: unreachable: mend the link")


def test_a_wrong_clock_is_told_with_its_skew(site: Site) -> None:
    """Of one process only: the machines share this kernel's clock."""
    host = site.machines["plain"]
    host.run("apt-get", "--quiet", "--yes", "install", "faketime", timeout=600)
    host.write(
        "/usr/local/bin/python-late",
        '#!/bin/sh\nexec /usr/bin/faketime -f +90s /usr/bin/python3 "$@"\n',
        0o755,
    )
    played = site.provision(
        "--tags", "preflight", hosts=("plain",),
        ansible_python_interpreter="/usr/local/bin/python-late",
    )  # fmt: skip
    assert played.returncode != 0
    told = played.lines("plain: not ready: its clock is")  # beside its GPU, which is missing too
    (line,) = {line for line in told if line.startswith("plain: ")}
    assert 80 < float(line.split("its clock is ")[1].split()[0]) < 91
    assert "timedatectl set-ntp true" in line


def test_other_processes_on_the_gpu_are_named(provisioned: Site) -> None:
    with gpus.put(provisioned.machines["gpu-1"].root, gpus.other_process):
        played = provisioned.provision("--tags", "preflight", hosts=("gpu-1",))
    assert "other processes are on the GPU: 4242, /usr/bin/other-job" in reason(played, "gpu-1")


def test_a_driver_that_is_gone_is_missed_by_the_settings(provisioned: Site) -> None:
    with gpus.put(provisioned.machines["gpu-1"].root, gpus.missing_driver):
        played = provisioned.provision("--tags", "gpu_settings", hosts=("gpu-1",))
    assert played.returncode != 0
    assert "nvidia-smi" in reason(played, "gpu-1")


def test_a_container_without_docker_says_what_is_missing(site: Site) -> None:
    for image in ({}, {"agent_image": "registry.example/agent@sha256:" + "0" * 64}):
        played = site.provision("--tags", "agent", hosts=("plain",), **image)
        assert played.returncode != 0
        assert reason(played, "plain").endswith(
            "docker is not installed: provision the host with role docker, "
            "or set loadfleet_runtime to venv"
        )
