"""What could make a host slow, as single values that are compared between hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from loadfleet_agent.contract.host import GpuFacts, HostFacts
from loadfleet_agent.contract.result import EngineFacts

from ..telemetry import GpuTelemetry, PhaseTelemetry

Value = float | str
Evidence = dict[str, Value]
"""Name of a fact to its value; a fact that the host does not tell is absent."""

THERMAL = ("software thermal slowdown", "hardware thermal slowdown")


def host_evidence(
    facts: HostFacts | None,
    engine: EngineFacts | None,
    phases: Sequence[PhaseTelemetry],
    memory_before_mib: Sequence[float | None],
    clock_off_s: float = 0.0,
) -> Evidence:
    """Facts of the host and of the worst of the GPUs that its engine uses.

    ``phases``: telemetry of its performance runs. ``memory_before_mib``: by index of the GPU.
    ``clock_off_s``: by how much its clock is known to be wrong.
    """
    found: Evidence = {"clock off s": clock_off_s}
    used = set(engine.gpus) if engine else set()
    if facts is not None:
        found |= _of_facts(facts, [gpu for gpu in facts.gpus if gpu.index in used])
        found |= _of_links(facts, phases, used)
    gpus = [gpu for phase in phases for gpu in phase.gpus if gpu.gpu in used]
    found |= _of_sensors(gpus)
    found |= _most("host processors %", (phase.cpu_mean_percent for phase in phases))
    before = (value for gpu, value in enumerate(memory_before_mib) if gpu in used)
    found |= _most("GPU memory in use before MiB", before)
    return found


def _of_facts(facts: HostFacts, gpus: Sequence[GpuFacts]) -> Evidence:
    found: Evidence = {
        "kernel": facts.kernel,
        "operating system": facts.operating_system,
        "CPU": facts.cpu_model,
        "NUMA nodes": str(facts.numa_nodes),
        "driver": facts.nvidia_driver or "none",
        "image": facts.container_image or "none",
        "GPUs in use": str(len(gpus)),
    }
    found |= {f"package {name}": version for name, version in facts.packages.items()}
    for name, read in _SETTINGS.items():
        told = sorted({str(read(gpu)) for gpu in gpus if read(gpu) is not None})
        if told:
            found[name] = " and ".join(told)
    limits = [
        gpu.power_limit_w / gpu.power_limit_default_w
        for gpu in gpus
        if gpu.power_limit_w and gpu.power_limit_default_w
    ]
    return found | _least("power limit share", limits)


_SETTINGS: dict[str, Callable[[GpuFacts], object]] = {
    "GPU": lambda gpu: gpu.name,
    "MIG": lambda gpu: _on(gpu.mig_enabled),
    "ECC": lambda gpu: _on(gpu.ecc_enabled),
    "power limit W": lambda gpu: gpu.power_limit_w,
    "PCIe generation, highest": lambda gpu: gpu.pcie_generation_max,
    "PCIe lanes, most": lambda gpu: gpu.pcie_width_max,
}


def _on(told: bool | None) -> str | None:
    return None if told is None else "on" if told else "off"


def _of_links(facts: HostFacts, phases: Sequence[PhaseTelemetry], used: Iterable[int]) -> Evidence:
    """PCIe links under load, as a share of what the GPU and its slot can do."""
    most = {gpu.index: gpu for gpu in facts.gpus if gpu.index in set(used)}
    lanes: list[float] = []
    generations: list[float] = []
    for phase in phases:
        for gpu in phase.gpus:
            can = most.get(gpu.gpu)
            if can is not None and gpu.pcie_width_min and can.pcie_width_max:
                lanes.append(gpu.pcie_width_min / can.pcie_width_max)
            if can is not None and gpu.pcie_generation_min and can.pcie_generation_max:
                generations.append(gpu.pcie_generation_min / can.pcie_generation_max)
    return _least("PCIe lanes share", lanes) | _least("PCIe generation share", generations)


def _of_sensors(gpus: Sequence[GpuTelemetry]) -> Evidence:
    shares = [gpu.throttled for gpu in gpus]
    found = _most(
        "thermal slowdown share", (sum(share.get(r, 0.0) for r in THERMAL) for share in shares)
    )
    found |= _most("power brake share", (s.get("hardware power brake", 0.0) for s in shares))
    found |= _most("hardware slowdown share", (s.get("hardware slowdown", 0.0) for s in shares))
    found |= _most("application clocks share", (s.get("application clocks", 0.0) for s in shares))
    found |= _least("SM clock MHz", (gpu.sm_clock_median_mhz for gpu in gpus))
    found |= _least("power W", (gpu.power_mean_w for gpu in gpus))
    found |= _most("temperature C", (gpu.temperature_max_c for gpu in gpus))
    found |= _most("ECC errors, uncorrected", (gpu.ecc_uncorrected for gpu in gpus))
    found |= _most("ECC errors, corrected", (gpu.ecc_corrected for gpu in gpus))
    return found | _most("PCIe replays", (gpu.pcie_replays for gpu in gpus))


def _most(name: str, values: Iterable[float | None]) -> Evidence:
    known = [value for value in values if value is not None]
    return {name: float(max(known))} if known else {}


def _least(name: str, values: Iterable[float | None]) -> Evidence:
    known = [value for value in values if value is not None]
    return {name: float(min(known))} if known else {}
