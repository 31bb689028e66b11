"""The JSON document that says what the stand-in GPUs are like, and the states to test.

Keys of a GPU are the field names of ``nvidia-smi --help-query-gpu``, values are numbers in that
tool's units (MiB, W, MHz, degrees Celsius, percent) or its words. Null is what it writes as [N/A].
"""

from __future__ import annotations

import copy
import fcntl
import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Document = dict[str, Any]
Gpu = dict[str, Any]

GPUS = "etc/nvidia-standin/gpus.json"
LOADED = "run/nvidia-standin/loaded"

OTHER_DRIVER = "570.211.01"
HW_SLOWDOWN = 0x8
HW_THERMAL_SLOWDOWN = 0x40


def a30(host: str = "host", count: int = 1) -> Document:
    """``count`` healthy, idle NVIDIA A30; ``host`` makes their UUIDs and serial numbers its own.

    The driver's and CUDA's versions are those of the stand-in packages that are installed.
    165 W, 100 W at least, 24 GiB HBM2, PCIe 4.0 x16: NVIDIA A30 data sheet and its nvidia-smi -q.
    """
    return {"gpus": [_a30(host, index) for index in range(count)]}


def _a30(host: str, index: int) -> Gpu:
    identity = uuid.uuid5(uuid.NAMESPACE_DNS, f"gpu{index}.{host}.invalid")
    return {
        "index": index,
        "name": "NVIDIA A30",
        "uuid": f"GPU-{identity}",
        "serial": str(identity.int)[:13],
        "pci.bus_id": f"00000000:{0x17 + 0x24 * index:02X}:00.0",
        "compute_cap": "8.0",
        "pstate": "P0",
        "compute_mode": "Default",
        "display_active": "Disabled",
        "fan.speed": None,
        "memory.total": 24576,
        "memory.reserved": 511,
        "memory.used": 0,
        "utilization.gpu": 0,
        "utilization.memory": 0,
        "power.draw": 28.4,
        "power.limit": 165,
        "power.default_limit": 165,
        "power.min_limit": 100,
        "power.max_limit": 165,
        "enforced.power.limit": 165,
        "temperature.gpu": 31,
        "temperature.memory": 30,
        "clocks.sm": 210,
        "clocks.gr": 210,
        "clocks.mem": 1215,
        "clocks.max.sm": 1440,
        "clocks.max.gr": 1440,
        "clocks.max.mem": 1215,
        "clocks_throttle_reasons.active": _mask(0x1),  # idle
        "persistence_mode": "Disabled",
        "mig.mode.current": "Disabled",
        "mig.mode.pending": "Disabled",
        "ecc.mode.current": "Enabled",
        "ecc.mode.pending": "Enabled",
        "ecc.errors.corrected.volatile.total": 0,
        "ecc.errors.uncorrected.volatile.total": 0,
        "pcie.link.gen.max": 4,
        "pcie.link.gen.current": 4,
        "pcie.link.width.max": 16,
        "pcie.link.width.current": 16,
        "processes": [],
    }


def _mask(reasons: int) -> str:
    return f"0x{reasons:016x}"


def _changed(document: Document, **versions: str | None) -> Document:
    return copy.deepcopy(document) | versions


def _each(document: Document, values: Gpu) -> Document:
    return document | {"gpus": [_set(gpu, values) for gpu in document["gpus"]]}


def _set(gpu: Gpu, values: Gpu) -> Gpu:
    """The values are the hardware's: a boot does not bring back what was there before."""
    at_load = {key: old for key, old in gpu.get("at_load", {}).items() if key not in values}
    changed = copy.deepcopy(gpu) | values | {"at_load": at_load}
    if not at_load:
        del changed["at_load"]
    return changed


def healthy(document: Document) -> Document:
    """The same GPUs, each as ``a30`` makes it."""
    identity = ("index", "uuid", "serial", "pci.bus_id")
    gpus = document["gpus"]
    return {"gpus": [_a30("", 0) | {key: gpu[key] for key in identity} for gpu in gpus]}


def missing_driver(document: Document) -> Document:
    """No driver is loaded, and none loads at the next boot."""
    return _changed(document, driver_version=None)


def version_mismatch(document: Document) -> Document:
    """The kernel has another version of the driver than the libraries."""
    return _changed(document, driver_version=OTHER_DRIVER)


def no_devices(document: Document) -> Document:
    """The driver is loaded and finds no GPU, as with the wrong flavour of its modules."""
    return document | {"gpus": []}


def mig_on(document: Document) -> Document:
    """Every GPU is in MIG mode."""
    return _each(document, {"mig.mode.current": "Enabled", "mig.mode.pending": "Enabled"})


def throttling(document: Document) -> Document:
    """Every GPU is too hot and runs at a fraction of its clock."""
    values = {
        "temperature.gpu": 93,
        "clocks.sm": 435,
        "clocks.gr": 435,
        "power.draw": 79.5,
        "utilization.gpu": 100,
        "clocks_throttle_reasons.active": _mask(HW_SLOWDOWN | HW_THERMAL_SLOWDOWN),
    }
    return _each(document, values)


def ecc_errors(document: Document) -> Document:
    """Every GPU has counted memory errors, corrected and not."""
    values = {
        "ecc.errors.corrected.volatile.total": 12,
        "ecc.errors.uncorrected.volatile.total": 3,
    }
    return _each(document, values)


def ecc_off(document: Document) -> Document:
    """Every GPU runs without ECC, and so counts no errors."""
    return _each(document, {"ecc.mode.current": "Disabled", "ecc.mode.pending": "Disabled"})


def wrong_power_cap(document: Document) -> Document:
    """Every GPU is capped at 120 W, also after a boot, until nvidia-smi -pl says otherwise."""
    return _each(document, {"power.limit": 120, "enforced.power.limit": 120})


def other_process(document: Document) -> Document:
    """Another process computes on every GPU."""
    process = {"pid": 4242, "process_name": "/usr/bin/other-job", "used_memory": 8192}
    values = {"memory.used": 8192, "utilization.gpu": 97, "processes": [process]}
    return _each(document, values)


MODES: dict[str, Callable[[Document], Document]] = {
    mode.__name__: mode
    for mode in (
        healthy,
        missing_driver,
        version_mismatch,
        no_devices,
        mig_on,
        throttling,
        ecc_errors,
        ecc_off,
        wrong_power_cap,
        other_process,
    )
}


def write(machine_root: Path, document: Document) -> None:
    """Puts the document into a machine's file system, in one step also while that runs."""
    path = machine_root / GPUS
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # as the stand-in's programs do when they write
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        fresh.chmod(0o644)
        fresh.replace(path)
    finally:
        os.close(folder)


def read(machine_root: Path) -> Document:
    """The document as it is now: setters of nvidia-smi and nvidia-persistenced write to it."""
    document: Document = json.loads((machine_root / GPUS).read_text(encoding="utf-8"))
    return document


@contextmanager
def put(machine_root: Path, change: Callable[[Document], Document]) -> Iterator[None]:
    """A machine with its GPUs changed; afterwards they are as they were."""
    before = read(machine_root)
    write(machine_root, change(before))
    try:
        yield
    finally:
        write(machine_root, before)


def write_loaded(machine_root: Path, version: str) -> None:
    """Makes ``version`` the loaded driver, where no boot does: in a folder, not in a machine."""
    path = machine_root / LOADED
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{version}\n", encoding="utf-8")
