"""From right answers by subject to what is told of them: micro, macro and their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .evaluation import EvaluationResult, EvaluationScore, Interval, SubjectScore

Z_95 = 1.959963984540054


def wilson_interval(correct: int, questions: int) -> Interval:
    """Of 95 % for a share, in percent (Wilson 1927). Nothing asked: all of 0 to 100."""
    if questions == 0:
        return Interval(low=0, high=100)
    share, square = correct / questions, Z_95**2 / questions
    centre = (share + square / 2) / (1 + square)
    half = Z_95 / (1 + square) * math.sqrt(share * (1 - share) / questions + square / questions / 4)
    return _interval(centre, half)


def score_subjects(subjects: Sequence[SubjectScore]) -> EvaluationScore | None:
    """Of the subjects that were asked at all; None if none was.

    The macro mean's variance is that of independent strata of equal weight. Each stratum's is
    taken at Agresti and Coull's share (two right and two wrong answers more), so that a subject
    of few questions, all right, is not taken for certain.
    """
    asked = [item for item in subjects if item.questions]
    if not asked:
        return None
    questions = sum(item.questions for item in asked)
    correct = sum(item.correct for item in asked)
    macro = sum(item.correct / item.questions for item in asked) / len(asked)
    variance = 0.0
    for item in asked:
        size = item.questions + 4
        share = (item.correct + 2) / size
        variance += share * (1 - share) / size
    half = Z_95 * math.sqrt(variance) / len(asked)
    return EvaluationScore(
        questions=questions,
        correct=correct,
        micro=100 * correct / questions,
        micro_interval=wilson_interval(correct, questions),
        macro=100 * macro,
        macro_interval=_interval(macro, half),
    )


def join_subjects(results: Sequence[EvaluationResult]) -> tuple[SubjectScore, ...]:
    """The subjects of several shards of one evaluation, added up.

    Raises ValueError where the results cannot be shards of one: another task, other settings,
    other questions, a shard that is there twice or is missing, or counts that do not add up.
    """
    if not results:
        raise ValueError("no shard")
    first = results[0]
    for other in results:
        for key in ("task", "shots", "split", "chat_template", "lm_eval"):
            if getattr(other, key) != getattr(first, key):
                raise ValueError(
                    f"the shards differ in {key}: {getattr(first, key)} and {getattr(other, key)}"
                )
        if other.configuration_sha256 != first.configuration_sha256:
            raise ValueError("the shards were asked of other engines: their configurations differ")
        if other.data.sha256 != first.data.sha256:
            raise ValueError("the shards were not asked the same questions: their hashes differ")
        if other.shard.of != first.shard.of:
            raise ValueError(f"a shard is one of {other.shard.of}, another of {first.shard.of}")
    there = sorted(item.shard.index for item in results)
    if len(set(there)) < len(there):
        raise ValueError("a shard is there twice")
    if missing := sorted(set(range(first.shard.of)) - set(there)):
        named = ", ".join(str(index + 1) for index in missing[:10])
        raise ValueError(f"of {first.shard.of} shards {len(missing)} are missing: {named}")
    joined = []
    for subject in first.subjects:
        parts = [part for item in results for part in item.subjects if part.name == subject.name]
        questions = sum(part.questions for part in parts)
        if any(part.of != subject.of for part in parts) or questions != subject.of:
            raise ValueError(f"{subject.name}: {questions} of {subject.of} questions were asked")
        correct = sum(part.correct for part in parts)
        joined.append(subject.model_copy(update={"questions": questions, "correct": correct}))
    if {part.name for item in results for part in item.subjects} - {part.name for part in joined}:
        raise ValueError("a shard has a subject that another lacks")
    return tuple(joined)


def _interval(centre: float, half: float) -> Interval:
    return Interval(
        low=max(0.0, 100 * (centre - half)),
        high=min(100.0, 100 * (centre + half)),
    )
