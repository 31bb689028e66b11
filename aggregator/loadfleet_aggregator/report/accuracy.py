"""ROUGE of the hosts of a group taken together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from loadfleet_agent.contract.benchmark import ACCURACY_TARGETS, AccuracyTarget, Scenario, Suite
from loadfleet_agent.contract.result import Accuracy, RougeScore

from .model import HostReport, PooledAccuracy

METRICS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
MOST_SAMPLES = 10**9
MOST_CHARACTERS = 10**12


def pooled_accuracy(
    hosts: Sequence[HostReport], plans: Mapping[str, Mapping[str, object]]
) -> tuple[PooledAccuracy, ...]:
    """Of each group and scenario in which a host told a score. ``plans``: of each group."""
    found: dict[tuple[str, Scenario], dict[str, Accuracy]] = defaultdict(dict)
    for host in hosts:
        for accuracy in host.accuracy:
            if host.group is not None and _makes_sense(accuracy.score):
                found[host.group, accuracy.scenario][host.name] = accuracy
    order = sorted(found, key=lambda key: (key[0], list(Scenario).index(key[1])))
    return tuple(
        _pooled(group, scenario, found[group, scenario], _target(plans.get(group, {})))
        for group, scenario in order
    )


def _makes_sense(score: RougeScore) -> bool:
    """A host may tell anything."""
    return (
        all(0 <= getattr(score, name) <= 100 for name in METRICS)
        and 0 < score.gen_num <= MOST_SAMPLES
        and 0 <= score.gen_len <= MOST_CHARACTERS
    )


def _target(plan: Mapping[str, object]) -> AccuracyTarget | None:
    return next((ACCURACY_TARGETS[suite] for suite in Suite if suite == plan.get("suite")), None)


def _pooled(
    group: str, scenario: Scenario, told: dict[str, Accuracy], target: AccuracyTarget | None
) -> PooledAccuracy:
    """Each sample of each host counts as much as every other."""
    scores = [told[name].score for name in sorted(told)]
    samples = sum(score.gen_num for score in scores)

    def mean(name: str) -> float:
        return float(sum(getattr(score, name) * score.gen_num for score in scores) / samples)

    pooled = RougeScore(
        **{name: round(mean(name), 4) for name in METRICS},
        gen_len=round(sum(score.gen_len for score in scores) / len(scores)),
        gen_num=round(samples / len(scores)),
    )
    reasons = {item.reason for item in told.values() if not item.applicable}
    if target is None:
        reasons = {"not applicable: the plan is not known"}
    applicable = target is not None and not reasons
    missed = pooled.missed(target) if target is not None and applicable else []
    return PooledAccuracy(
        group=group,
        scenario=scenario,
        hosts=len(told),
        score=pooled,
        margins=_margins(pooled, target) if target is not None and applicable else {},
        worst_host=min(
            sorted(told),
            key=lambda name: (
                min(_margins(told[name].score, target).values())
                if target is not None and applicable
                else told[name].score.rougeL
            ),
        ),
        passed=not missed if applicable else None,
        reason="; ".join(missed or sorted(reasons)),
    )


def _margins(score: RougeScore, target: AccuracyTarget) -> dict[str, float]:
    """Points over the least that passes, 99 % of the reference."""
    return {
        name: round(getattr(score, name) - least, 4) for name, least in target.rouge_minimum.items()
    }
