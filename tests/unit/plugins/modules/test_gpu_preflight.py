"""Each check of the GPUs finds what is wrong, and nothing where all is well."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loadfleet_aggregator.doctor.catalogue import HOST_CHECKS

from ..gpu_tool import HEALTHY, put_tool
from ..helpers import load_plugin

WANTED = {"branch": 580, "mig": False, "ecc": True, "power_limit_w": None}
CHECKS = ("driver", "gpus", "mig", "ecc", "power", "persistence", "throttling", "pcie")

Look = Callable[..., dict[str, Any]]


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Runs the module over GPUs as the tool has them and ``bus`` GPUs on the PCI bus."""
    module = load_plugin("gpu_preflight", "modules")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    devices = tmp_path / "devices"
    monkeypatch.setattr(sys.modules["ansible.module_utils.pci_bus"], "DEVICES", devices)

    def run(
        *changes: dict[str, str], bus: int | None = None, tool: bool = True, **options: Any
    ) -> dict[str, Any]:
        wanted = {key: options.pop(key) for key in tuple(options) if key in WANTED}
        gpus = [HEALTHY | change for change in changes or ({},)]
        for number in range(len(gpus) if bus is None else bus):
            device = devices / f"0000:{number:02x}:00.0"
            device.mkdir(parents=True)
            for name, text in (("vendor", "0x10de"), ("class", "0x030200"), ("device", "0x20b7")):
                (device / name).write_text(f"{text}\n")
        if tool:
            put_tool(tmp_path / "bin", gpus, **options)
        checks = module.GpuPreflight(WANTED | wanted)
        checks.findings.run(
            [(name, getattr(checks, "count" if name == "gpus" else name)) for name in CHECKS]
        )
        result: dict[str, Any] = checks.findings.result
        return result

    return run


def findings(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(item["check"], item["severity"], item["cause"]) for item in result["findings"]]


def test_a_healthy_gpu_passes_every_check(look: Look) -> None:
    result = look()
    assert result["findings"] == []
    assert set(result["passed"]) == set(CHECKS)
    assert result["passed"]["gpus"] == "1 x NVIDIA A30 (24 GiB)"
    assert result["facts"]["bus"] == [{"address": "0000:00:00.0", "device": "20b7"}]


@pytest.mark.parametrize(
    ("change", "check", "severity", "said"),
    [
        ({"driver_version": "570.211.01"}, "driver", "error", "570.211.01 is too old"),
        (
            {"mig.mode.current": "Enabled", "mig.mode.pending": "Enabled"},
            "mig",
            "error",
            "GPU 0: MIG is enabled",
        ),
        ({"mig.mode.pending": "Enabled"}, "mig", "error", "enabled from the next boot on"),
        (
            {"ecc.mode.current": "Disabled", "ecc.mode.pending": "Disabled"},
            "ecc",
            "error",
            "GPU 0: ECC is disabled",
        ),
        (
            {"ecc.errors.uncorrected.volatile.total": "3"},
            "ecc",
            "error",
            "GPU 0 has 3 uncorrected memory errors",
        ),
        ({"power.limit": "120.00"}, "power", "warning", "capped at 120 W, wanted is 165 W"),
        ({"persistence_mode": "Disabled"}, "persistence", "warning", "GPU 0 let go"),
        (
            {"clocks_throttle_reasons.active": "0x0000000000000048"},
            "throttling",
            "warning",
            "slowed down now by heat",
        ),
        (
            {"clocks_throttle_reasons.active": "0x0000000000000080"},
            "throttling",
            "warning",
            "slowed down now by power brake",
        ),
        ({"temperature.gpu": "78"}, "throttling", "warning", "78 degrees Celsius hot without"),
        ({"pcie.link.width.max": "8"}, "pcie", "warning", "8 PCIe lanes of 16"),
    ],
)
def test_what_is_wrong_is_found_and_nothing_else(
    look: Look, change: dict[str, str], check: str, severity: str, said: str
) -> None:
    result = look(change)
    (found,) = findings(result)
    assert found[:2] == (check, severity)
    assert said in found[2]
    assert check not in result["passed"]
    assert set(result["passed"]) == set(CHECKS) - {check}


def test_work_makes_a_gpu_warm(look: Look) -> None:
    assert look({"temperature.gpu": "78", "utilization.gpu": "96"})["findings"] == []


def test_a_gpu_without_a_feature_is_not_blamed_for_it(look: Look) -> None:
    absent = dict.fromkeys(
        (
            "mig.mode.current", "mig.mode.pending", "ecc.mode.current", "ecc.mode.pending",
            "ecc.errors.uncorrected.volatile.total", "power.limit", "power.default_limit",
            "temperature.gpu", "utilization.gpu", "pcie.link.width.max", "pcie.link.gen.max",
        ),
        "[N/A]",
    )  # fmt: skip
    assert look(absent)["findings"] == []


def test_the_power_limit_that_was_asked_for_is_well(look: Look) -> None:
    assert look({"power.limit": "120.00"}, power_limit_w=120.0)["findings"] == []


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"remapped_rows.pending": "1", "remapped_rows.failure": "0"}, "wait to be remapped"),
        ({"remapped_rows.pending": "0", "remapped_rows.failure": "1"}, "could not be remapped"),
    ],
)
def test_memory_rows_to_remap_are_found(look: Look, row: dict[str, str], said: str) -> None:
    (found,) = findings(look(remapped=[{"gpu_uuid": "GPU-1"} | row]))
    assert found[:2] == ("ecc", "error")
    assert said in found[2]


def test_a_gpu_that_the_driver_does_not_see_is_missed(look: Look) -> None:
    (found,) = findings(look(bus=2))
    assert found[0] == "gpus"
    assert "sees 1 of the 2 GPUs" in found[2]


def test_a_driver_that_fails_is_told_in_its_own_words(look: Look) -> None:
    (found,) = findings(look(problem="NVIDIA-SMI has failed"))
    assert found[:2] == ("driver", "error")
    assert found[2].endswith("NVIDIA-SMI has failed")


def test_a_gpu_without_a_driver_is_seen_on_the_bus(
    look: Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = look(tool=False)
    (found,) = findings(result)
    assert found[2] == "no NVIDIA driver works: nvidia-smi is not installed"
    assert [gpu["device"] for gpu in result["facts"]["bus"]] == ["20b7"]


def test_a_check_that_breaks_hides_none_of_the_others(look: Look) -> None:
    result = look({"power.limit": "many", "persistence_mode": "Disabled"})
    broken, persistence = findings(result)
    assert broken[0] == "power"
    assert "could not be checked: ValueError" in broken[2]
    assert persistence[0] == "persistence"


def test_doctor_knows_every_check() -> None:
    assert set(CHECKS) <= {kind.id for kind in HOST_CHECKS}
