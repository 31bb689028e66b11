"""Settings that arithmetic suggests, tried right after the profile as it was.

A search of half an hour has six to ten trials: one of them should be where a hand would begin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..contract.host import GpuFacts
from ..contract.plan import RunPlan
from ..contract.result import ModelFacts
from ..contract.roofline import KV_VALUE_BYTES, Precision, gpu_model, roofline
from .space import Choice

MEMORY_SHARE = 0.94


def likely_settings(
    plan: RunPlan,
    space: Sequence[Choice],
    gpus: Sequence[GpuFacts],
    model: ModelFacts,
    prompt_tokens: float,
) -> dict[str, Any] | None:
    """The smallest number formats, and as many sequences as the KV cache then holds.

    ``prompt_tokens``: of a sample on average. None where the GPU's memory or the model's size is
    not known, as on a CPU.
    """
    values = {choice.name: choice.values for choice in space}
    if not gpus or model.geometry is None or model.precision is None:
        return None
    chosen = {name: getattr(plan.engine, name) for name in values}
    for name, wanted in (
        ("quantization", "fp8"),
        ("kv_cache_dtype", "fp8"),
        ("gpu_memory_utilization", MEMORY_SHARE),
    ):
        if wanted in values.get(name, ()):
            chosen[name] = wanted
    settings = plan.engine.model_dump() | chosen
    gpu = gpu_model(gpus[0].name)
    kv_value_bytes = KV_VALUE_BYTES.get(settings["kv_cache_dtype"])
    if gpu is None or kv_value_bytes is None:
        return None
    is_fp8 = str(settings["quantization"] or "").startswith("fp8")
    found = roofline(
        gpu,
        gpus[0].name,
        gpus[0].memory_mib * 2**20,
        Precision.FP8 if is_fp8 else model.precision,
        geometry=model.geometry,
        prompt_tokens=prompt_tokens,
        answer_tokens=plan.generation.max_tokens,
        memory_share=settings["gpu_memory_utilization"],
        kv_value_bytes=kv_value_bytes,
    )
    if found is None:
        return None
    if "max_num_seqs" in values:
        # With more than fit, vLLM preempts the last ones as answers grow, and computes them anew.
        fitting = [value for value in values["max_num_seqs"] if value <= found.sequences]
        chosen["max_num_seqs"] = max(fitting, default=min(values["max_num_seqs"]))
    return chosen
