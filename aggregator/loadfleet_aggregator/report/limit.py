"""How far a run is from what its GPUs can do at most (contract.roofline)."""

from __future__ import annotations

from collections.abc import Sequence

from loadfleet_agent.contract.benchmark import Mode, Scenario
from loadfleet_agent.contract.host import GpuFacts, HostFacts
from loadfleet_agent.contract.result import EngineFacts, ModelFacts, PhaseResult
from loadfleet_agent.contract.roofline import (
    KV_VALUE_BYTES,
    Precision,
    Roofline,
    gpu_model,
    roofline,
)
from pydantic import ValidationError

from .model import PhysicalLimit

SIXTEEN_BIT = frozenset({"bfloat16", "float16"})
SENSELESS = "the sizes that the host tells of model, samples or engine make no sense"

MOST_REACHED = 10.0
"""A run so far over the limit was not of the model, the lengths or the GPUs that the host tells."""


class _Unknown(ValueError):
    """Something without which there is no limit; the text says what."""


def physical_limit(
    phase: PhaseResult,
    engine: EngineFacts | None,
    model: ModelFacts | None,
    facts: HostFacts | None,
) -> tuple[PhysicalLimit | None, str]:
    """The limit of a performance run's GPUs for the lengths that it had, or why there is none.

    Neither for a run that used no GPU or asked one query at a time.
    """
    speed = phase.loadgen.samples_per_second
    bounded = phase.mode is Mode.PERFORMANCE and phase.scenario is not Scenario.SINGLE_STREAM
    if not bounded or engine is None or not engine.gpus or not speed:
        return None, ""
    try:
        return _limit(phase, speed, engine, model, _alike(engine.gpus, facts)), ""
    except _Unknown as error:
        return None, str(error)
    except (ArithmeticError, ValidationError):
        return None, SENSELESS


def _limit(
    phase: PhaseResult,
    speed: float,
    engine: EngineFacts,
    model: ModelFacts | None,
    gpus: Sequence[GpuFacts],
) -> PhysicalLimit:
    """Raises _Unknown; ArithmeticError or ValidationError for values that no host has."""
    best = _one_engine(phase, engine, model, gpus)
    replicas = len(gpus) // _integer(engine, "tensor_parallel_size", 1)
    limit = best.limit_samples_per_s * replicas
    if speed > MOST_REACHED * limit:
        raise _Unknown(SENSELESS)
    decode_s = best.answer_tokens / best.decode_tokens_per_s
    low, high = best.expected_samples_per_s
    offline = phase.scenario is Scenario.OFFLINE
    return PhysicalLimit(
        gpu=gpus[0].name,
        gpus=len(gpus),
        replicas=replicas,
        precision=best.precision,
        kv_tokens=best.kv_tokens,
        sequences=min(best.sequences, _integer(engine, "max_num_seqs", best.sequences)),
        limit_samples_per_second=limit,
        limit_tokens_per_second=limit * phase.output_tokens.mean,
        prefill_tokens_per_second=best.prefill_tokens_per_s * replicas,
        decode_tokens_per_second=best.decode_tokens_per_s * replicas,
        bound_by="memory traffic" if decode_s * best.limit_samples_per_s > 0.999 else "arithmetic",
        reached=speed / limit,
        # Where vLLM was measured; in the other scenarios latency limits bound the rate.
        expected=(low / best.limit_samples_per_s, high / best.limit_samples_per_s)
        if offline
        else None,
    )


def _alike(indices: Sequence[int], facts: HostFacts | None) -> list[GpuFacts]:
    """The GPUs in use. Raises _Unknown unless they are whole and of one kind."""
    by_index = {gpu.index: gpu for gpu in facts.gpus} if facts else {}
    gpus = [by_index[index] for index in indices if index in by_index]
    if len(gpus) != len(indices):
        raise _Unknown("the host does not tell of all GPUs that were used")
    if len({gpu.name for gpu in gpus}) > 1:
        raise _Unknown("the GPUs that were used are not of one kind")
    if any(gpu.mig_enabled for gpu in gpus):
        raise _Unknown("in MIG mode the peaks of the whole GPU do not hold")
    return gpus


def _one_engine(
    phase: PhaseResult, engine: EngineFacts, model: ModelFacts | None, gpus: Sequence[GpuFacts]
) -> Roofline:
    """The limits of one replica. Raises _Unknown."""
    peaks = gpu_model(gpus[0].name)
    if peaks is None:
        raise _Unknown(f"the peaks of {gpus[0].name} are not in the table of GPUs")
    if min(phase.input_tokens.mean, phase.output_tokens.mean) <= 0:
        raise _Unknown(SENSELESS)
    if model is None or model.geometry is None:
        raise _Unknown("the shape of the model is not known")
    each = _integer(engine, "tensor_parallel_size", 1)
    if len(gpus) % each:
        raise _Unknown(f"{len(gpus)} GPUs are no whole engines of {each}")
    kv_tokens = _kv_tokens(engine)
    found = roofline(
        peaks.times(each),
        gpus[0].name,
        float(min(gpu.memory_mib for gpu in gpus) << 20) * each,
        _precision(engine, model),
        geometry=model.geometry,
        prompt_tokens=phase.input_tokens.mean,
        answer_tokens=phase.output_tokens.mean,
        memory_share=_memory_share(engine) if kv_tokens is None else 1.0,
        kv_value_bytes=_kv_value_bytes(engine),
        max_sequences=_integer(engine, "max_num_seqs", 0) or None,
        kv_tokens=kv_tokens,
    )
    if found is None:
        raise _Unknown("by this reckoning the model does not fit")
    return found


def _precision(engine: EngineFacts, model: ModelFacts) -> Precision:
    """Of the arithmetic: the stored weights', or what vLLM made of 16-bit ones.

    Raises _Unknown for one that is not known.
    """
    if model.precision is None:
        raise _Unknown("the form of the weights is not known")
    if model.precision is not Precision.BF16:
        return model.precision
    if (method := engine.settings.get("quantization")) is not None:
        if method == "fp8":
            return Precision.FP8
        raise _Unknown(f"what quantization {method} computes in is not known")
    dtype = str(engine.settings.get("dtype")).removeprefix("torch.")
    if dtype not in SIXTEEN_BIT:
        raise _Unknown(f"there are no peaks for dtype {dtype}")
    return Precision.BF16


def _kv_value_bytes(engine: EngineFacts) -> float:
    dtype = str(engine.settings.get("kv_cache_dtype", "auto"))
    if dtype not in KV_VALUE_BYTES:
        raise _Unknown(f"what a KV cache of {dtype} takes is not known")
    return KV_VALUE_BYTES[dtype]


def _kv_tokens(engine: EngineFacts) -> int | None:
    """As the engine has measured it; None where it does not tell."""
    blocks, size = (_integer(engine, f"kv_cache_block{name}", 0) for name in ("s", "_size"))
    return blocks * size or None


def _memory_share(engine: EngineFacts) -> float:
    share = engine.settings.get("gpu_memory_utilization")
    if not isinstance(share, int | float):
        raise _Unknown("the engine does not tell its share of the memory")
    return share


def _integer(engine: EngineFacts, name: str, otherwise: int) -> int:
    value = engine.settings.get(name)
    return value if isinstance(value, int) and value > 0 else otherwise
