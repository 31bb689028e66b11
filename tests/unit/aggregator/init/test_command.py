"""loadfleet init as a user calls it, with real ansible-inventory and hosts that are scanned."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from loadfleet_aggregator.fleet.settings import plan_hosts
from loadfleet_aggregator.hosts.inventory import Selection, read_fleet
from waiting import LONG_S

from ..doctor.made import PROJECT
from ..helpers import BIN, snapshot
from ..sshd import needs_sshd, start_sshd

A30 = {
    "index": "0", "uuid": "GPU-1", "name": "NVIDIA A30", "driver_version": "580.105.08",
    "memory.total": "24576", "compute_cap": "8.0", "persistence_mode": "Enabled",
    "mig.mode.current": "Disabled", "mig.mode.pending": "Disabled",
    "ecc.mode.current": "Enabled", "ecc.mode.pending": "Enabled",
    "ecc.errors.uncorrected.volatile.total": "0", "power.limit": "165.00",
    "power.default_limit": "165.00", "temperature.gpu": "31", "utilization.gpu": "0",
    "pcie.link.gen.max": "4", "pcie.link.width.max": "16",
    "clocks_throttle_reasons.active": "0x0000000000000001",
}  # fmt: skip
NVIDIA_SMI = """#!/bin/sh
# Stands in for the tool of a host with one A30: there is no GPU here.
exec {python} - "$1" <<'END'
import sys
gpu = {gpu!r}
name, _, fields = sys.argv[1].removeprefix("--query-").partition("=")
wanted = fields.split(",")
if name != "gpu" or any(field not in gpu for field in wanted):
    sys.exit(2)
print(", ".join(gpu[field] for field in wanted))
END
"""


def init(*arguments: object, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"ANSIBLE_PYTHON_INTERPRETER": str(BIN / "python")}
    environment.pop("ANSIBLE_CONFIG", None)
    if path is not None:
        environment["PATH"] = f"{path}{os.pathsep}{environment['PATH']}"
    return subprocess.run(
        [BIN / "loadfleet", "init", "--project", PROJECT, *map(str, arguments)],
        capture_output=True, text=True, timeout=2 * LONG_S, check=False, env=environment,
    )  # fmt: skip


def listed(folder: Path) -> dict[str, Any]:
    """The inventory as ansible-inventory reads it."""
    done = subprocess.run(
        [BIN / "ansible-inventory", "-i", folder, "--list"],
        capture_output=True, text=True, timeout=LONG_S, check=False, cwd=PROJECT,
        env=os.environ | {"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_an_inventory_without_a_scan_is_one_that_a_run_takes(tmp_path: Path) -> None:
    output = tmp_path / "fleet"
    done = init("10.0.0.1", "b=10.0.0.2", "--user", "ubuntu", "--no-scan", "--output", output)
    assert done.returncode == 0, done.stderr
    told = listed(output)
    assert told["gpu_hosts"]["hosts"] == ["gpu-01", "b"]
    host = told["_meta"]["hostvars"]["gpu-01"]
    assert (host["ansible_host"], host["ansible_user"]) == ("10.0.0.1", "ubuntu")
    fleet = read_fleet(Selection(inventory=(str(output),)), PROJECT)
    settings = {
        item.name: {f"loadfleet_{key}": value for key, value in item.settings.items()}
        for item in fleet.hosts
    }
    planned = plan_hosts(settings, "r", lambda _key, _value: "", PROJECT)
    assert {item.plan.profile for item in planned} == {"a30-bf16"}
    assert planned[0].plan.length.kind == "official"
    assert planned[0].plan.labels == ()  # what can count as MLPerf


@needs_sshd
def test_a_scanned_host_gets_the_profile_of_its_gpu_and_a_lost_one_its_reason(
    tmp_path: Path,
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    tool = tools / "nvidia-smi"
    tool.write_text(NVIDIA_SMI.format(python=BIN / "python", gpu=A30))
    tool.chmod(0o755)
    output = tmp_path / "fleet"
    with start_sshd(tmp_path / "sshd") as sshd:
        lost = f"lost={sshd.user}@127.0.0.1:1"
        done = init("localhost", lost, "--key", sshd.key, "--output", output, "--json", path=tools)
    report = json.loads(done.stdout)
    assert done.returncode == 1, done.stderr
    here, gone = report["hosts"]
    assert (here["reached"], here["driver"]) == (True, "580.105.08")
    assert [gpu["name"] for gpu in here["gpus"]] == ["NVIDIA A30"]
    assert "Connection refused" in gone["reason"]
    (group,) = report["groups"]
    assert (group["choice"]["profile"], group["hosts"]) == ("a30-bf16", ["localhost", "lost"])
    assert "w8a8 would be faster" in group["choice"]["faster"]
    text = (output / "hosts.yml").read_text()
    assert "# not reached: " in text
    assert "# 1 x NVIDIA A30, 24 GiB, driver 580.105.08" in text
    assert "arithmetic is its limit" in (output / "group_vars" / "all.yml").read_text()
    assert listed(output)["gpu_hosts"]["hosts"] == ["localhost", "lost"]


def test_hosts_without_a_gpu_get_the_tiny_model(tmp_path: Path) -> None:
    output = tmp_path / "fleet"
    done = init("localhost", "--output", output)
    assert done.returncode == 1
    assert "no NVIDIA GPU on its PCI bus" in done.stdout
    settings = yaml.safe_load((output / "group_vars" / "all.yml").read_text())
    assert settings["loadfleet_profile"] == "cpu-smoke"
    assert settings["loadfleet_model"] == {"source": "tiny"}


class TestWhatIsThere:
    def test_is_not_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "hosts.yml").write_text("mine: {}\n")
        before = snapshot(tmp_path)
        done = init("10.0.0.1", "--no-scan", "--output", tmp_path)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"loadfleet: {tmp_path}/hosts.yml is there already: give --force")
        assert snapshot(tmp_path) == before

    def test_is_kept_with_force(self, tmp_path: Path) -> None:
        (tmp_path / "hosts.yml").write_text("mine: {}\n")
        done = init("10.0.0.1", "--no-scan", "--force", "--output", tmp_path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "hosts.yml.bak").read_text() == "mine: {}\n"
        assert "mine" not in listed(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a b"], "'a b'"),
        (["10.0.0.1", "--key", "/nowhere"], "--key /nowhere: not there"),
        (["10.0.0.1", "--revision", "main"], "--revision: give --model"),
        (["10.0.0.1", "--model", "org/name-FP8"], "no profile is shipped for weights in fp8"),
        (["10.0.0.1", "--project", "/"], "--project"),
        (["10.0.0.1", "--model", "no name", "--no-scan"], "loadfleet_model"),
    ],
)
def test_wrong_input_writes_nothing(tmp_path: Path, arguments: list[str], said: str) -> None:
    output = tmp_path / "fleet"
    done = init(*arguments, "--output", output)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert not output.exists()
