"""The chain of sources: the first that is on this host is taken, those before it are named."""

from __future__ import annotations

from pathlib import Path

from ..contract.dataset import (
    DatasetFile,
    DatasetSource,
    MlcommonsDataset,
    RebuiltDataset,
    SkippedDataset,
)
from ..contract.plan import RunPlan
from ..contract.status import FailureCode
from ..failure import RunFailure
from .file_source import find_file
from .mlcommons import find_mlcommons
from .rebuilt import find_rebuilt
from .source import Found, NotThere, Wanted
from .synthetic import find_synthetic


def find_first(
    plan: RunPlan, home: Path, scratch: Path
) -> tuple[Found, tuple[SkippedDataset, ...]]:
    """The first source of the plan's chain that is there, and those that were not.

    Never goes on after a source that is there but wrong. Raises RunFailure: dataset-missing if
    none is there; what its source raises.
    """
    skipped: list[SkippedDataset] = []
    for source in plan.dataset:
        try:
            return _find(source, plan, home, scratch), tuple(skipped)
        except NotThere as error:
            skipped.append(SkippedDataset(source=source.source, reason=str(error)))
    raise RunFailure(
        FailureCode.DATASET_MISSING, "; ".join(f"{item.source}: {item.reason}" for item in skipped)
    )


def _find(source: DatasetSource, plan: RunPlan, home: Path, scratch: Path) -> Found:
    wanted = Wanted.of(plan)
    if isinstance(source, MlcommonsDataset):
        return find_mlcommons(source, wanted, home)
    if isinstance(source, DatasetFile):
        return find_file(source, wanted)
    if isinstance(source, RebuiltDataset):
        return find_rebuilt(source, wanted, home, scratch)
    room = plan.engine.max_model_len - plan.generation.max_tokens
    return find_synthetic(source, wanted, room)
