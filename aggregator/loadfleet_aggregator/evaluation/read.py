"""answers.parquet of one evaluation, read as untrusted input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from loadfleet_agent.contract.evaluation import LETTERS, EvaluationResult, MmluTask
from loadfleet_agent.contract.run_folder import ANSWERS

from ..bounded_parquet import Layout, ParquetError, read_table
from ..text.listing import shortened
from .answers import ANSWER, NO_LETTER, NOT_ASKED, RIGHT, Codes, HostAnswers
from .model import WrongAnswer

if TYPE_CHECKING:
    import pyarrow as pa

MAX_QUESTIONS = 20_000
"""MMLU has 14,042. With ``LAYOUT`` it bounds a column to 655 MB."""
SHOWN = 20
"""Wrong answers of a host that are kept to be looked at."""
LONGEST_QUESTION = 2_000
LONGEST_CHOICE = 400
LONGEST_PROMPT = 8_000
LONGEST_RESPONSE = 1_500
MOST_CHOICES = 10

LAYOUT = Layout(
    name=ANSWERS,
    columns={
        "task": "string",
        "subject": "string",
        "index": "uint32",
        "question": "string",
        "choices": "list<element: string>",
        "expected": "string",
        "answer": "string",
        "correct": "bool",
        "log_probabilities": "list<element: float>",
        "response": "string",
        "prompt_sha256": "fixed_size_binary[32]",
        "prompt_tokens": "uint32",
        "prompt": "string",
    },
    row_bytes=32_768,
    compressions=frozenset({"SNAPPY", "UNCOMPRESSED"}),
    list_values=MOST_CHOICES,
)


def read_answers(
    path: Path, result: EvaluationResult, host: str
) -> tuple[HostAnswers, tuple[WrongAnswer, ...]]:
    """The answers that an evaluation of MMLU tells of, and wrong ones of its weakest subjects.

    Raises ParquetError, also where the answers are not those that the result counts, or not of
    all questions of its shard and no others.
    """
    if not 0 < result.questions <= MAX_QUESTIONS:
        raise ParquetError(f"{result.questions} questions: more than {MAX_QUESTIONS}, or none")
    sizes = tuple(sorted((subject.name, subject.of) for subject in result.subjects))
    if sum(size for _, size in sizes) > MAX_QUESTIONS:
        raise ParquetError("subjects of more questions than there are")
    table = read_table(
        path, LAYOUT, result.questions, ["subject", "index", "expected", "answer", "correct"]
    )
    # Of the letters' likelihoods the answer is right where it is the expected one; whether a
    # generated text is, lm_eval's own filters say.
    by_letter = result.task == MmluTask.MMLU
    codes = _codes(table, dict(sizes), by_letter=by_letter)
    answers = HostAnswers(result.data.sha256, sizes, codes)
    _require_counts(answers, result)
    return answers, _wrong(path, table, result, host)


def _codes(table: pa.Table, sizes: dict[str, int], *, by_letter: bool) -> Codes:
    starts, total = {}, 0
    for name, size in sizes.items():
        starts[name], total = total, total + size
    codes = np.zeros(total, dtype=np.uint8)
    rows = zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True)
    for subject, index, expected, answer, correct in rows:
        if subject not in starts or index >= sizes[subject]:
            raise ParquetError("a question of no subject, or beyond its subject's last")
        if expected not in LETTERS or (answer and answer not in LETTERS):
            raise ParquetError("an answer that is no letter")
        if by_letter and correct != (answer == expected):
            raise ParquetError(f"{subject} {index}: {answer} for {expected} is counted wrongly")
        place = starts[subject] + index
        if codes[place] != NOT_ASKED:
            raise ParquetError("a question is answered twice")
        code = LETTERS.index(answer) + 1 if answer else NO_LETTER
        codes[place] = code | (RIGHT if correct else 0)
    return codes


def _require_counts(answers: HostAnswers, result: EvaluationResult) -> None:
    told = {subject.name: (subject.questions, subject.correct) for subject in result.subjects}
    begin = 0
    for name, size in answers.sizes:
        part = answers.codes[begin : begin + size]
        begin += size
        counted = int(np.count_nonzero(part)), int(np.count_nonzero(part & RIGHT))
        if counted != told[name]:
            raise ParquetError(
                f"{name}: {counted[1]} of {counted[0]} right in its answers, "
                f"{told[name][1]} of {told[name][0]} in its result"
            )
        if not np.array_equal(np.flatnonzero(part), result.shard.indices(size)):
            raise ParquetError(
                f"{name}: not the questions of shard {result.shard.index + 1} of {result.shard.of}"
            )
    invalid = int(np.count_nonzero((answers.codes & ANSWER) == NO_LETTER))
    if invalid != result.invalid:
        raise ParquetError(f"{invalid} answers without a letter, {result.invalid} in its result")


def _wrong(
    path: Path, table: pa.Table, result: EvaluationResult, host: str
) -> tuple[WrongAnswer, ...]:
    """The first of each subject in turn, the weakest subject first."""
    weakest = {
        subject.name: rank
        for rank, subject in enumerate(
            sorted(
                (item for item in result.subjects if item.questions),
                key=lambda item: (item.correct / item.questions, item.name),
            )
        )
    }
    taken: dict[str, int] = dict.fromkeys(weakest, 0)
    order = []
    subjects, right = table.column("subject").to_pylist(), table.column("correct").to_pylist()
    for row, (subject, correct) in enumerate(zip(subjects, right, strict=True)):
        if not correct:
            order.append((taken[subject], weakest[subject], row))
            taken[subject] += 1
    if not order:
        return ()
    texts = read_table(
        path, LAYOUT, result.questions,
        ["question", "choices", "response", "prompt_tokens", "prompt"], {"response", "prompt"},
    )  # fmt: skip
    found = []
    for _, _, row in sorted(order)[:SHOWN]:
        choices = texts.column("choices")[row].as_py()[:MOST_CHOICES]
        found.append(
            WrongAnswer(
                host=host,
                subject=subjects[row],
                index=table.column("index")[row].as_py(),
                question=shortened(texts.column("question")[row].as_py(), LONGEST_QUESTION),
                choices=tuple(shortened(choice or "", LONGEST_CHOICE) for choice in choices),
                expected=table.column("expected")[row].as_py(),
                answer=table.column("answer")[row].as_py(),
                response=_ends(texts.column("response")[row].as_py() or "", LONGEST_RESPONSE),
                prompt=_ends(texts.column("prompt")[row].as_py() or "", LONGEST_PROMPT),
                prompt_tokens=texts.column("prompt_tokens")[row].as_py(),
            )
        )
    return tuple(found)


def _ends(text: str, most: int) -> str:
    """Both ends of a long one: a prompt ends with its question, a chain of thought with its
    letter."""
    left_out = len(text) - most
    if left_out <= 0:
        return text
    half = most // 2
    return f"{text[:half]}\n[... {left_out:,} characters ...]\n{text[-half:]}"
