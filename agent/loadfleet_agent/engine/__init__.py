"""The engine seam: what generates tokens. Nothing above it knows vLLM."""

from __future__ import annotations

import os

from ..contract.plan import RunPlan
from ..contract.profile import Build
from ..contract.result import ModelFacts
from ..contract.status import FailureCode
from ..host.placement import Placement, place_replicas, plan_gpus, replica_count
from .base import ContinuationScore, Engine, EngineDied, EngineLoad, EngineStartError
from .replicas import Replica, ReplicatedEngine
from .version import installed, require_known

__all__ = [
    "ContinuationScore",
    "Engine",
    "EngineDied",
    "EngineLoad",
    "EngineStartError",
    "make_engine",
]


def make_engine(plan: RunPlan, model: ModelFacts) -> Engine:
    """The engine of a plan, not yet started. Heavy imports happen here and not before.

    Raises EngineStartError if this host has too few GPUs for it, or a vLLM that is not known.
    """
    if plan.engine.kind == "null":
        from .null import NullEngine

        return NullEngine(plan.generation, model)
    require_known(installed())
    from .vllm import VllmEngine

    replicas = [
        Replica(name, VllmEngine(plan, model, placement)) for name, placement in _placements(plan)
    ]
    if len(replicas) == 1:
        return replicas[0].engine
    return ReplicatedEngine(replicas, plan.generation.max_tokens)


def _placements(plan: RunPlan) -> list[tuple[str, Placement | None]]:
    """Name and share of the host of each replica."""
    gpus = plan_gpus(plan)
    wanted, each = replica_count(plan, gpus), plan.engine.tensor_parallel_size
    if plan.build is Build.CPU:
        return [(f"engine {index}", None) for index in range(wanted)]
    try:
        placed = place_replicas(gpus, wanted, each, frozenset(os.sched_getaffinity(0)))
    except ValueError as error:
        raise EngineStartError(FailureCode.TOO_FEW_GPUS, str(error)) from error
    return [(placement.name, placement) for placement in placed]
