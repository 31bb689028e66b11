"""What may be varied: engine settings that MLPerf's closed division leaves to the submitter.

Batching, memory, attention and number formats are free as long as the accuracy target is met
(inference_policies, "Quantization" and "Scheduling"); prefix caching is not, and stays off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from ..contract.benchmark import Scenario
from ..contract.host import GpuFacts, capability_number
from ..contract.plan import RunPlan
from ..contract.profile import Build
from ..contract.result import ModelFacts
from ..contract.roofline import Precision

GPU_SEQUENCES = (32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536)
CPU_SEQUENCES = (4, 8, 16, 32, 64, 128)
GPU_BATCHED_TOKENS = (2048, 3072, 4096, 6144, 8192, 12_288, 16_384, 32_768)
CPU_BATCHED_TOKENS = (512, 1024, 2048, 4096)
MEMORY_SHARES = (0.86, 0.88, 0.9, 0.92, 0.94, 0.96)
STREAM_INTERVALS = (1, 2, 4, 8)
FP8_CAPABILITY = (8, 9)
"""Ada and Hopper: the first with fp8 tensor cores."""


@dataclass(frozen=True)
class Choice:
    """One engine setting and its values; ``ordered`` values have neighbours that act alike."""

    name: str
    values: tuple[Any, ...]
    ordered: bool


def search_space(
    plan: RunPlan,
    scenario: Scenario,
    gpus: Sequence[GpuFacts],
    model: ModelFacts,
    keep: Sequence[str] = (),
) -> tuple[Choice, ...]:
    """The settings that this host, model and scenario leave open; those in ``keep`` are not varied.

    The plan's own value of each is one of its values. Raises ValueError for a name in ``keep``
    that is not varied anyway.
    """
    cpu = plan.build is Build.CPU
    found = [
        _ordered("max_num_seqs", CPU_SEQUENCES if cpu else GPU_SEQUENCES, plan),
        _ordered("max_num_batched_tokens", CPU_BATCHED_TOKENS if cpu else GPU_BATCHED_TOKENS, plan),
    ]
    if scenario.streams:
        found.append(_ordered("stream_interval", STREAM_INTERVALS, plan))
    if not cpu:
        found.append(_ordered("gpu_memory_utilization", MEMORY_SHARES, plan))
        found += _number_formats(plan, gpus, model)
        modes = ("balanced", "throughput", "interactivity")
        found.append(_either("performance_mode", modes if scenario.streams else modes[:2], plan))
        found.append(_either("attention_backend", _attention_backends(), plan))
    unknown = set(keep) - {choice.name for choice in found}
    if unknown:
        names = ", ".join(choice.name for choice in found)
        raise ValueError(f"{sorted(unknown)[0]} is not varied here, only {names}")
    return tuple(c for c in found if c.name not in keep and len(c.values) > 1)


def _number_formats(
    plan: RunPlan, gpus: Sequence[GpuFacts], model: ModelFacts
) -> tuple[Choice, ...]:
    """Of the KV cache, and of the weights where the checkpoint has them in 16 bit.

    A checkpoint that is quantised already stays as it is.
    """
    has_fp8 = bool(gpus) and all(
        capability_number(gpu.compute_capability or "0") >= FP8_CAPABILITY for gpu in gpus
    )
    # Without fp8 units FlashInfer alone can read such a cache.
    caches = ("auto", "fp8") if has_fp8 or find_spec("flashinfer") else ("auto",)
    weights: tuple[str | None, ...] = (None,)
    if model.precision is Precision.BF16:
        weights = (None, "fp8") if has_fp8 else (None, "int8_per_channel_weight_only")
    return (_either("kv_cache_dtype", caches, plan), _either("quantization", weights, plan))


def _attention_backends() -> tuple[str | None, ...]:
    named = ("FLASH_ATTN", "FLASHINFER") if find_spec("flashinfer") else ("FLASH_ATTN",)
    return (None, *named)


def _ordered(name: str, values: tuple[Any, ...], plan: RunPlan) -> Choice:
    own = getattr(plan.engine, name)
    if own is None:  # vLLM's own choice, which is no neighbour of any number
        return Choice(name, (None, *values), ordered=False)
    return Choice(name, tuple(sorted({*values, own})), ordered=True)


def _either(name: str, values: tuple[Any, ...], plan: RunPlan) -> Choice:
    own = getattr(plan.engine, name)
    return Choice(name, values if own in values else (own, *values), ordered=False)


def base_settings(plan: RunPlan, space: Sequence[Choice]) -> dict[str, Any]:
    """The plan's own values of what is varied."""
    return {choice.name: getattr(plan.engine, choice.name) for choice in space}


def with_settings(plan: RunPlan, settings: Mapping[str, Any]) -> RunPlan:
    """The plan with these engine settings. Raises ValueError for a value that is not valid."""
    engine = plan.engine.model_dump() | dict(settings)
    return RunPlan.model_validate(plan.model_dump() | {"engine": engine})


def why_senseless(settings: Mapping[str, Any], plan: RunPlan) -> str:
    """Why vLLM would refuse this combination, known without starting it, or ''."""
    sequences = settings.get("max_num_seqs", plan.engine.max_num_seqs)
    tokens = settings.get("max_num_batched_tokens", plan.engine.max_num_batched_tokens)
    if tokens is not None and tokens < sequences:
        return f"{tokens} tokens in a step are fewer than {sequences} sequences"
    return ""
