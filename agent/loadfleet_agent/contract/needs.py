"""What a profile needs of the host and of the model, so that it fails early and with a reason."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from .base import Frozen
from .host import GpuFacts, capability_number
from .roofline import Precision


class Needs(Frozen):
    """None: anything will do."""

    compute_capability: str | None = Field(
        default=None,
        pattern=r"^\d+\.\d+$",
        description="least compute capability of the GPUs, e.g. 8.0 for Ampere",
    )
    memory_gib: float | None = Field(
        default=None, gt=0, description="least memory of each GPU, GiB"
    )
    precision: Precision | None = Field(
        default=None, description="of the model's own weights: bf16, fp8, w8a8 or w4a16"
    )


def unmet_by_host(needs: Needs, gpus: Sequence[GpuFacts]) -> str:
    """Why these GPUs cannot run the profile, or ''. What a driver does not tell is not held
    against it."""
    for gpu in gpus:
        name = f"GPU {gpu.index} ({gpu.name})"
        if needs.memory_gib is not None and gpu.memory_mib < needs.memory_gib * 1024:
            return (
                f"{name} has {gpu.memory_mib / 1024:.1f} GiB, the profile needs "
                f"{needs.memory_gib:g} GiB"
            )
        if (
            needs.compute_capability is not None
            and gpu.compute_capability is not None
            and capability_number(gpu.compute_capability)
            < capability_number(needs.compute_capability)
        ):
            return (
                f"{name} has compute capability {gpu.compute_capability}, the profile needs "
                f"{needs.compute_capability}"
            )
    return ""


def unmet_by_model(needs: Needs, precision: Precision | None) -> str:
    """Why a model of this precision does not fit the profile, or ''."""
    if needs.precision is None or precision is needs.precision:
        return ""
    what = "in a form that is not known here" if precision is None else f"in {precision}"
    return f"the model's weights are {what}, the profile needs {needs.precision}"
