"""Flags hosts: by the rules, and by how far their speed is from the others'.

Speed from five hosts on: robust z = |x - median| / (1.4826 MAD) above 3.5 (Iglewicz and Hoaglin,
How to Detect and Handle Outliers, 1993) and a gap above 3 %. That limit is for normal scatter.
Where a large fleet shows heavier tails than that, hosts that nothing is wrong with would pass it
by the dozen: from two hundred hosts on the limit is raised to what one host in a thousand passes
on one side, by the Student t distribution that fits the fleet best (never lowered): its fast side,
which slow hosts do not widen.
Fewer than five hosts have no spread worth the name: the gap to the fastest alone is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from loadfleet_agent.contract.base import Frozen
from pydantic import Field

from .evidence import Evidence, Value
from .rules import RULES, Rule

LEAST_HOSTS = 5
LIMIT_Z = 3.5
LEAST_GAP = 0.03
MANY_HOSTS = 200
TAIL = 1 / 1000
"""One-sided probability that a healthy host of a large fleet is flagged by its speed."""
COMMON = 0.5
"""A fault of more hosts than this share is the fleet's, and no reason to single one out."""
ODD = 0.1
"""Differs: at most this share of the hosts has another value than most."""
MAD_TO_SIGMA = 1.4826
UNEVEN_WORK = 0.01
"""A host whose samples are so much longer or shorter is not slow or fast for its hardware."""
FREEDOMS = (30.0, 15.0, 10.0, 8.0, 6.0, 5.0, 4.0, 3.5, 3.0)
"""Of Student's t that are told apart; the first is as good as normal."""

Floats = npt.NDArray[np.float64]


class Speed(Frozen):
    """One performance figure of one host."""

    metric: str = Field(description="e.g. Offline tokens/s; larger is better")
    value: float = Field(gt=0)
    work: float = Field(gt=0, description="mean tokens of a sample, prompt and answer")


class Reason(Frozen):
    """A rule that a host breaks, with its value and the others'."""

    cause: str
    fact: str
    value: str
    others: str = Field(description="what most hosts have, or the limit")
    hint: str


class Flag(Frozen):
    """A host that wants a look."""

    host: str
    kind: Literal["straggler", "fault", "odd one out", "suspiciously fast", "uneven work"]
    metric: str = Field(description="by which it was found; '' by a fact alone")
    gap: float | None = Field(description="share of the median that is missing; below 0: faster")
    z: float | None = Field(description="robust z; None under five hosts")
    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        causes = ", ".join(dict.fromkeys(reason.cause for reason in self.reasons))
        if self.gap is None or abs(self.gap) <= LEAST_GAP:
            return causes or self.kind
        speed = f"{abs(self.gap):.1%} {'slower' if self.gap > 0 else 'faster'} than the others"
        if self.kind == "uneven work":
            return f"{speed}, but its samples are not as long as theirs"
        return f"{speed}: {causes or 'no fact tells why'}"


class FleetFinding(Frozen):
    """A fault that most hosts share."""

    cause: str
    fact: str
    hosts: int
    of: int
    hint: str
    group: str = Field(default="", description="of the hosts with one plan")


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
    by_speed = _by_speed(speeds)
    flags = []
    for host, why in reasons.items():
        flag = by_speed.get(host)
        if flag is not None and flag.kind == "straggler":
            flags.append(flag.model_copy(update={"reasons": tuple(why)}))
        elif why:
            kind: Literal["fault", "odd one out"] = "fault" if host in faulty else "odd one out"
            metric, gap, z = _place(host, speeds)
            flags.append(Flag(host=host, kind=kind, metric=metric, gap=gap, z=z,
                              reasons=tuple(why)))  # fmt: skip
        elif flag is not None:
            flags.append(flag)
    order = sorted(flags, key=lambda flag: (-(flag.gap or 0.0), flag.host))
    return tuple(order), tuple(common)


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


def _by_speed(speeds: Mapping[str, Sequence[Speed]]) -> dict[str, Flag]:
    """The worst finding of each host over its metrics."""
    found: dict[str, Flag] = {}
    metrics = sorted({speed.metric for of_host in speeds.values() for speed in of_host})
    for metric in metrics:
        told = _told(metric, speeds)
        for host, flag in _of_metric(metric, told).items():
            known = found.get(host)
            if known is None or abs(flag.gap or 0.0) > abs(known.gap or 0.0):
                found[host] = flag
    return found


