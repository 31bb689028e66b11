"""The engine seam: what generates tokens. Nothing above it knows vLLM."""

from __future__ import annotations

from ..contract.plan import RunPlan
from ..contract.result import ModelFacts
from .base import Engine, EngineDied, EngineStartError

__all__ = ["Engine", "EngineDied", "EngineStartError", "make_engine"]


def make_engine(plan: RunPlan, model: ModelFacts) -> Engine:
    """The engine of a plan, not yet started. Heavy imports happen here and not before."""
    if plan.engine.kind == "null":
        from .null import NullEngine

        return NullEngine(plan.generation, model)
    from .vllm import VllmEngine

    return VllmEngine(plan, model)
