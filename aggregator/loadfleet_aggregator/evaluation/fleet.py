"""The evaluations of a run's hosts, group by group: joined, judged, held against one another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadfleet_agent.contract.evaluation import (
    EvaluationResult,
    EvaluationScore,
    MmluTask,
    PublishedScore,
    SubjectScore,
    published_score,
)
from loadfleet_agent.contract.evaluation_score import join_subjects, score_subjects
from loadfleet_agent.contract.roofline import Precision

from ..text.listing import some
from .answers import AnswerAgreement, HostAnswers, agreement, comparable, whole
from .model import CategoryScore, FleetEvaluation, HostEvaluation, Paired, WrongAnswer
from .paired import compare_answers

LEAST_SHARE = 0.99
"""Of the published score. MLPerf asks as much of ROUGE; nothing is published of what MMLU should
keep. Both scores are of the same questions, so that no sampling error stands between them."""
WHOLE_CACHE = ("auto", "bfloat16")
"""vLLM's names of a KV cache as precise as the weights."""


@dataclass(frozen=True)
class ToldEvaluation:
    """What one host sent of one evaluation."""

    host: str
    group: str
    result: EvaluationResult
    answers: HostAnswers | None
    """None: not MMLU, or its file cannot be used."""
    precision: Precision | None
    """Of the weights; None: not known."""
    wrong: tuple[WrongAnswer, ...] = ()


def fleet_evaluations(
    told: Sequence[ToldEvaluation], plans: Mapping[str, Mapping[str, object]]
) -> tuple[FleetEvaluation, ...]:
    """One for each group and task, in the order of the groups and of what is told.

    ``plans``: of each group.
    """
    parts: dict[tuple[str, str], list[ToldEvaluation]] = defaultdict(list)
    for item in told:
        parts[item.group, item.result.task].append(item)
    order = list(dict.fromkeys(item.result.task for item in told))
    reduced = {
        group: _reduced([item for item in told if item.group == group], plans.get(group))
        for group in sorted({item.group for item in told})
    }
    baseline = next((group for group, less in reduced.items() if less is False), None)
    found = []
    for group, task in sorted(parts, key=lambda key: (key[0], order.index(key[1]))):
        paired = None
        if baseline is not None and reduced[group]:
            paired = _paired(parts[group, task], parts.get((baseline, task), []), baseline)
        found.append(_evaluation(group, parts[group, task], paired))
    return tuple(found)


def missed_by(host: str, evaluations: Sequence[FleetEvaluation]) -> list[str]:
    """What keeps a host's speed from counting: each evaluation of its group that missed."""
    return [
        f"{item.task}: {item.reason}"
        for item in evaluations
        if item.passed is False and any(part.host == host for part in item.hosts)
    ]


def _evaluation(
    group: str, parts: Sequence[ToldEvaluation], paired: Paired | None
) -> FleetEvaluation:
    first = parts[0].result
    shards = max(item.result.shard.of for item in parts)
    subjects, missing = _subjects(parts, shards)
    score = score_subjects(subjects)
    labels = tuple(dict.fromkeys(label for item in parts for label in item.result.labels))
    published = published_score(first.task, first.shots, labels)
    judged = _judge(score, published, first, labels, missing)
    answers = {item.host: item.answers for item in parts if item.answers is not None}
    alike = agreement(answers)
    return FleetEvaluation(
        group=group,
        task=first.task,
        split=first.split,
        shots=first.shots,
        chat_template=first.chat_template,
        lm_eval=first.lm_eval,
        shards=shards,
        hosts=tuple(_host(item, alike) for item in parts),
        subjects=subjects,
        categories=_categories(subjects),
        score=score,
        missing=missing,
        published=published,
        least_macro=judged.least,
        passed=judged.passed,
        reason=judged.reason,
        labels=labels,
        compared=alike.compared if alike else 0,
        identical=round(alike.identical, 6) if alike else None,
        paired=paired,
        wrong=next((item.wrong for item in parts if item.wrong), ()),
    )