def _told(metric: str, speeds: Mapping[str, Sequence[Speed]]) -> dict[str, Speed]:
    return {
        host: speed for host, of_host in speeds.items() for speed in of_host
        if speed.metric == metric
    }  # fmt: skip


def _of_metric(metric: str, told: Mapping[str, Speed]) -> dict[str, Flag]:
    if len(told) < 2:
        return {}
    median_work = float(np.median([speed.work for speed in told.values()]))
    center, sigma, limit = _scatter([speed.value for speed in told.values()])
    found: dict[str, Flag] = {}
    for host, speed in told.items():
        gap = 1 - speed.value / center
        z = None if sigma is None else abs(speed.value - center) / sigma if sigma > 0 else np.inf
        if abs(gap) <= LEAST_GAP or (z is not None and z <= limit):
            continue
        if sigma is None and gap < 0:
            continue  # the fastest of a few is the measure, not a suspect
        uneven = abs(speed.work / median_work - 1) > UNEVEN_WORK
        found[host] = Flag(
            host=host,
            kind="uneven work" if uneven else "straggler" if gap > 0 else "suspiciously fast",
            metric=metric,
            gap=round(gap, 4),
            z=None if z is None or not np.isfinite(z) else round(float(z), 2),
            reasons=(),
        )
    return found


def _place(
    host: str, speeds: Mapping[str, Sequence[Speed]]
) -> tuple[str, float | None, float | None]:
    """A host's worst metric, its gap and z: beside a flag that its facts raised."""
    worst: tuple[str, float | None, float | None] = ("", None, None)
    for speed in speeds.get(host, ()):
        told = _told(speed.metric, speeds)
        if len(told) < 2:
            continue
        center, sigma, _ = _scatter([other.value for other in told.values()])
        gap = round(1 - speed.value / center, 4)
        if worst[1] is None or gap > worst[1]:
            z = round(abs(speed.value - center) / sigma, 2) if sigma else None
            worst = (speed.metric, gap, z)
    return worst


def _scatter(values: Sequence[float]) -> tuple[float, float | None, float]:
    """Centre, robust standard deviation, and the z above which a host is flagged.

    Under five hosts the centre is the fastest, and there is no deviation.
    """
    numbers = np.array(values, dtype=np.float64)
    if numbers.size < LEAST_HOSTS:
        return float(numbers.max()), None, 0.0
    median = float(np.median(numbers))
    sigma = MAD_TO_SIGMA * float(np.median(np.abs(numbers - median)))
    return median, sigma, _limit(numbers, median)


def _limit(numbers: Floats, median: float) -> float:
    if numbers.size < MANY_HOSTS:
        return LIMIT_Z
    freedom = _tail_freedom(numbers[numbers > median] - median)
    if freedom is None:
        return LIMIT_Z
    # In units of the robust deviation, which is 1.4826 times the median of the absolute values.
    return max(LIMIT_Z, _quantile(freedom, 1 - TAIL) / (MAD_TO_SIGMA * _quantile(freedom, 0.75)))


def _tail_freedom(distances: Floats) -> float | None:
    """Degrees of freedom of the Student t distribution that these distances are likeliest of.

    ``distances`` from the median, on one side of it; each distribution is scaled to their own
    median, so that its tail alone decides. None: as good as normal.
    """
    distances = distances[distances > 0]
    if not distances.size:
        return None
    from scipy.special import gammaln

    def likelihood(freedom: float) -> float:
        scale = float(np.median(distances)) / _quantile(freedom, 0.75)
        density = gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - np.log(freedom) / 2
        shape = -(freedom + 1) / 2 * np.log1p((distances / scale) ** 2 / freedom)
        return float(distances.size * (density - np.log(scale)) + shape.sum())

    likeliest = max(FREEDOMS, key=likelihood)
    return None if likeliest == FREEDOMS[0] else likeliest


def _quantile(freedom: float, probability: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))
