"""Folders of hosts with an evaluation in them, the answers written by the agent's own hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loadfleet_agent.contract.evaluation import Shard
from loadfleet_agent.contract.run_folder import ANSWERS, PHASES, PLAN, RESULT, file_sha256
from loadfleet_agent.evaluation.answers import Answer, write_answers
from loadfleet_agent.evaluation.language_model import Asked

from ..helpers import HostRun, edit_json, make_plan, reseal
from .made import EXPECTED, SIZE, SUBJECTS, told

GIVEN = "ABC-DBCD"
EVALUATION = "evaluation-mmlu"


def written(
    path: Path,
    letters: str = GIVEN,
    prompt: str = "Five shots, question {}",
    reasons: str = "So it is {}",
) -> Path:
    """The answers of a host with these letters; '-': no letter, ' ': not asked."""
    answers = [
        Answer(
            task="mmlu_llama",
            subject=SUBJECTS[place // SIZE],
            index=place % SIZE,
            question=f"question {place}",
            choices=("1", "2", "3", "4"),
            expected=EXPECTED[place],
            letter="" if letter == "-" else letter,
            correct=letter == EXPECTED[place],
            log_probabilities=None,
            response="no idea" if letter == "-" else reasons.format(letter),
            prompt=prompt.format(place),
            asked=Asked(sha256=bytes(32), tokens=7),
        )
        for place, letter in enumerate(letters)
        if letter != " "
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_answers(path, answers)
    return path


def with_evaluation(run: HostRun, folder: Path, shard: Shard | None = None) -> HostRun:
    """A copy of an Offline performance run as if its plan had asked for mmlu too."""
    plan = make_plan(
        run.plan.host,
        scenarios=["Offline"],
        modes=["performance"],
        benchmarks=["mlperf", "mmlu"],
        mmlu_tasks=["mmlu"],
        mmlu_data={"source": "synthetic"},
    )
    if shard is not None:
        (evaluation,) = plan.evaluations
        sharded = evaluation.model_copy(update={"shard": shard})
        plan = plan.model_copy(update={"evaluations": (sharded,)})
    run.copy_to(folder)
    (folder / PLAN).write_text(plan.model_dump_json(), encoding="utf-8")
    asked = (shard or Shard()).indices(SIZE)
    letters = "".join(x if place % SIZE in asked else " " for place, x in enumerate(GIVEN))
    path = written(folder / PHASES / EVALUATION / ANSWERS, letters)
    evaluation_result = told(run.plan.host, GIVEN, task="mmlu", shard=shard).result.model_copy(
        update={"plan_hash": plan.plan_hash, "files": {ANSWERS: file_sha256(path)}}
    )

    def add(result: Any) -> None:
        result["plan_hash"] = plan.plan_hash
        result["evaluations"] = [evaluation_result.model_dump(mode="json")]

    edit_json(folder / RESULT, add)
    reseal(folder)
    return HostRun(plan, folder)
