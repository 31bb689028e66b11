"""loadfleet doctor and init on booted machines, ready ones and broken ones."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from gpu_site import BIN, GPU_HOSTS, ROOT, Site
from machines import Machine
from standin import gpus, packages

Checks = dict[tuple[str, str], list[dict[str, Any]]]


def loadfleet(site: Site, *arguments: object) -> subprocess.CompletedProcess[str]:
    mine = os.environ | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        # init has no inventory yet that could say how the machines' host keys are known.
        "ANSIBLE_SSH_COMMON_ARGS": shlex.join(site.fleet.ssh_options),
    }
    for name in ("HF_TOKEN", "ANSIBLE_CONFIG"):
        mine.pop(name, None)
    return subprocess.run(
        [BIN / "loadfleet", *map(str, arguments)],
        cwd=ROOT, env=mine, capture_output=True, text=True, timeout=1800, check=False,
    )  # fmt: skip


def doctor(site: Site, *arguments: str, **inventory: Any) -> tuple[int, Checks]:
    """Exit code, and checks by place and name."""
    folder = site.write_inventory(**inventory)
    done = loadfleet(site, "doctor", "--remote", "--json", "-i", folder, *arguments)
    assert done.returncode in (0, 1), done.stderr
    checks: Checks = {}
    for check in json.loads(done.stdout)["checks"]:
        checks.setdefault((check["place"], check["id"]), []).append(check)
    return done.returncode, checks


def findings(checks: Checks, place: str) -> dict[str, str]:
    """What is not well there: name to severity and cause."""
    return {
        name: f"{check['severity']}: {check['found']}"
        for (where, name), of_name in checks.items()
        for check in of_name
        if where == place and check["severity"] in ("error", "warning")
    }


@contextmanager
def full_disk(host: Machine, path: str) -> Iterator[None]:
    host.run("mkdir", "-p", path)
    host.disk(path, "16M")
    try:
        yield
    finally:
        host.undisk(path)


@contextmanager
def late_clock(host: Machine) -> Iterator[None]:
    """Of one program only: the machines share this kernel's clock."""
    path = "/usr/local/bin/date"
    host.write(path, '#!/bin/sh\nexec /usr/bin/date -d "+90 seconds" "$@"\n', 0o755)
    try:
        yield
    finally:
        host.run("rm", path)


@contextmanager
def file_there(host: Machine, path: str) -> Iterator[None]:
    host.write(path, "")
    try:
        yield
    finally:
        host.run("rm", path)


def test_provisioned_hosts_have_nothing_against_them(provisioned: Site) -> None:
    code, checks = doctor(provisioned, "--online")
    assert [findings(checks, name) for name in GPU_HOSTS] == [{}, {}]
    assert code == 0, findings(checks, "controller")
    (driver,) = checks["gpu-1", "driver"]
    assert driver["found"] == f"driver {packages.DRIVER}"
    (sudo,) = checks["gpu-1", "sudo"]
    assert sudo["found"] == "sudo without a password"
    for name in ("gpus", "profile", "docker", "toolkit", "image", "model", "agent", "clock"):
        assert checks["gpu-2", name][0]["severity"] == "ok", checks["gpu-2", name]


def test_what_is_broken_is_found_and_nothing_else(provisioned: Site) -> None:
    one, two = (provisioned.machines[name] for name in GPU_HOSTS)
    disk = [{"path": "/srv/full", "gib": 2, "purpose": "model"}]
    with ExitStack() as broken:
        broken.enter_context(gpus.put(one.root, gpus.mig_on))
        broken.enter_context(full_disk(one, "/srv/full"))
        broken.enter_context(gpus.put(two.root, gpus.wrong_power_cap))
        broken.enter_context(late_clock(two))
        for host in (one, two):
            host.run("mkdir", "-p", "/srv/full")
        code, checks = doctor(provisioned, preflight_disk=disk)
    assert code == 1
    first, second = findings(checks, "gpu-1"), findings(checks, "gpu-2")
    assert set(first) == {"mig", "disk"}
    assert first["mig"].startswith("error: GPU 0: MIG is enabled")
    assert first["disk"].startswith("error: 0.0 GiB free at /srv/full, 2 are needed")
    assert set(second) == {"power", "clock"}
    assert second["power"] == "warning: GPU 0 is capped at 120 W, wanted is 165 W"
    assert second["clock"].startswith("error: its clock is 9")  # 90 s, or a little less


def test_sensors_and_leftovers_are_found(provisioned: Site) -> None:
    one, two = (provisioned.machines[name] for name in GPU_HOSTS)
    with ExitStack() as broken:
        broken.enter_context(gpus.put(one.root, gpus.ecc_errors))
        broken.enter_context(file_there(one, "/run/reboot-required"))
        broken.enter_context(gpus.put(two.root, gpus.throttling))
        code, checks = doctor(provisioned)
    assert code == 1
    first, second = findings(checks, "gpu-1"), findings(checks, "gpu-2")
    assert set(first) == {"ecc", "reboot"}
    assert "3 uncorrected memory errors" in first["ecc"]
    assert set(second) == {"throttling"}
    assert "slowed down now by heat" in second["throttling"]


def test_a_host_without_a_driver_and_one_that_refuses_the_key(
    provisioned: Site, tmp_path: Path
) -> None:
    key = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    with gpus.put(provisioned.machines["gpu-1"].root, gpus.missing_driver):
        folder = provisioned.write_inventory()
        tree = yaml.safe_load((folder / "hosts.yml").read_text())
        hosts = tree["all"]["children"]["gpu_hosts"]["hosts"]
        hosts["gpu-2"]["ansible_ssh_private_key_file"] = str(key)
        other = tmp_path / "hosts.yml"
        other.write_text(yaml.safe_dump(tree))
        done = loadfleet(provisioned, "doctor", "--remote", "-i", other)
    assert done.returncode == 1
    text = " ".join(done.stdout.split())
    assert "no NVIDIA driver works" in text
    assert "Permission denied" in text
    assert "0 of 2 hosts ready" in text


@pytest.mark.parametrize("loaded", [True, False])
def test_init_sees_gpus_with_and_without_a_driver(
    provisioned: Site, tmp_path: Path, loaded: bool
) -> None:
    words = [f"{name}={provisioned.machines[name].address}" for name in (*GPU_HOSTS, "plain")]
    output = tmp_path / "fleet"
    with ExitStack() as changed:
        if not loaded:
            changed.enter_context(gpus.put(provisioned.machines["gpu-1"].root, gpus.missing_driver))
        done = loadfleet(
            provisioned, "init", *words, "--user", "ops", "--key", provisioned.fleet.key,
            "--output", output, "--json",
        )  # fmt: skip
    assert done.returncode == 1, done.stderr  # plain has no GPU
    report = json.loads(done.stdout)
    hosts = {host["name"]: host for host in report["hosts"]}
    assert hosts["gpu-1"]["driver"] == (packages.DRIVER if loaded else None)
    assert hosts["gpu-1"]["gpus"][0]["name"] == "NVIDIA A30"
    assert hosts["gpu-1"]["gpus"][0]["by_driver"] is loaded
    assert hosts["plain"]["reason"] == "no NVIDIA GPU on its PCI bus"
    (group,) = report["groups"]
    assert group["choice"]["profile"] == "a30-bf16"
    assert "# no NVIDIA GPU on its PCI bus" in (output / "hosts.yml").read_text()
