"""Tasks from lm_eval over the data of this host, and what is refused in one line."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from loadfleet_agent.contract.evaluation import (
    MADE_QUESTIONS,
    MMLU_SUBJECTS,
    EvaluationPlan,
    MmluFolder,
    MmluTask,
    Shard,
)
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.evaluation.data import MmluPlace
from loadfleet_agent.evaluation.tasks import load_tasks
from loadfleet_agent.failure import RunFailure

from .test_prompts import plan


@pytest.mark.parametrize("split", ["test", "validation"])
def test_all_subjects_of_the_split_are_asked(split: str, evaluation_home: Path) -> None:
    (task,) = load_tasks([plan(MmluTask.MMLU, split=split, samples=None)], evaluation_home)
    assert sorted(task.subjects.values()) == sorted(MMLU_SUBJECTS)
    assert set(map(len, task.indices.values())) == {MADE_QUESTIONS[split]}
    assert (task.split, task.shots) == (split, 0)
    assert task.data.questions == 57 * MADE_QUESTIONS[split]
    assert "mmlu" in task.groups
    assert "mmlu_stem" in task.groups


def test_shots_are_those_of_the_plan(evaluation_home: Path) -> None:
    (task,) = load_tasks([plan(MmluTask.LLAMA, shots=2)], evaluation_home)
    assert task.shots == 2


def test_shards_have_each_question_once_and_one_hash(evaluation_home: Path) -> None:
    shards = [
        load_tasks(
            [plan(MmluTask.MMLU, samples=3, shard=Shard(index=index, of=2))], evaluation_home
        )[0]
        for index in (0, 1)
    ]
    for name in shards[0].subjects:
        both = [index for shard in shards for index in shard.indices.get(name, [])]
        assert sorted(both) == [0, 1, 2]
    assert shards[0].data == shards[1].data


def test_a_shard_without_a_question_is_refused(evaluation_home: Path) -> None:
    alone = plan(MmluTask.MMLU, samples=1, shard=Shard(index=1, of=2))
    with pytest.raises(RunFailure, match="shard 2 of 2") as raised:
        load_tasks([alone], evaluation_home)
    assert raised.value.code is FailureCode.BAD_PLAN


def test_an_unknown_task_is_told_with_names_that_are_near(evaluation_home: Path) -> None:
    with pytest.raises(RunFailure, match=r"no task 'gsm8kk'; did you mean gsm8k") as raised:
        load_tasks([EvaluationPlan(task="gsm8kk")], evaluation_home)
    assert raised.value.code is FailureCode.UNKNOWN_TASK
    assert "\n" not in raised.value.message


def test_a_task_whose_data_is_not_here_is_told(evaluation_home: Path) -> None:
    with pytest.raises(
        RunFailure, match="gsm8k: its data cannot be loaded from .*/evaluations/datasets"
    ) as raised:
        load_tasks([EvaluationPlan(task="gsm8k")], evaluation_home)
    assert raised.value.code is FailureCode.EVALUATION_DATA
    assert "\n" not in raised.value.message


def test_a_package_that_a_task_lacks_is_told(
    evaluation_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "langdetect", None)
    with pytest.raises(RunFailure, match="^ifeval: lm_eval's task needs langdetect$") as raised:
        load_tasks([EvaluationPlan(task="ifeval")], evaluation_home)
    assert raised.value.code is FailureCode.PACKAGE_MISSING


def test_a_folder_that_lacks_a_subject_is_told(
    made: MmluPlace, evaluation_home: Path, tmp_path: Path
) -> None:
    shutil.copytree(made.folder, tmp_path / "mmlu")
    shutil.rmtree(tmp_path / "mmlu" / "virology")
    asked = plan(MmluTask.MMLU, data=MmluFolder(path=str(tmp_path / "mmlu")))
    with pytest.raises(RunFailure, match="cannot be loaded") as raised:
        load_tasks([asked], evaluation_home)
    assert raised.value.code is FailureCode.EVALUATION_DATA
    assert "\n" not in raised.value.message
