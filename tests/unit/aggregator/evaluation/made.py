"""Evaluations as hosts tell them, of a few questions of two subjects."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from loadfleet_agent.contract.distribution import Distribution
from loadfleet_agent.contract.evaluation import (
    MMLU_SUBJECTS,
    EvaluationData,
    EvaluationResult,
    Shard,
    SubjectScore,
)
from loadfleet_agent.contract.evaluation_score import score_subjects
from loadfleet_agent.contract.result import ModelFacts
from loadfleet_agent.contract.roofline import Geometry, Precision
from loadfleet_aggregator.evaluation.answers import NO_LETTER, RIGHT, HostAnswers
from loadfleet_aggregator.evaluation.fleet import ToldEvaluation

AT = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
SUBJECTS = ("anatomy", "astronomy")
SIZE = 4
EXPECTED = "ABCDABCD"
"""The right letters of both subjects' questions."""
PLAN = {"engine": {"quantization": None, "kv_cache_dtype": "auto", "dtype": "bfloat16"}}


def host_answers(letters: str, questions: str = "a" * 64) -> HostAnswers:
    """``letters``: one for each of the eight questions; '-': no letter, ' ': not asked."""
    codes = []
    for letter, expected in zip(letters, EXPECTED, strict=True):
        code = 0 if letter == " " else NO_LETTER if letter == "-" else "ABCD".index(letter) + 1
        codes.append(code | (RIGHT if letter == expected else 0))
    sizes = tuple((subject, SIZE) for subject in SUBJECTS)
    return HostAnswers(questions, sizes, np.array(codes, np.uint8))


def told(
    host: str,
    letters: str = EXPECTED,
    *,
    group: str = "A",
    task: str = "mmlu_llama",
    shard: Shard | None = None,
    labels: Sequence[str] = (),
    precision: Precision | None = Precision.BF16,
    shots: int = 5,
    tokenizer: str = "e" * 64,
    questions: str = "a" * 64,
) -> ToldEvaluation:
    """What a host tells that gave these answers."""
    shard = shard or Shard()
    shown = "".join(
        letter if index % SIZE in shard.indices(SIZE) else " "
        for index, letter in enumerate(letters)
    )
    answers = host_answers(shown, questions)
    subjects = []
    for number, name in enumerate(SUBJECTS):
        mine = shown[number * SIZE :][:SIZE]
        wanted = EXPECTED[number * SIZE :][:SIZE]
        subjects.append(
            SubjectScore(
                name=name,
                category=MMLU_SUBJECTS[name],
                questions=len(mine.replace(" ", "")),
                correct=sum(one == other for one, other in zip(mine, wanted, strict=True)),
                of=SIZE,
            )
        )
    asked = sum(subject.questions for subject in subjects)
    result = EvaluationResult(
        name=f"evaluation-{task}",
        task=task,
        plan_hash="b" * 64,
        configuration_sha256="c" * 64,
        started_utc=AT,
        ended_utc=AT + timedelta(seconds=10),
        lm_eval="0.4.13",
        split="test",
        shots=shots,
        chat_template=True,
        shard=shard,
        data=EvaluationData(
            source="hub", label="cais/mmlu", origin="", sha256=questions, questions=14_042
        ),
        questions=asked,
        correct=sum(subject.correct for subject in subjects),
        invalid=shown.count("-"),
        subjects=tuple(subjects),
        score=score_subjects(subjects),
        prompt_tokens=Distribution(count=asked, minimum=1, mean=1, p50=1, p90=1, p99=1, maximum=1),
        output_tokens=asked,
        duration_s=2.0,
        questions_per_second=asked / 2,
        prompt_tokens_per_second=1.0,
        output_tokens_per_second=1.0,
        prefix_caching=False,
        metrics={},
        labels=tuple(labels),
        files={},
    )
    model = ModelFacts(
        name="meta-llama/Llama-3.1-8B-Instruct",
        path="/models/llama",
        config_sha256="f" * 64,
        tokenizer_sha256=tokenizer,
        weights_sha256=None,
        vocabulary=128_256,
        stop_token_ids=(),
        precision=precision,
        geometry=Geometry(),
    )
    return ToldEvaluation(host, group, result, answers, model)
