"""The tasks of a plan, from lm_eval's own definitions, over the data of this host."""

from __future__ import annotations

import difflib
import functools
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from ..contract.base import digest
from ..contract.evaluation import MMLU_SUBJECTS, EvaluationData, EvaluationPlan, Shard
from ..contract.status import FailureCode
from ..failure import RunFailure
from .data import MmluPlace, find_mmlu, questions_sha256
from .environment import datasets_cache

FEWSHOT_SEED = 1234
"""lm_eval's default, of tasks that draw their examples."""
_FAMILIES = ("mmlu", "llama3")
"""Folders of lm_eval's tasks with the forms of MMLU: reading all 14,000 takes seconds more."""


@dataclass(frozen=True)
class LoadedTask:
    """A task or group, ready to be asked."""

    plan: EvaluationPlan
    tasks: Mapping[str, Any]
    """Leaf name to lm_eval's Task; those that are asked nothing are left out."""
    groups: Mapping[str, Any]
    indices: Mapping[str, list[int]]
    """Leaf name to the indices of the questions that are asked."""
    subjects: Mapping[str, str]
    """Of MMLU: leaf name to subject, all 57."""
    of: Mapping[str, int]
    """Leaf name to how many questions all shards together are asked."""
    data: EvaluationData

    @property
    def split(self) -> str:
        """Of the data, where all leaves agree; ''."""
        splits = {str(_split(task) or "") for task in self.tasks.values()}
        return splits.pop() if len(splits) == 1 else ""

    @property
    def shots(self) -> int | None:
        """Where all leaves agree; None."""
        shots = {task.config.num_fewshot or 0 for task in self.tasks.values()}
        return int(shots.pop()) if len(shots) == 1 else None


def lm_eval_version() -> str:
    return metadata.version("lm_eval")


def load_tasks(plans: Sequence[EvaluationPlan], home: Path) -> list[LoadedTask]:
    """The tasks of a run.

    Raises RunFailure: unknown-task, evaluation-data if a task's data is not on this host,
    package-missing, bad-plan for a task that cannot be asked of a text model or in this shard.
    """
    _keep_compiled_templates()
    places = {plan.task: find_mmlu(plan.data, home) for plan in plans if plan.data is not None}
    with tempfile.TemporaryDirectory(prefix="loadfleet-tasks-") as folder:
        manager = _manager(plans, places, Path(folder))
        return [_load(plan, manager, places.get(plan.task), home) for plan in plans]


def _keep_compiled_templates() -> None:
    """lm_eval compiles a task's template anew for each question, half of the time of a prompt."""
    from lm_eval.utils import env

    if not hasattr(env.from_string, "cache_info"):
        env.from_string = functools.lru_cache(maxsize=1_000)(env.from_string)


def _manager(plans: Sequence[EvaluationPlan], places: Mapping[str, MmluPlace], folder: Path) -> Any:
    """lm_eval's TaskManager, which knows each form of MMLU over our data as ``asked_<task>``."""
    import lm_eval.tasks

    for plan in plans:
        if plan.data is not None:
            group = {
                "group": f"asked_{plan.task}",
                "task": [
                    {
                        "group": plan.task,
                        "dataset_path": str(places[plan.task].folder),
                        "test_split": plan.split,
                        "num_fewshot": plan.shots,
                    }
                ],
            }
            (folder / f"{plan.task}.yaml").write_text(json.dumps(group), encoding="utf-8")
    if any(plan.data is None for plan in plans):
        return lm_eval.tasks.TaskManager(include_path=str(folder))
    own = Path(lm_eval.tasks.__file__).parent
    included = [*(str(own / name) for name in _FAMILIES), str(folder)]
    return lm_eval.tasks.TaskManager(include_path=included, include_defaults=False)


def _load(plan: EvaluationPlan, manager: Any, place: MmluPlace | None, home: Path) -> LoadedTask:
    if plan.task not in manager.all_tasks:
        near = difflib.get_close_matches(plan.task, manager.all_tasks, n=3)
        raise RunFailure(
            FailureCode.UNKNOWN_TASK,
            f"lm_eval {lm_eval_version()} has no task {plan.task!r}"
            + (f"; did you mean {', '.join(near)}?" if near else ""),
        )
    if place is None:
        return _load_other(plan, _built(plan, manager, plan.task, datasets_cache(home)))
    found = _built(plan, manager, f"asked_{plan.task}", place.folder)
    return _load_mmlu(plan, found["tasks"], found["groups"], place)


