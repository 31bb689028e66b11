"""Samples GPU and host sensors once a second into telemetry.jsonl while a run is on."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from ..contract.base import utc_now
from ..contract.files import append_for_all

INTERVAL_S = 1.0


class Telemetry:
    """A thread that appends one JSON line a second.

    stop() takes a last sample, so that all that ended before it is covered, and closes the file.
    """

    def __init__(self, path: Path, interval_s: float = INTERVAL_S) -> None:
        self._path = path
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        read_gpus, close = _gpu_reader()
        psutil.cpu_percent()  # the first call only sets the starting point
        try:
            with append_for_all(self._path) as stream:
                stopped = False
                while not stopped:
                    stopped = self._stop.wait(self._interval_s)
                    stream.write(json.dumps(_sample(read_gpus), separators=(",", ":")) + "\n")
                    stream.flush()
        except OSError:
            # A full disk ends the run through the phase that writes results; sensors must not.
            return
        finally:
            close()


def _sample(read_gpus: Callable[[], list[dict[str, Any]]]) -> dict[str, Any]:
    memory = psutil.virtual_memory()
    return {
        "at_utc": utc_now().isoformat(),
        "cpu_percent": psutil.cpu_percent(),
        "memory_used_mib": (memory.total - memory.available) >> 20,
        "gpus": read_gpus(),
    }


def _gpu_reader() -> tuple[Callable[[], list[dict[str, Any]]], Callable[[], None]]:
    """A function that reads all GPUs, and one that lets NVML go."""

    def nothing() -> None:
        return None

    try:
        import pynvml
    except ImportError:
        return list, nothing
    try:
        pynvml.nvmlInit()
        devices = [
            pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())
        ]
    except pynvml.NVMLError:
        return list, nothing
    return lambda: [_read_gpu(pynvml, device) for device in devices], pynvml.nvmlShutdown


def _read_gpu(nvml: Any, device: Any) -> dict[str, Any]:
    """All that NVML tells at once; None where this GPU or driver does not.

    Not its PCIe throughput: NVML counts that for 20 ms in each direction, a third of the
    interval with eight GPUs.
    """

    def ask(name: str, *arguments: object) -> Any:
        try:
            return getattr(nvml, name)(device, *arguments)
        except nvml.NVMLError:
            return None

    def ecc_errors(kind: int) -> Any:
        return ask("nvmlDeviceGetTotalEccErrors", kind, nvml.NVML_VOLATILE_ECC)

    power, memory = ask("nvmlDeviceGetPowerUsage"), ask("nvmlDeviceGetMemoryInfo")
    load = ask("nvmlDeviceGetUtilizationRates")
    reasons = ask("nvmlDeviceGetCurrentClocksEventReasons")
    if reasons is None:  # its name in drivers before 535
        reasons = ask("nvmlDeviceGetCurrentClocksThrottleReasons")
    hottest = ask("nvmlDeviceGetFieldValues", [nvml.NVML_FI_DEV_MEMORY_TEMP])
    return {
        "power_w": None if power is None else power / 1000,
        "energy_mj": ask("nvmlDeviceGetTotalEnergyConsumption"),
        "temperature_c": ask("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
        "memory_temperature_c": _field(nvml, hottest),
        "sm_clock_mhz": ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
        "memory_clock_mhz": ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_MEM),
        "throttle_reasons": reasons,
        "memory_used_mib": None if memory is None else memory.used >> 20,
        "utilization_percent": None if load is None else load.gpu,
        "memory_utilization_percent": None if load is None else load.memory,
        "pcie_generation": ask("nvmlDeviceGetCurrPcieLinkGeneration"),
        "pcie_width": ask("nvmlDeviceGetCurrPcieLinkWidth"),
        "pcie_replays": ask("nvmlDeviceGetPcieReplayCounter"),
        "ecc_corrected": ecc_errors(nvml.NVML_MEMORY_ERROR_TYPE_CORRECTED),
        "ecc_uncorrected": ecc_errors(nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED),
    }


def _field(nvml: Any, values: Any) -> int | None:
    """The one unsigned number that was asked for; each field has a return code of its own."""
    if not values or values[0].nvmlReturn != nvml.NVML_SUCCESS:
        return None
    return int(values[0].value.uiVal)
