"""Answers to MMLU's questions, from what lm_eval logged of each, and the file that holds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..contract.evaluation import LETTERS, MMLU_SUBJECTS, SubjectScore
from .language_model import Asked
from .tasks import LoadedTask

WRONG_WITH_PROMPT = 20
"""Wrong answers of each subject with their prompts: 14,042 of five shots would be 80 MB."""
LONGEST_KEPT = 30_000
"""Characters of a prompt and of an answer; 1,024 tokens are fewer."""


@dataclass(frozen=True)
class Answer:
    """One question and what the model said."""

    task: str
    subject: str
    index: int
    question: str
    choices: tuple[str, ...]
    expected: str
    letter: str
    """One of A to D, or '' where the answer names none."""
    correct: bool
    """As lm_eval's metric has it."""
    log_probabilities: tuple[float, ...] | None
    """Of the four letters; None where the answer was generated."""
    response: str | None
    """What was generated, stop string and what follows left out; None where nothing was."""
    prompt: str
    """As it was asked, shots and chat template in it."""
    asked: Asked


def read_answers(
    task: LoadedTask, samples: Mapping[str, Sequence[Mapping[str, Any]]], asked: Mapping[str, Asked]
) -> list[Answer]:
    """Of all subjects in the order of their names, each in the order of its questions.

    ``samples``: lm_eval's, leaf to one entry a question. ``asked``: by the text of the context.
    """
    found = []
    for name, subject in sorted(task.subjects.items(), key=lambda item: item[1]):
        of_leaf = sorted(samples.get(name, ()), key=lambda sample: int(sample["doc_id"]))
        found += [_answer(task.plan.task, subject, sample, asked) for sample in of_leaf]
    return found


def _answer(
    task: str, subject: str, sample: Mapping[str, Any], asked: Mapping[str, Asked]
) -> Answer:
    row, given = sample["doc"], sample["filtered_resps"]
    scored: tuple[float, ...] | None = None
    if "acc" in sample:
        scored = tuple(float(value) for value, _ in given)
        letter, correct = LETTERS[scored.index(max(scored))], sample["acc"]
    else:
        letter, correct = letter_of(str(given[0])), sample["exact_match"]
    context = sample["arguments"][0][0]
    return Answer(
        task=task,
        subject=subject,
        index=int(sample["doc_id"]),
        question=str(row["question"]),
        choices=tuple(map(str, row["choices"])),
        expected=LETTERS[int(row["answer"])],
        letter=letter,
        correct=bool(correct),
        log_probabilities=scored,
        response=None if scored else str(sample["resps"][0][0])[:LONGEST_KEPT],
        prompt=context,
        asked=asked[context],
    )


def letter_of(text: str) -> str:
    """The letter that an answer is once case and punctuation are gone, or ''."""
    bare = "".join(character for character in text if character.isalnum() or character == " ")
    bare = bare.strip().upper()
    return bare if bare in LETTERS else ""


def score_by_subject(task: LoadedTask, answers: Iterable[Answer]) -> tuple[SubjectScore, ...]:
    """All subjects, also those of which this shard is asked nothing."""
    questions = dict.fromkeys(MMLU_SUBJECTS, 0)
    correct = dict.fromkeys(MMLU_SUBJECTS, 0)
    for answer in answers:
        questions[answer.subject] += 1
        correct[answer.subject] += answer.correct
    of = {subject: task.of[name] for name, subject in task.subjects.items()}
    return tuple(
        SubjectScore(
            name=subject,
            category=category,
            questions=questions[subject],
            correct=correct[subject],
            of=of[subject],
        )
        for subject, category in MMLU_SUBJECTS.items()
    )


def write_answers(path: Path, answers: Sequence[Answer]) -> None:
    """answers.parquet: one row a question, prompts of the first wrong ones of each subject."""
    wrong: Counter[str] = Counter()
    prompts: list[str | None] = []
    for answer in answers:
        wrong[answer.subject] += not answer.correct
        kept = not answer.correct and wrong[answer.subject] <= WRONG_WITH_PROMPT
        prompts.append(answer.prompt[-LONGEST_KEPT:] if kept else None)
    columns = {
        "task": pa.array([a.task for a in answers], pa.string()),
        "subject": pa.array([a.subject for a in answers], pa.string()),
        "index": pa.array([a.index for a in answers], pa.uint32()),
        "question": pa.array([a.question for a in answers], pa.string()),
        "choices": pa.array([list(a.choices) for a in answers], pa.list_(pa.string())),
        "expected": pa.array([a.expected for a in answers], pa.string()),
        "answer": pa.array([a.letter for a in answers], pa.string()),
        "correct": pa.array([a.correct for a in answers], pa.bool_()),
        "log_probabilities": pa.array(
            [None if a.log_probabilities is None else list(a.log_probabilities) for a in answers],
            pa.list_(pa.float32()),
        ),
        "response": pa.array([a.response for a in answers], pa.string()),
        "prompt_sha256": pa.array([a.asked.sha256 for a in answers], pa.binary(32)),
        "prompt_tokens": pa.array([a.asked.tokens for a in answers], pa.uint32()),
        "prompt": pa.array(prompts, pa.string()),
    }
    temporary = path.with_suffix(".tmp")
    pq.write_table(pa.table(columns), temporary)
    temporary.replace(path)