def _subjects(parts: Sequence[ToldEvaluation], shards: int) -> tuple[tuple[SubjectScore, ...], str]:
    """Of all questions, each once, and why there are none."""
    results = [item.result for item in parts if item.result.subjects]
    if not results:
        return (), ""
    if shards > 1:
        try:
            return join_subjects(results), ""
        except ValueError as error:
            return (), str(error)
    alike = [item for item in results if item.data.sha256 == results[0].data.sha256]
    if len(alike) < len(results):
        others = [p.host for p in parts if p.result.data.sha256 != results[0].data.sha256]
        return (), f"not all hosts were asked the same questions: {some(others)}"
    by_name = [{subject.name: subject for subject in item.subjects} for item in alike]
    if any(set(item) != set(by_name[0]) for item in by_name):
        return (), "not all hosts were asked the same subjects"
    return tuple(
        subject.model_copy(
            update={"correct": round(sum(i[subject.name].correct for i in by_name) / len(by_name))}
        )
        for subject in alike[0].subjects
        if all(i[subject.name].questions == subject.questions for i in by_name)
    ), ""


@dataclass(frozen=True)
class _Judged:
    least: float | None
    passed: bool | None
    reason: str


def _judge(
    score: EvaluationScore | None,
    published: PublishedScore | None,
    result: EvaluationResult,
    labels: Sequence[str],
    missing: str,
) -> _Judged:
    if published is None:
        if labels:
            reason = f"no limit applies: {', '.join(labels)}"
        elif result.task in tuple(MmluTask):
            reason = "nothing is published that was asked in this form"
        else:
            reason = "nothing is held against this task"
        return _Judged(None, None, reason)
    least = round(LEAST_SHARE * published.macro, 3)
    if score is None:
        return _Judged(least, None, f"not complete: {missing}")
    passed = score.macro >= least
    told = f"macro {score.macro:.2f} % below {least:.2f} %, {LEAST_SHARE:.0%} of the published"
    return _Judged(least, passed, "" if passed else told)


def _categories(subjects: Sequence[SubjectScore]) -> tuple[CategoryScore, ...]:
    found = []
    for category in dict.fromkeys(subject.category for subject in subjects):
        score = score_subjects([item for item in subjects if item.category == category])
        if score is not None:
            found.append(CategoryScore(category=category, score=score))
    return tuple(found)


def _host(item: ToldEvaluation, alike: AnswerAgreement | None) -> HostEvaluation:
    result = item.result
    identical = alike.hosts.get(item.host) if alike else None
    return HostEvaluation(
        host=item.host,
        questions=result.questions,
        correct=result.correct,
        invalid=result.invalid,
        micro=result.score.micro if result.score else None,
        macro=result.score.macro if result.score else None,
        shard=result.shard.index,
        questions_per_second=result.questions_per_second,
        prefix_caching=result.prefix_caching,
        identical=None if identical is None else round(identical, 6),
        metrics={} if result.score else result.metrics,
    )


# Quantised plans against the one that is not.


def _reduced(told: Sequence[ToldEvaluation], plan: Mapping[str, object] | None) -> bool | None:
    """Whether a group computes with less than bfloat16's weights or cache; None: not known."""
    engine = (plan or {}).get("engine")
    if not isinstance(engine, Mapping) or any(item.precision is None for item in told):
        return None
    return (
        any(item.precision is not Precision.BF16 for item in told)
        or engine.get("quantization") is not None
        or engine.get("kv_cache_dtype") not in WHOLE_CACHE
    )


def _paired(
    here: Sequence[ToldEvaluation], there: Sequence[ToldEvaluation], group: str
) -> Paired | None:
    mine, theirs = _one_set(here), _one_set(there)
    if mine is None or theirs is None:
        return None
    return compare_answers(mine[1], theirs[1], group, theirs[0])


def _one_set(parts: Sequence[ToldEvaluation]) -> tuple[str, HostAnswers] | None:
    """Answers of a group to all questions, and whose they are."""
    told = comparable({item.host: item.answers for item in parts if item.answers is not None})
    if not told:
        return None
    if max(item.result.shard.of for item in parts) == 1:
        host = min(told)
        return host, told[host]
    joined = whole(list(told.values()))
    return None if joined is None else (some(sorted(told)), joined)
