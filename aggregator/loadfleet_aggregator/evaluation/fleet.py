"""The evaluations of a run's hosts, group by group: joined, judged, held against one another."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from loadfleet_agent.contract.evaluation import (
    EvaluationPlan,
    EvaluationResult,
    EvaluationScore,
    MmluTask,
    PublishedScore,
    SubjectScore,
    published_score,
)
from loadfleet_agent.contract.evaluation_score import join_subjects, score_subjects
from loadfleet_agent.contract.result import ModelFacts
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
    model: ModelFacts | None
    """None: not known."""
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
    whole_groups = [group for group, less in reduced.items() if less is False]
    found = []
    for group, task in sorted(parts, key=lambda key: (key[0], order.index(key[1]))):
        here, paired = parts[group, task], None
        if reduced[group]:
            paired = next(
                (
                    _paired(here, there, baseline)
                    for baseline in whole_groups
                    if (there := parts.get((baseline, task))) and _asked_alike(here[0], there[0])
                ),
                None,
            )
        found.append(_evaluation(group, here, _planned_labels(plans.get(group), task), paired))
    return tuple(found)


def missed_by(host: str, evaluations: Sequence[FleetEvaluation]) -> list[str]:
    """What keeps a host's speed from counting: each evaluation that it missed."""
    return [
        f"{item.task}: {part.reason}"
        for item in evaluations
        for part in item.hosts
        if part.host == host and part.passed is False
    ]


def _planned_labels(plan: Mapping[str, object] | None, task: str) -> tuple[str, ...]:
    """What follows from the controller's plan, whatever a host says."""
    planned = (plan or {}).get("evaluations")
    if not isinstance(planned, Sequence):
        return ()
    read = (EvaluationPlan.model_validate_json(json.dumps(item)) for item in planned)
    return next((item.labels for item in read if item.task == task), ())


def _evaluation(
    group: str, told: Sequence[ToldEvaluation], planned: Sequence[str], paired: Paired | None
) -> FleetEvaluation:
    parts = [_labelled(item, planned) for item in told]
    first = parts[0].result
    shards = max(item.result.shard.of for item in parts)
    subjects, missing = _subjects(parts, shards)
    score = score_subjects(subjects)
    labels = tuple(dict.fromkeys(label for item in parts for label in item.result.labels))
    judged = {
        item.host: _judge(
            score if shards > 1 else item.result.score, item.result, missing if shards > 1 else ""
        )
        for item in parts
    }
    verdict = _of_all(judged)
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
        hosts=tuple(_host(item, alike, judged[item.host]) for item in parts),
        subjects=subjects,
        categories=_categories(subjects),
        score=score,
        missing=missing,
        published=verdict.published,
        least_macro=verdict.least,
        passed=verdict.passed,
        reason=verdict.reason,
        labels=labels,
        compared=alike.compared if alike else 0,
        identical=round(alike.identical, 6) if alike else None,
        paired=paired,
        wrong=next((item.wrong for item in parts if item.wrong), ()),
    )


def _labelled(item: ToldEvaluation, planned: Sequence[str]) -> ToldEvaluation:
    labels = tuple(dict.fromkeys((*planned, *item.result.labels)))
    return replace(item, result=item.result.model_copy(update={"labels": labels}))


