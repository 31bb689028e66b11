"""answers.parquet as the agent writes it, and as a host may spoil it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loadfleet_agent.contract.evaluation import Shard
from loadfleet_aggregator.bounded_parquet import ParquetError
from loadfleet_aggregator.evaluation.answers import asked, right
from loadfleet_aggregator.evaluation.read import read_answers

from .files import GIVEN, written
from .made import EXPECTED, told


def test_what_the_agent_writes_is_read(tmp_path: Path) -> None:
    answers, wrong = read_answers(
        written(tmp_path / "answers.parquet"), told("a", GIVEN).result, "a"
    )
    assert list(asked(answers)) == [True] * 8
    assert [bool(x) for x in right(answers)] == [
        a == b for a, b in zip(GIVEN, EXPECTED, strict=True)
    ]
    assert [(item.subject, item.index, item.answer, item.response) for item in wrong] == [
        ("anatomy", 3, "", "no idea"),
        ("astronomy", 0, "D", "So it is D"),
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


def test_of_a_long_response_both_ends_are_shown(tmp_path: Path) -> None:
    path = written(tmp_path / "answers.parquet", reasons=f"begin{'x' * 3_000}so it is {{}}")
    _, wrong = read_answers(path, told("a", GIVEN).result, "a")
    (shown,) = (item.response for item in wrong if item.answer == "D")
    assert shown.startswith("begin")
    assert shown.endswith("so it is D")
    assert len(shown) < 1_600


def test_a_shard_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "answers.parquet", " B -" + " B D")
    answers, _ = read_answers(path, told("a", GIVEN, shard=Shard(index=1, of=2)).result, "a")
    assert list(asked(answers)) == [False, True] * 4


def test_answers_to_the_questions_of_another_shard_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "answers.parquet", "A C " + "D C ")
    result = told("a", "ABCDDBCD", shard=Shard(index=0, of=2)).result
    read_answers(path, result, "a")
    other = result.model_copy(update={"shard": Shard(index=1, of=2)})
    with pytest.raises(ParquetError, match="anatomy: not the questions of shard 2 of 2"):
        read_answers(path, other, "a")


def test_a_question_that_is_left_out_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "answers.parquet", "ABC ABCD")
    result = told("a").result
    first, second = result.subjects
    fewer = first.model_copy(update={"questions": 3, "correct": 3})
    left = {"questions": 7, "correct": 7, "subjects": (fewer, second)}
    with pytest.raises(ParquetError, match="anatomy: not the questions of shard 1 of 1"):
        read_answers(path, result.model_copy(update=left), "a")


def test_another_number_of_answers_without_a_letter_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "answers.parquet")
    result = told("a", GIVEN).result.model_copy(update={"invalid": 0})
    with pytest.raises(ParquetError, match="1 answers without a letter, 0 in its result"):
        read_answers(path, result, "a")


def test_the_likeliest_letter_counts_as_what_it_is(tmp_path: Path) -> None:
    """Of a generated text lm_eval's filters decide, which are not those of our letter."""
    path = written(tmp_path / "answers.parquet")
    table = pq.read_table(path)
    given = pa.array(list("ABCBDBCA"), pa.string())
    pq.write_table(table.set_column(6, "answer", given), path)
    result = told("a", GIVEN).result.model_copy(update={"invalid": 0})
    read_answers(path, result, "a")
    by_letter = result.model_copy(update={"task": "mmlu"})
    with pytest.raises(ParquetError, match="astronomy 3: A for D is counted wrongly"):
        read_answers(path, by_letter, "a")


def test_more_questions_than_mmlu_has_are_refused(tmp_path: Path) -> None:
    result = told("a").result.model_copy(update={"questions": 20_001})
    with pytest.raises(ParquetError, match="more than 20000"):
        read_answers(tmp_path / "answers.parquet", result, "a")


@pytest.mark.parametrize("column", ["subject", "question", "choices"])
def test_text_that_is_no_utf8_is_refused(tmp_path: Path, column: str) -> None:
    path = written(tmp_path / "answers.parquet")
    table = pq.read_table(path)
    number = table.schema.get_field_index(column)
    bad = pa.array([b"\xff\xfe"] * 8, pa.binary()).view(pa.string())
    if column == "choices":
        bad = pa.ListArray.from_arrays(pa.array(range(9), pa.int32()), bad)
    pq.write_table(table.set_column(number, column, bad), path)
    with pytest.raises(ParquetError, match="Invalid UTF8"):
        read_answers(path, told("a", GIVEN).result, "a")


def test_answers_that_are_not_those_of_the_result_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "answers.parquet", EXPECTED)
    with pytest.raises(ParquetError, match="anatomy: 4 of 4 right in its answers, 3 of 4"):
        read_answers(path, told("a", GIVEN).result, "a")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda table: table.slice(0, 7), "7 rows, but the run had 8"),
        (lambda table: table.drop_columns(["expected"]), "columns are not those of"),
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
