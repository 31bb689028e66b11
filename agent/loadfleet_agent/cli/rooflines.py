"""What each GPU of this host can do at most for the benchmark, as inspect shows it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from pydantic import Field, computed_field

from ..contract.base import Frozen
from ..contract.benchmark import MAX_OUTPUT_TOKENS, MEAN_INPUT_TOKENS
from ..contract.host import GpuFacts
from ..contract.profile import EngineSettings
from ..contract.roofline import EXPECTED_SHARE, Precision, Roofline, gpu_model, roofline

MEMORY_SHARE: float = EngineSettings.model_fields["gpu_memory_utilization"].default
HEAD = (
    "precision",
    "prefill tokens/s",
    "decode tokens/s",
    "KV cache tokens",
    "sequences",
    "limit samples/s",
    "expected samples/s",
)
ASSUMED = (
    f"One GPU, Llama-3.1-8B, prompts of {MEAN_INPUT_TOKENS} and answers of {MAX_OUTPUT_TOKENS} "
    f"tokens (CNN/DailyMail's mean and MLPerf's longest), {MEMORY_SHARE:.0%} of the memory, a "
    "16-bit KV cache that bounds the sequences; peaks from NVIDIA's data sheets, without "
    "sparsity. Prefill is bound by arithmetic, decode by memory traffic; the limit has both at "
    f"the same time, expected is {EXPECTED_SHARE[0]:.0%} to {EXPECTED_SHARE[1]:.0%} of one after "
    "the other."
)


class PrecisionLimits(Frozen):
    """A row: one precision of the weights."""

    precision: Precision
    roofline: Roofline | None = Field(description="None: the model does not fit")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def expected_samples_per_s(self) -> tuple[float, float] | None:
        """From and to, of one GPU."""
        return self.roofline.expected_samples_per_s if self.roofline else None


class GpuLimits(Frozen):
    """GPUs of one kind. Each by itself has these limits."""

    name: str
    gpus: tuple[int, ...] = Field(description="indices")
    limits: tuple[PrecisionLimits, ...] = Field(description="precisions that it has units for")
    reason: str = Field(description="why there are no limits, or ''")


def host_limits(gpus: Sequence[GpuFacts]) -> tuple[GpuLimits, ...]:
    """Of each kind of GPU: the same name, memory and MIG mode."""
    kinds: dict[tuple[str, int, bool], list[int]] = {}
    for gpu in gpus:
        kinds.setdefault((gpu.name, gpu.memory_mib, gpu.mig_enabled is True), []).append(gpu.index)
    return tuple(_of_kind(*kind, tuple(indices)) for kind, indices in kinds.items())


def _of_kind(name: str, memory_mib: int, mig: bool, indices: tuple[int, ...]) -> GpuLimits:
    model = gpu_model(name)
    if model is None or mig:
        reason = (
            "in MIG mode, where the peaks of the whole GPU do not hold"
            if mig
            else "its peaks are not in the table of GPUs, so its limits are not known"
        )
        return GpuLimits(name=name, gpus=indices, limits=(), reason=reason)
    limits = tuple(
        PrecisionLimits(
            precision=precision,
            roofline=roofline(
                model,
                name,
                float(memory_mib << 20),
                precision,
                prompt_tokens=MEAN_INPUT_TOKENS,
                answer_tokens=MAX_OUTPUT_TOKENS,
                memory_share=MEMORY_SHARE,
            ),
        )
        for precision in model.precisions
    )
    return GpuLimits(name=name, gpus=indices, limits=limits, reason="")


def limits_lines(found: Sequence[GpuLimits]) -> list[str]:
    """A table for each kind of GPU, then what it assumes; nothing without GPUs."""
    lines: list[str] = []
    for kind in found:
        named = f"{_named(kind.gpus)} ({kind.name})"
        if kind.reason:
            lines += ["", f"{named}: {kind.reason}"]
            continue
        lines += ["", f"physical limits, {named}:"]
        lines += _aligned([HEAD, *(_row(limits) for limits in kind.limits)])
    if any(kind.limits for kind in found):
        lines += ["", *textwrap.wrap(ASSUMED, 100)]
    return lines


def _named(indices: Sequence[int]) -> str:
    numbers = ", ".join(map(str, indices))
    return f"GPU {numbers}" if len(indices) == 1 else f"each of GPUs {numbers}"


def _row(limits: PrecisionLimits) -> tuple[str, ...]:
    best = limits.roofline
    if best is None:
        return (limits.precision.value, "does not fit", *[""] * (len(HEAD) - 2))
    low, high = best.expected_samples_per_s
    return (
        limits.precision.value,
        f"{best.prefill_tokens_per_s:,.0f}",
        f"{best.decode_tokens_per_s:,.0f}",
        f"{best.kv_tokens:,}",
        f"{best.sequences:,}",
        f"{best.limit_samples_per_s:.1f}",
        f"{low:.1f} to {high:.1f}",
    )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
        for row in rows
    ]
