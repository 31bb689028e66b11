"""Evaluations in a whole run of the agent, over the null engine: scores, files, a second start."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from loadfleet_agent.contract.evaluation import MMLU_SUBJECTS
from loadfleet_agent.contract.result import HostResult
from loadfleet_agent.contract.run_folder import file_sha256
from loadfleet_agent.evaluation.answers import letter_of

from ..helpers import QUICK, Agent

SETTINGS = QUICK | {
    "scenarios": ["Offline"],
    "benchmarks": ["mlperf", "mmlu"],
    "mmlu_tasks": ["mmlu", "mmlu_llama"],
    "mmlu_data": {"source": "synthetic"},
    "mmlu_samples": 2,
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Agent, HostResult]:
    agent = Agent(tmp_path_factory.mktemp("evaluated") / "home")
    done = agent("run", *agent.settings("r", SETTINGS))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "evaluation-mmlu: micro" in done.stdout
    return agent, agent.result("r")


def test_both_benchmarks_are_of_one_engine(ran: tuple[Agent, HostResult]) -> None:
    _, result = ran
    assert result.valid
    assert [item.name for item in result.evaluations] == [
        "evaluation-mmlu",
        "evaluation-mmlu_llama",
    ]
    configurations = {item.configuration_sha256 for item in (*result.phases, *result.evaluations)}
    assert len(configurations) == 1


def test_the_scores_are_those_of_the_answers_and_of_lm_eval(
    ran: tuple[Agent, HostResult],
) -> None:
    agent, result = ran
    for evaluation in result.evaluations:
        folder = agent.folder("r") / "phases" / evaluation.name
        rows = pq.read_table(folder / "answers.parquet").to_pylist()
        assert len(rows) == evaluation.questions == 114
        assert evaluation.correct == sum(row["correct"] for row in rows)
        assert evaluation.score is not None
        assert evaluation.score.micro == pytest.approx(100 * evaluation.correct / 114)
        metric = "acc,none" if evaluation.task == "mmlu" else "exact_match,strict_match"
        told = evaluation.metrics[evaluation.task][metric]
        assert told == pytest.approx(evaluation.score.micro / 100)
        for item in evaluation.subjects:
            of_subject = [row for row in rows if row["subject"] == item.name]
            assert (item.questions, item.of) == (len(of_subject), 2)
            assert item.correct == sum(row["correct"] for row in of_subject)
        assert {item.name for item in evaluation.subjects} == set(MMLU_SUBJECTS)


def test_an_answer_has_its_question_letter_and_prompt(ran: tuple[Agent, HostResult]) -> None:
    agent, result = ran
    for evaluation in result.evaluations:
        folder = agent.folder("r") / "phases" / evaluation.name
        for row in pq.read_table(folder / "answers.parquet").to_pylist():
            assert row["expected"] in "ABCD"
            assert row["correct"] == (row["answer"] == row["expected"])
            assert len(row["choices"]) == 4
            assert len(row["prompt_sha256"]) == 32
            assert row["prompt_tokens"] >= evaluation.prompt_tokens.minimum
            assert (row["prompt"] is None) == row["correct"]
            assert row["correct"] or row["question"].strip() in row["prompt"]
            if evaluation.task == "mmlu":
                scores = row["log_probabilities"]
                assert row["answer"] == "ABCD"[scores.index(max(scores))]
            else:
                assert row["response"] is not None


def test_labels_and_data_say_that_it_is_no_mmlu_result(ran: tuple[Agent, HostResult]) -> None:
    _, result = ran
    for evaluation in result.evaluations:
        assert evaluation.labels == ("synthetic-data", "short", "random-weights", "null-engine")
        assert evaluation.published is None
        assert evaluation.data.source == "synthetic"
    assert result.evaluations[0].invalid == 0
    assert result.evaluations[1].shots == 5


def test_its_files_are_hashed(ran: tuple[Agent, HostResult]) -> None:
    agent, result = ran
    for evaluation in result.evaluations:
        folder = agent.folder("r") / "phases" / evaluation.name
        assert set(evaluation.files) == {"answers.parquet", "lm_eval_results.json"}
        for name, digest in evaluation.files.items():
            assert file_sha256(folder / name) == digest
        told = json.loads((folder / "lm_eval_results.json").read_text())
        assert told["results"][evaluation.task]


def test_a_second_start_keeps_what_is_whole(ran: tuple[Agent, HostResult]) -> None:
    agent, first = ran
    folder = agent.folder("r")
    (folder / "manifest.json").unlink()
    (folder / "result.json").unlink()
    (folder / "phases" / "evaluation-mmlu_llama" / "answers.parquet").write_bytes(b"")
    done = agent("run", *agent.settings("r", SETTINGS))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "evaluation-mmlu is finished already and kept" in done.stdout
    again = agent.result("r")
    assert again.evaluations[0] == first.evaluations[0]
    assert again.evaluations[1].started_utc > first.evaluations[1].started_utc
    assert again.evaluations[1].correct == first.evaluations[1].correct


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"evaluations": ["gsm8kk"]}, "unknown-task"),
        ({"mmlu_data": {"source": "path", "path": "/not/there"}}, "evaluation-data"),
        ({"engine": {"max_model_len": 512}}, "prompt-too-long"),
    ],
)
def test_bad_input_ends_the_run_before_an_engine_is_loaded(
    settings: dict[str, object], code: str, agent: Agent
) -> None:
    done = agent("run", *agent.settings("b", SETTINGS | settings))
    assert done.returncode != 0
    result = agent.result("b")
    assert result.failure is not None
    assert (result.failure.code, result.failure.phase) == (code, "prepare")
    assert "\n" not in result.failure.message
    assert result.engine is None


@pytest.mark.parametrize(
    ("text", "letter"),
    [(" A", "A"), ("b.", "B"), ("**C**", "C"), ("E", ""), ("A or B", ""), ("", "")],
)
def test_a_letter_is_read_as_exact_match_compares_it(text: str, letter: str) -> None:
    assert letter_of(text) == letter