def _built(plan: EvaluationPlan, manager: Any, name: str, folder: Path) -> Any:
    try:
        return manager.load([name])
    except ImportError as error:
        raise RunFailure(
            FailureCode.PACKAGE_MISSING, f"{plan.task}: lm_eval's task needs {error.name or error}"
        ) from error
    except Exception as error:  # of datasets, of the hub, of a task's own code
        text = next(iter(str(error).splitlines()), "")[:300]
        raise RunFailure(
            FailureCode.EVALUATION_DATA,
            f"{plan.task}: its data cannot be loaded from {folder}: {type(error).__name__}: {text}",
        ) from error


def _load_mmlu(
    plan: EvaluationPlan, tasks: dict[str, Any], groups: dict[str, Any], place: MmluPlace
) -> LoadedTask:
    subjects = {name: str(task.config.dataset_name) for name, task in tasks.items()}
    lacking = sorted(set(MMLU_SUBJECTS) - set(subjects.values()))
    if lacking:
        raise RunFailure(FailureCode.EVALUATION_DATA, f"{plan.task} has no {lacking[0]}")
    rows = {subjects[name]: list(task.eval_docs) for name, task in tasks.items()}
    shots = plan.shots or 0
    for name, task in tasks.items():
        if shots and (there := len(list(task.fewshot_docs() or ()))) < shots:
            raise RunFailure(
                FailureCode.EVALUATION_DATA,
                f"{place.folder}: {subjects[name]} has {there} examples in dev, {shots} are asked "
                "for",
            )
    of = {name: _first(len(rows[subjects[name]]), plan.samples) for name in tasks}
    indices = {name: list(plan.shard.indices(count)) for name, count in of.items()}
    _require_questions(plan.shard, indices)
    kept = {name: task for name, task in tasks.items() if indices[name]}
    outer = f"asked_{plan.task}"
    return LoadedTask(
        plan=plan,
        tasks=kept,
        groups=_without(groups, set(tasks) - set(kept), outer),
        indices={name: indices[name] for name in kept},
        subjects=subjects,
        of=of,
        data=EvaluationData(
            source=place.source,
            label=place.label,
            origin=place.origin,
            sha256=questions_sha256(rows),
            questions=sum(map(len, rows.values())),
        ),
    )


def _without(groups: dict[str, Any], empty: set[str], outer: str) -> dict[str, Any]:
    """The groups without the one that we made, and without leaves that are asked nothing."""
    for group in groups.values():
        for name in empty:
            group.pop(name)
    return {name: group for name, group in groups.items() if name != outer}


def _require_questions(shard: Shard, indices: Mapping[str, list[int]]) -> None:
    if not any(indices.values()):
        raise RunFailure(
            FailureCode.BAD_PLAN,
            f"mmlu_samples: no subject has a question for shard {shard.index + 1} of {shard.of}: "
            "ask more of each",
        )


def _load_other(plan: EvaluationPlan, found: Any) -> LoadedTask:
    tasks: dict[str, Any] = found["tasks"]
    for name, task in tasks.items():
        if getattr(task, "UNSAFE_CODE", False):
            raise RunFailure(
                FailureCode.BAD_PLAN, f"evaluations: {name} runs code that the model writes"
            )
        if getattr(task, "MULTIMODAL", False):
            raise RunFailure(
                FailureCode.BAD_PLAN, f"evaluations: {name} asks of pictures or sounds"
            )
        # As lm_eval's simple_evaluate: a task that is made for no shots keeps none.
        if plan.shots is not None and task.get_config("num_fewshot") != 0:
            task.set_config(key="num_fewshot", value=plan.shots)
        elif task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=FEWSHOT_SEED)
    rows = {name: len(task.eval_docs) for name, task in tasks.items()}
    of = {name: _first(count, plan.samples) for name, count in rows.items()}
    paths = {name: [str(t.config.dataset_path), t.config.dataset_name] for name, t in tasks.items()}
    return LoadedTask(
        plan=plan,
        tasks=tasks,
        groups=found["groups"],
        indices={name: list(range(count)) for name, count in of.items()},
        subjects={},
        of=of,
        data=EvaluationData(
            source="lm_eval",
            label=", ".join(sorted({path for path, _ in paths.values()}))[:1000],
            origin="from the host's cache of datasets, as lm_eval's task names it",
            sha256=digest(
                {
                    name: [*paths[name], [_as_json(row) for row in task.eval_docs]]
                    for name, task in tasks.items()
                }
            ),
            questions=sum(rows.values()),
        ),
    )


def _as_json(row: Any) -> Any:
    return json.loads(json.dumps(row, default=str, sort_keys=True))


def _first(count: int, samples: int | None) -> int:
    return count if samples is None else min(count, samples)


def _split(task: Any) -> str | None:
    config = task.config
    split: str | None = config.test_split or config.validation_split
    return split