def _subjects(parts: Sequence[ToldEvaluation], shards: int) -> tuple[tuple[SubjectScore, ...], str]:
    """Of all questions, each once, and why there are none."""
    results = [item.result for item in parts if item.result.subjects]
    if not results:
        return (), ""
    if shards > 1:
        try:
            joined = join_subjects(results)
        except ValueError as error:
            return (), str(error)
        # That they add up does not show that none of the questions was asked twice.
        if nobodys := [item.host for item in parts if item.answers is None]:
            return (), f"the answers of a shard cannot be used: {some(nobodys)}"
        if whole([item.answers for item in parts if item.answers is not None]) is None:
            return (), "the shards were not asked each question once"
        return joined, ""
    alike = [item for item in results if item.data.sha256 == results[0].data.sha256]
    if len(alike) < len(results):
        others = [p.host for p in parts if p.result.data.sha256 != results[0].data.sha256]
        return (), f"not all hosts were asked the same questions: {some(others)}"
    by_name = [{subject.name: subject for subject in item.subjects} for item in alike]
    asked = [{name: subject.questions for name, subject in item.items()} for item in by_name]
    if any(item != asked[0] for item in asked):
        return (), "not all hosts were asked all of the questions"
    return tuple(
        subject.model_copy(
            update={"correct": round(sum(i[subject.name].correct for i in by_name) / len(by_name))}
        )
        for subject in alike[0].subjects
    ), ""


@dataclass(frozen=True)
class _Judged:
    published: PublishedScore | None
    least: float | None
    passed: bool | None
    reason: str


def _judge(score: EvaluationScore | None, result: EvaluationResult, missing: str) -> _Judged:
    """``score``: of all questions, of this host alone or of all shards."""
    labels = result.labels
    published = published_score(result.task, result.shots, labels, result.data.questions)
    if published is None:
        if labels:
            reason = f"no limit applies: {', '.join(labels)}"
        elif result.task in tuple(MmluTask):
            reason = "nothing is published that was asked in this form"
        else:
            reason = "nothing is held against this task"
        return _Judged(None, None, None, reason)
    least = round(LEAST_SHARE * published.macro, 3)
    if score is None:
        return _Judged(published, least, None, f"not complete: {missing}")
    passed = score.macro >= least
    told = f"macro {score.macro:.2f} % below {least:.2f} %, {LEAST_SHARE:.0%} of the published"
    return _Judged(published, least, passed, "" if passed else told)


def _of_all(judged: Mapping[str, _Judged]) -> _Judged:
    """Of the hosts together: missed where one of them missed, passed where all passed."""
    missed = [host for host, item in judged.items() if item.passed is False]
    open_ones = [item for item in judged.values() if item.passed is None]
    found = next(iter(judged.values()))
    if missed:
        found = judged[missed[0]]
        if len(judged) > 1:
            told = f"{len(missed)} of {len(judged)} hosts below {found.least:.2f} % macro"
            return replace(found, reason=f"{told}: {some(missed)}")
    elif open_ones:
        found = open_ones[0]
    return found


def _categories(subjects: Sequence[SubjectScore]) -> tuple[CategoryScore, ...]:
    found = []
    for category in dict.fromkeys(subject.category for subject in subjects):
        score = score_subjects([item for item in subjects if item.category == category])
        if score is not None:
            found.append(CategoryScore(category=category, score=score))
    return tuple(found)


def _host(item: ToldEvaluation, alike: AnswerAgreement | None, judged: _Judged) -> HostEvaluation:
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
        passed=judged.passed,
        reason=judged.reason,
    )


# Quantised plans against the one that is not.


def _reduced(told: Sequence[ToldEvaluation], plan: Mapping[str, object] | None) -> bool | None:
    """Whether a group computes with less than bfloat16's weights or cache; None: not known."""
    engine = (plan or {}).get("engine")
    stored = [item.model.precision if item.model else None for item in told]
    if not isinstance(engine, Mapping) or None in stored:
        return None
    return (
        any(precision is not Precision.BF16 for precision in stored)
        or engine.get("quantization") is not None
        or engine.get("kv_cache_dtype") not in WHOLE_CACHE
    )


def _asked_alike(here: ToldEvaluation, there: ToldEvaluation) -> bool:
    """Whether two groups answer the same prompts, as models of one shape and tokenizer."""
    if here.model is None or there.model is None:
        return False
    forms = [
        (
            item.result.shots,
            item.result.split,
            item.result.chat_template,
            item.result.lm_eval,
            item.model.geometry,
            item.model.tokenizer_sha256,
        )
        for item in (here, there)
        if item.model
    ]
    return forms[0] == forms[1]


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
