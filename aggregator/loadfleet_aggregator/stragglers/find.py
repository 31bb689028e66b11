"""Flags hosts: by the rules, and by how far their speed is from the others'."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .evidence import Evidence, Value
from .model import LEAST_GAP, Flag, FleetFinding, Reason, Speed
from .rules import RULES, Rule
from .scatter import LEAST_HOSTS, Scatter, measure_scatter

COMMON = 0.5
"""A fault of more hosts than this share is the fleet's, and no reason to single one out."""
ODD = 0.1
"""Differs: at most this share of the hosts has another value than most."""
UNEVEN_WORK = 0.01
"""A host whose samples are so much longer or shorter is not slow or fast for its hardware."""


def find_flags(
    speeds: Mapping[str, Sequence[Speed]],
    evidence: Mapping[str, Evidence],
    rules: Sequence[Rule] = RULES,
) -> tuple[tuple[Flag, ...], tuple[FleetFinding, ...]]:
    """Flags of the hosts of one group (one plan), the slowest first, and faults of the fleet.

    Hosts without a figure are judged by their facts alone. The order of hosts does not matter.
    """
    reasons: dict[str, list[Reason]] = {host: [] for host in sorted({*speeds, *evidence})}
    faulty: set[str] = set()
    common: list[FleetFinding] = []
    for rule in rules:
        broken, others = _broken(rule, evidence)
        if rule.is_fault and len(broken) > COMMON * len(evidence) and len(evidence) > 1:
            common.append(
                FleetFinding(cause=rule.cause, fact=rule.fact, hosts=len(broken),
                             of=len(evidence), hint=rule.hint)
            )  # fmt: skip
            continue
        for host in broken:
            if rule.is_fault:
                faulty.add(host)
            reasons[host].append(
                Reason(cause=rule.cause, fact=rule.fact, value=_text(evidence[host][rule.fact]),
                       others=others, hint=rule.hint)
            )  # fmt: skip
    compared = _compare(speeds)
    by_speed = _by_speed(compared)
    flags = []
    for host, why in reasons.items():
        flag = by_speed.get(host)
        if flag is not None and flag.kind == "straggler":
            flags.append(flag.model_copy(update={"reasons": tuple(why)}))
        elif why:
            kind: Literal["fault", "odd one out"] = "fault" if host in faulty else "odd one out"
            metric, gap, z = _place(host, compared)
            flags.append(Flag(host=host, kind=kind, metric=metric, gap=gap, z=z,
                              reasons=tuple(why)))  # fmt: skip
        elif flag is not None:
            flags.append(flag)
    return worst_first(flags), tuple(common)


def worst_first(flags: Iterable[Flag]) -> tuple[Flag, ...]:
    """The slowest host first."""
    return tuple(sorted(flags, key=lambda flag: (-(flag.gap or 0.0), flag.host)))


# By facts.


def _broken(rule: Rule, evidence: Mapping[str, Evidence]) -> tuple[list[str], str]:
    """Hosts that break a rule, and what the others have."""
    told = {host: facts[rule.fact] for host, facts in evidence.items() if rule.fact in facts}
    if rule.test == "differs":
        return _odd(told)
    numbers = {host: value for host, value in told.items() if isinstance(value, float)}
    if not numbers:
        return [], ""
    if rule.test == "above":
        return [host for host, v in numbers.items() if v > rule.limit], f"at most {rule.limit:g}"
    if rule.test == "below":
        return [host for host, v in numbers.items() if v < rule.limit], f"at least {rule.limit:g}"
    if len(numbers) < LEAST_HOSTS:
        return [], ""
    median = float(np.median(list(numbers.values())))
    least = median * (1 - rule.limit)
    return [host for host, v in numbers.items() if v < least], f"median {median:g}"


def _odd(told: Mapping[str, Value]) -> tuple[list[str], str]:
    """Hosts whose value is not that of nearly all; with two hosts nobody can say who is odd."""
    if len(told) < 3:
        return [], ""
    (usual, count), *_ = Counter(told.values()).most_common(1)
    odd = [host for host, value in told.items() if value != usual]
    few = max(1.0, ODD * len(told))
    if len(odd) > few or count <= len(odd):
        return [], ""
    return odd, f"{_text(usual)} on {count} hosts"


def _text(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else value


# By speed.


@dataclass(frozen=True)
class _Compared:
    """One metric of all hosts that tell it."""

    speeds: Mapping[str, Speed]
    scatter: Scatter
    median_work: float


def _compare(speeds: Mapping[str, Sequence[Speed]]) -> dict[str, _Compared]:
    """Metrics, in the order of their names, that two hosts or more tell."""
    told: dict[str, dict[str, Speed]] = {}
    for host, of_host in speeds.items():
        for speed in of_host:
            told.setdefault(speed.metric, {})[host] = speed
    return {
        metric: _Compared(
            of_hosts,
            measure_scatter([speed.value for speed in of_hosts.values()]),
            float(np.median([speed.work for speed in of_hosts.values()])),
        )
        for metric, of_hosts in sorted(told.items())
        if len(of_hosts) > 1
    }


def _by_speed(compared: Mapping[str, _Compared]) -> dict[str, Flag]:
    """The worst finding of each host over its metrics."""
    found: dict[str, Flag] = {}
    for metric, told in compared.items():
        for host, speed in told.speeds.items():
            flag = _flag(host, metric, speed, told)
            known = found.get(host)
            if flag and (known is None or abs(flag.gap or 0.0) > abs(known.gap or 0.0)):
                found[host] = flag
    return found


def _flag(host: str, metric: str, speed: Speed, told: _Compared) -> Flag | None:
    scatter = told.scatter
    gap, z = scatter.gap(speed.value), scatter.z(speed.value)
    if abs(gap) <= LEAST_GAP or (z is not None and z <= scatter.limit):
        return None
    if z is None and gap < 0:
        return None  # the fastest of a few is the measure, not a suspect
    uneven = abs(speed.work / told.median_work - 1) > UNEVEN_WORK
    return Flag(
        host=host,
        kind="uneven work" if uneven else "straggler" if gap > 0 else "suspiciously fast",
        metric=metric,
        gap=round(gap, 4),
        z=_finite(z),
        reasons=(),
    )


def _place(host: str, compared: Mapping[str, _Compared]) -> tuple[str, float | None, float | None]:
    """A host's worst metric, its gap and z: beside a flag that its facts raised."""
    worst: tuple[str, float | None, float | None] = ("", None, None)
    for metric, told in compared.items():
        if speed := told.speeds.get(host):
            gap = round(told.scatter.gap(speed.value), 4)
            if worst[1] is None or gap > worst[1]:
                worst = (metric, gap, _finite(told.scatter.z(speed.value)))
    return worst


def _finite(z: float | None) -> float | None:
    return None if z is None or not np.isfinite(z) else round(float(z), 2)
