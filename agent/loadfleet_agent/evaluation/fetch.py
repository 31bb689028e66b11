"""Brings the data of any of lm_eval's tasks to this host, for runs without a network.

Which files these are only the task's own code knows, so lm_eval itself loads it once, by Hugging
Face datasets, into the folder that a run reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ..contract.base import Frozen, Sha256
from ..contract.evaluation import EvaluationPlan
from .environment import datasets_cache
from .tasks import load_tasks


class FetchedTask(Frozen):
    """A task whose data is on this host."""

    how: Literal["downloaded", "present"]
    task: str
    path: str
    data: str
    """Repositories of the hub."""
    questions: int
    bytes: int
    """Of all tasks in that folder."""
    sha256: Sha256
    """Over the questions, as the result of a run has it."""


def fetch_task(task: str, home: Path) -> FetchedTask:
    """The task's data below ``home``, in ``online_environment``.

    Raises RunFailure as ``load_tasks`` does, for a task that no run may ask too.
    """
    folder = datasets_cache(home)
    before = _files(folder)
    (loaded,) = load_tasks([EvaluationPlan(task=task)], home)
    after = _files(folder)
    return FetchedTask(
        how="present" if after == before else "downloaded",
        task=task,
        path=str(folder),
        data=loaded.data.label,
        questions=loaded.data.questions,
        bytes=sum(after.values()),
        sha256=loaded.data.sha256,
    )


def _files(folder: Path) -> dict[Path, int]:
    """What datasets keeps for good: its locks come and go."""
    return {path: path.stat().st_size for path in folder.rglob("*.arrow") if path.is_file()}
