"""The checks before provisioning: each says what it found, and can be left out."""

from __future__ import annotations

import fcntl
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loadfleet_aggregator.doctor.catalogue import HOST_CHECKS

from ..helpers import load_plugin

Look = Callable[..., dict[str, Any]]


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Makes some of the checks of a host with one NVIDIA GPU on its bus."""
    module = load_plugin("host_preflight", "modules")
    device = tmp_path / "devices" / "0000:17:00.0"
    device.mkdir(parents=True)
    for name, text in (("vendor", "0x10de"), ("class", "0x030200"), ("device", "0x20b7")):
        (device / name).write_text(f"{text}\n")
    monkeypatch.setattr(sys.modules["ansible.module_utils.pci_bus"], "DEVICES", device.parent)
    utility = sys.modules["ansible.module_utils.run_lock"]
    monkeypatch.setattr(utility, "GPU_LOCKS", tmp_path / "locks")

    def run(*checks: str, **params: Any) -> dict[str, Any]:
        preflight = module.Preflight(
            {
                "home": str(tmp_path), "systems": [], "disk": [], "memory_gib": 0.0,
                "needs_kernel_headers": False, "needs_unsigned_modules": False,
            } | params
        )  # fmt: skip
        preflight.findings.run((name, getattr(preflight, name)) for name in checks)
        result: dict[str, Any] = preflight.findings.result
        return result

    return run


@pytest.mark.parametrize("check", ["run", "gpu", "secure_boot", "kernel_headers", "memory", "disk"])
def test_what_is_well_is_told(look: Look, check: str) -> None:
    result = look(check)
    assert result["findings"] == []
    assert list(result["passed"]) == [check]


def test_a_run_in_progress_is_named(look: Look, tmp_path: Path) -> None:
    with (tmp_path / "run.lock").open("w+") as stream:
        json.dump({"run_id": "r-7", "since": "noon"}, stream)
        stream.flush()
        fcntl.flock(stream, fcntl.LOCK_EX)
        result = look("run")
    assert result["findings"][0]["cause"] == "run r-7 is in progress since noon"
    assert result["passed"] == {}


def test_too_small_a_host_is_an_error(look: Look, tmp_path: Path) -> None:
    disk = [{"path": str(tmp_path / "new"), "gib": 1e6, "purpose": "model", "unless": None}]
    result = look("memory", "disk", memory_gib=1e6, disk=disk)
    assert [item["check"] for item in result["findings"]] == ["memory", "disk"]
    assert {item["severity"] for item in result["findings"]} == {"error"}
    assert result["facts"]["home_free_gib"] > 0


def test_a_disk_that_has_it_already_is_asked_for_nothing(look: Look, tmp_path: Path) -> None:
    entry = {"path": str(tmp_path), "gib": 1e6, "purpose": "model", "unless": str(tmp_path)}
    assert look("disk", disk=[entry])["passed"] == {"disk": "nothing more is needed"}


def test_a_host_without_a_gpu_is_named(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["ansible.module_utils.pci_bus"], "DEVICES", Path("/nowhere"))
    assert look("gpu")["findings"][0]["cause"] == "no NVIDIA GPU on the PCI bus"


def test_doctor_knows_every_check() -> None:
    told = {kind.id for kind in HOST_CHECKS}
    # What root is to a module, the way to it is to doctor.
    assert set(load_plugin("host_preflight", "modules").CHECKS) - told == {"root"}
