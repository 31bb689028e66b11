"""One evaluation of a plan over an engine that is loaded, and the files it leaves."""

from __future__ import annotations

import asyncio
import json
import math
import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..contract.base import LONGEST_LINE, utc_now
from ..contract.evaluation import (
    EvaluationPlan,
    EvaluationResult,
    MetricValue,
    published_score,
)
from ..contract.evaluation_score import score_subjects
from ..contract.files import write_atomic, write_model
from ..contract.plan import RunPlan
from ..contract.result import EngineFacts, ModelFacts
from ..contract.roofline import Geometry
from ..contract.run_folder import ANSWERS, EVALUATION_RESULT, LM_EVAL_RESULTS, file_sha256
from ..contract.status import FailureCode
from ..engine.base import Engine
from ..failure import RunFailure
from ..statistics import distribution
from .answers import read_answers, score_by_subject, write_answers
from .language_model import EngineLanguageModel, Watch
from .prompts import PromptEncoder
from .tasks import LoadedTask, lm_eval_version, load_tasks

RANDOM_SEED, NUMPY_SEED = 0, 1234
"""lm_eval's defaults; nothing of MMLU is drawn."""
PASSED_ON = ("random-weights", "performance-only", "null-engine")
"""Labels of a plan that are true of its evaluations too."""


def is_llama_8b(model: ModelFacts) -> bool:
    """Whether a model has the geometry and vocabulary of Llama-3.1-8B, which quantised ones keep.

    What it was trained on is not seen.
    """
    return model.geometry == Geometry()


@dataclass(frozen=True)
class Deployment:
    """What is asked: the very engine of the LoadGen runs."""

    plan: RunPlan
    model: ModelFacts
    facts: EngineFacts
    engine: Engine
    loop: asyncio.AbstractEventLoop
    configuration: str
    """Its hash, as of the phases."""


def run_evaluation(
    evaluation: EvaluationPlan, deployment: Deployment, folder: Path, home: Path, watch: Watch
) -> EvaluationResult:
    """Asks every question of this host and writes evaluation.json last.

    ``watch`` is given the model while it works. Raises RunFailure: as ``load_tasks`` does,
    engine-died, stopped, or evaluation for what lm_eval itself raises.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    started = utc_now()
    (task,) = load_tasks([evaluation], home)
    model = EngineLanguageModel(
        PromptEncoder(Path(deployment.model.path)),
        deployment.engine,
        deployment.loop,
        deployment.model.stop_token_ids,
        evaluation.name,
    )
    model.max_length = deployment.plan.engine.max_model_len
    watch(model)
    try:
        results = _evaluate(task, model)
    finally:
        watch(None)
    return _seal(task, model, results, deployment, folder, started)


def _evaluate(task: LoadedTask, model: EngineLanguageModel) -> dict[str, Any]:
    from lm_eval.evaluator import evaluate

    random.seed(RANDOM_SEED)
    np.random.seed(NUMPY_SEED)
    try:
        results = evaluate(
            lm=model,
            task_dict={"tasks": dict(task.tasks), "groups": dict(task.groups)},
            samples=dict(task.indices),
            apply_chat_template=task.plan.chat_template,
            fewshot_as_multiturn=task.plan.chat_template,
        )
    except RunFailure:
        raise
    except Exception as error:  # a task brings its own code
        text = next(iter(str(error).splitlines()), "")[:300]
        raise RunFailure(
            FailureCode.EVALUATION, f"{task.plan.task}: {type(error).__name__}: {text}"
        ) from error
    found: dict[str, Any] = dict(results)
    return found


def _seal(
    task: LoadedTask,
    model: EngineLanguageModel,
    results: dict[str, Any],
    deployment: Deployment,
    folder: Path,
    started: datetime,
) -> EvaluationResult:
    evaluation, progress = task.plan, model.progress
    samples = results.pop("samples")
    write_atomic(folder / LM_EVAL_RESULTS, json.dumps(results, indent=2, default=str) + "\n")
    names = [LM_EVAL_RESULTS]
    answers = read_answers(task, samples, model.asked)
    subjects = score_by_subject(task, answers) if evaluation.mmlu else ()
    if evaluation.mmlu:
        write_answers(folder / ANSWERS, answers)
        names.append(ANSWERS)
    labels = evaluation.labels + tuple(x for x in deployment.plan.labels if x in PASSED_ON)
    if evaluation.mmlu and "random-weights" not in labels and not is_llama_8b(deployment.model):
        labels += ("other-model",)
    questions = sum(map(len, task.indices.values()))
    seconds = max(progress.busy_s, 1e-6)
    result = EvaluationResult(
        name=evaluation.name,
        task=evaluation.task,
        started_utc=started,
        ended_utc=max(started, utc_now()),
        plan_hash=deployment.plan.plan_hash,
        configuration_sha256=deployment.configuration,
        lm_eval=lm_eval_version(),
        split=task.split,
        shots=task.shots,
        chat_template=evaluation.chat_template,
        shard=evaluation.shard,
        data=task.data,
        questions=questions,
        correct=sum(a.correct for a in answers) if evaluation.mmlu else None,
        invalid=sum(not a.letter for a in answers) if evaluation.mmlu else None,
        subjects=subjects,
        score=score_subjects(subjects),
        prompt_tokens=distribution(progress.prompt_tokens),
        output_tokens=progress.output_tokens,
        duration_s=progress.busy_s,
        questions_per_second=questions / seconds,
        prompt_tokens_per_second=sum(progress.prompt_tokens) / seconds,
        output_tokens_per_second=progress.output_tokens / seconds,
        prefix_caching=bool(deployment.facts.settings.get("prefix_caching", False)),
        metrics=_metrics(results),
        published=published_score(evaluation.task, task.shots, labels, task.data.questions),
        labels=labels,
        files={name: file_sha256(folder / name) for name in names},
    )
    write_model(folder / EVALUATION_RESULT, result)
    return result


def _metrics(results: Mapping[str, Any]) -> dict[str, dict[str, MetricValue]]:
    """lm_eval's numbers, unchanged, of the task and of each leaf and group in it."""
    told = dict(results.get("results", {})) | dict(results.get("groups", {}))
    return {
        str(name): {str(key): _value(value) for key, value in values.items()}
        for name, values in told.items()
    }


def _value(value: Any) -> MetricValue:
    if value is None or isinstance(value, (bool, int)):
        return None if value is None else int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    return str(value)[:LONGEST_LINE]
