"""answers.parquet as the agent writes it, and as a host may spoil it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loadfleet_agent.evaluation.answers import Answer, write_answers
from loadfleet_agent.evaluation.language_model import Asked
from loadfleet_aggregator.bounded_parquet import ParquetError
from loadfleet_aggregator.evaluation.answers import asked, right
from loadfleet_aggregator.evaluation.read import read_answers

from .made import EXPECTED, SIZE, SUBJECTS, told

GIVEN = "ABC-DBCD"


def written(path: Path, letters: str = GIVEN, prompt: str = "Five shots, question {}") -> Path:
    """The answers of a host with these letters, by the agent's own hand."""
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
            response="no idea" if letter == "-" else letter,
            prompt=prompt.format(place),
            asked=Asked(sha256=bytes(32), tokens=7),
        )
        for place, letter in enumerate(letters)
    ]
    write_answers(path, answers)
    return path


def test_what_the_agent_writes_is_read(tmp_path: Path) -> None:
    answers, wrong = read_answers(
        written(tmp_path / "answers.parquet"), told("a", GIVEN).result, "a"
    )
    assert list(asked(answers)) == [True] * 8
    assert [bool(x) for x in right(answers)] == [
        a == b for a, b in zip(GIVEN, EXPECTED, strict=True)
    ]
    assert [(item.subject, item.index, item.answer) for item in wrong] == [
        ("anatomy", 3, "no idea"),
        ("astronomy", 0, "D"),
    ]
    assert wrong[0].question == "question 3"
    assert (wrong[0].prompt, wrong[0].prompt_tokens) == ("Five shots, question 3", 7)


def test_of_a_long_prompt_both_ends_are_shown(tmp_path: Path) -> None:
    path = written(tmp_path / "answers.parquet", prompt=f"begin{'x' * 20_000}end of {{}}")
    _, wrong = read_answers(path, told("a", GIVEN).result, "a")
    shown = wrong[0].prompt
    assert shown.startswith("begin")
    assert shown.endswith("end of 3")
    assert "\n[... 12,013 characters ...]\n" in shown


def test_answers_that_are_not_those_of_the_result_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "answers.parquet", EXPECTED)
    with pytest.raises(ParquetError, match="anatomy: 4 of 4 right in its answers, 3 of 4"):
        read_answers(path, told("a", GIVEN).result, "a")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda table: table.slice(0, 7), "7 rows, but the run had 8"),
        (lambda table: table.drop_columns(["expected"]), "not its columns"),
        (
            lambda table: table.set_column(2, "index", pa.array([9] * 8, pa.uint32())),
            "beyond its subject's last",
        ),
        (
            lambda table: table.set_column(2, "index", pa.array([0] * 8, pa.uint32())),
            "answered twice",
        ),
        (
            lambda table: table.set_column(6, "answer", pa.array(["<b>"] * 8, pa.string())),
            "no letter",
        ),
        (
            lambda table: table.set_column(1, "subject", pa.array([None] * 8, pa.string())),
            "a value is missing",
        ),
    ],
)
def test_a_spoiled_file_is_refused(
    tmp_path: Path, spoil: Callable[[pa.Table], pa.Table], words: str
) -> None:
    path = written(tmp_path / "answers.parquet")
    pq.write_table(spoil(pq.read_table(path)), path)
    with pytest.raises(ParquetError, match=words):
        read_answers(path, told("a", GIVEN).result, "a")
