"""Which GPUs and which processors each engine of a host gets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..contract.host import GpuFacts
from ..contract.plan import RunPlan
from ..contract.profile import Build
from .facts import visible_gpus

SYSFS = Path("/sys")


@dataclass(frozen=True)
class Placement:
    """One engine's share of the host."""

    gpus: tuple[GpuFacts, ...]
    numa_node: int | None
    """Of all its GPUs; None where they are on several, or the host does not say."""
    cpus: frozenset[int]
    """Logical processors for the engine's processes; empty: any."""

    @property
    def name(self) -> str:
        """How messages call the engine, e.g. ``GPU 0`` or ``GPUs 0 and 1``."""
        indices = [str(gpu.index) for gpu in self.gpus]
        if len(indices) == 1:
            return f"GPU {indices[0]}"
        return f"GPUs {', '.join(indices[:-1])} and {indices[-1]}"


def plan_gpus(plan: RunPlan) -> tuple[GpuFacts, ...]:
    """The GPUs of this host that a plan's engines get; fewer than they need if it has too few."""
    if plan.build is Build.CPU:
        return ()
    gpus = visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"))
    return gpus[: replica_count(plan, gpus) * plan.engine.tensor_parallel_size]


def replica_count(plan: RunPlan, gpus: Sequence[GpuFacts]) -> int:
    """Engines of a plan on these GPUs: as many as it names, else as many as find room."""
    return plan.engine.replicas or max(1, len(gpus) // plan.engine.tensor_parallel_size)


def place_replicas(
    gpus: Sequence[GpuFacts],
    replicas: int,
    gpus_each: int,
    allowed: frozenset[int],
    sysfs: Path = SYSFS,
) -> list[Placement]:
    """Shares of ``replicas`` engines with ``gpus_each`` GPUs, in the order of the GPUs.

    An engine's processors are those of its GPUs' NUMA node, divided among the engines of that
    node by whole cores. Where the node is not known, or has fewer cores than engines, there is
    no pinning. ``allowed``: logical processors that this process may use. Raises ValueError if
    there are too few GPUs.
    """
    if replicas * gpus_each > len(gpus):
        raise ValueError(f"{replicas} engines of {gpus_each} GPUs, but there are {len(gpus)} GPUs")
    groups = [tuple(gpus[i * gpus_each : (i + 1) * gpus_each]) for i in range(replicas)]
    nodes = [_common_node(group, sysfs) for group in groups]
    shares: list[frozenset[int]] = [frozenset()] * replicas
    for node in {node for node in nodes if node is not None}:
        members = [index for index, other in enumerate(nodes) if other == node]
        cores = _cores(node, allowed, sysfs)
        if len(cores) < len(members):
            continue
        for position, index in enumerate(members):
            first = position * len(cores) // len(members)
            last = (position + 1) * len(cores) // len(members)
            shares[index] = frozenset().union(*cores[first:last])
    return [
        Placement(group, node, cpus)
        for group, node, cpus in zip(groups, nodes, shares, strict=True)
    ]


def _common_node(group: Sequence[GpuFacts], sysfs: Path) -> int | None:
    nodes = {_node(gpu, sysfs) for gpu in group}
    return nodes.pop() if len(nodes) == 1 else None


def _node(gpu: GpuFacts, sysfs: Path) -> int | None:
    """NUMA node of a GPU; None where the kernel does not know (-1) or it is not on the bus."""
    if gpu.pci_bus_id is None:
        return None
    domain, _, rest = gpu.pci_bus_id.lower().partition(":")
    address = f"{domain[-4:]}:{rest}"  # NVML writes the domain with eight digits, sysfs with four
    try:
        node = int((sysfs / "bus/pci/devices" / address / "numa_node").read_text("ascii"))
    except (OSError, ValueError):
        return None
    return node if node >= 0 else None


def _cores(node: int, allowed: frozenset[int], sysfs: Path) -> list[frozenset[int]]:
    """The allowed logical processors of a node, those of one core together, in their order."""
    try:
        cpus = _parse_list((sysfs / f"devices/system/node/node{node}/cpulist").read_text("ascii"))
    except (OSError, ValueError):
        return []
    cores: dict[frozenset[int], frozenset[int]] = {}
    for cpu in sorted(cpus & allowed):
        path = sysfs / f"devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        try:
            core = _parse_list(path.read_text("ascii"))
        except (OSError, ValueError):
            core = frozenset({cpu})
        cores.setdefault(core, core & allowed)
    return list(cores.values())


def _parse_list(text: str) -> frozenset[int]:
    """The kernel's lists, e.g. ``0-3,8``."""
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)
