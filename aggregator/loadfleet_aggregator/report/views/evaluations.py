"""Evaluations by lm_eval: what each came to, by subject and by host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from loadfleet_agent.contract.evaluation import (
    Category,
    EvaluationScore,
    MetricValue,
    SubjectScore,
)

from ...evaluation.model import FleetEvaluation, HostEvaluation
from ...text.figures import NO_VALUE, number
from ...text.listing import some
from ..charts.scale import Scale
from ..model import FleetReport
from .listing import Listed, listed
from .standing import PlacedHost

WHOLE = Scale(0.0, 100.0)
CHANCE = WHOLE.percent(25.0)
"""Where guessing one of four letters leads, percent of a bar."""
CATEGORIES: dict[Category, str] = {
    "stem": "STEM",
    "humanities": "humanities",
    "social_sciences": "social sciences",
    "other": "other",
}


MOST_COLUMNS = 4
"""Hosts that a table of metrics has a column for."""


@dataclass(frozen=True)
class SubjectRow:
    subject: SubjectScore
    share: float
    """Of its questions, percent: also the length of its bar."""

    @property
    def name(self) -> str:
        return self.subject.name.replace("_", " ")

    @property
    def category(self) -> str:
        return CATEGORIES[self.subject.category]


@dataclass(frozen=True)
class EvaluatedHost:
    host: PlacedHost
    told: HostEvaluation


@dataclass(frozen=True)
class MetricTable:
    """Metrics as lm_eval gave them: a row each, a column for each host; of many hosts the lowest,
    the median and the highest value."""

    heads: tuple[str, ...]
    """Of the columns of values."""
    rows: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...]
    """Part, metric, and for each column the value and whose it is, which is '' where the head
    says it."""
    hosts: int


@dataclass(frozen=True)
class EvaluationView:
    title: str
    evaluation: FleetEvaluation
    verdict: str
    """passed, missed, or '' where nothing was held against it."""
    lines: tuple[str, ...]
    """What it came to, in words."""
    categories: tuple[tuple[str, EvaluationScore], ...]
    subjects: tuple[SubjectRow, ...]
    """The weakest first."""
    hosts: Listed[EvaluatedHost]
    metrics: MetricTable | None
    """Of a task that is not MMLU."""
    chance: float


def evaluation_views(
    report: FleetReport, placed: Sequence[PlacedHost]
) -> tuple[EvaluationView, ...]:
    groups = len({item.group for item in report.evaluations})
    return tuple(_view(item, placed, groups > 1) for item in report.evaluations)


def summary(item: FleetEvaluation, *, grouped: bool) -> str:
    """In one line, for the answer at the top. ``grouped``: there are others it might be."""
    what = f"{item.task}, group {item.group}" if grouped else item.task
    if item.score is None:
        return f"{what}: {item.missing or 'its own metrics, below'}"
    text = f"{what}: macro {number(item.score.macro, 2)} %"
    if item.published is not None:
        text += f", published {number(item.published.macro, 1)} %"
    return f"{text}, missed" if item.passed is False else text


def _view(item: FleetEvaluation, placed: Sequence[PlacedHost], grouped: bool) -> EvaluationView:
    told = {part.host: part for part in item.hosts}
    rows = [
        SubjectRow(subject, WHOLE.percent(100 * subject.correct / subject.questions))
        for subject in item.subjects
        if subject.questions
    ]
    return EvaluationView(
        title=_title(item, grouped),
        evaluation=item,
        verdict="" if item.passed is None else "passed" if item.passed else "missed",
        lines=tuple(_lines(item)),
        categories=tuple((CATEGORIES[c.category], c.score) for c in item.categories),
        subjects=tuple(sorted(rows, key=lambda row: (row.share, row.subject.name))),
        hosts=listed(
            placed,
            lambda host: [EvaluatedHost(host, told[host.name])] if host.name in told else [],
        ),
        metrics=_metrics(item.hosts),
        chance=CHANCE,
    )


def _title(item: FleetEvaluation, grouped: bool) -> str:
    text = item.task
    if item.shots is not None:
        text += f", {item.shots}-shot"
    if item.split:
        text += f", {item.split} split"
    return f"{text}, group {item.group}" if grouped else text


def _lines(item: FleetEvaluation) -> list[str]:
    found = []
    if item.score is not None:
        score = item.score
        found += [
            f"macro {number(score.macro, 2)} % ({number(score.macro_interval.low, 2)} to "
            f"{number(score.macro_interval.high, 2)} %), micro {number(score.micro, 2)} % "
            f"({number(score.micro_interval.low, 2)} to {number(score.micro_interval.high, 2)} %) "
            f"of {score.questions:,} questions",
        ]
    if item.missing:
        found.append(item.missing)
    if item.shards > 1:
        found.append(f"shared out over {item.shards} hosts, each question asked once")
    if item.published is not None and item.least_macro is not None:
        found.append(
            f"published of {item.published.model}: macro {number(item.published.macro, 1)} % "
            f"({item.published.protocol}; {item.published.source}); least that passes "
            f"{number(item.least_macro, 2)} %"
        )
    if item.reason:
        found.append(item.reason)
    if item.paired is not None:
        paired = item.paired
        found.append(
            f"against group {paired.group} in bfloat16 ({paired.host}): "
            f"{paired.difference:+.2f} points on the same {paired.questions:,} questions; "
            f"{paired.only_here:,} right here alone, {paired.only_there:,} there alone, "
            f"p = {paired.p_value:.3g} (McNemar)"
        )
    if item.identical is not None:
        found.append(
            f"to {number(100 * item.identical, 2)} % of {item.compared:,} questions all hosts gave "
            "the same letter, or none"
        )
    return found


def _metrics(hosts: Sequence[HostEvaluation]) -> MetricTable | None:
    """Those that any of the hosts told."""
    found: dict[tuple[str, str], dict[str, MetricValue]] = {}
    for host in hosts:
        for part, values in host.metrics.items():
            for name, value in values.items():
                if name != "alias":
                    found.setdefault((part, name), {})[host.host] = value
    if not found:
        return None
    names = tuple(host.host for host in hosts)
    each = len(names) <= MOST_COLUMNS
    return MetricTable(
        heads=names if each else ("lowest", "median", "highest"),
        rows=tuple(
            (
                part,
                name,
                tuple((_shown(told.get(host)), "") for host in names) if each else _span(told),
            )
            for (part, name), told in found.items()
        ),
        hosts=len(names),
    )


def _span(told: Mapping[str, MetricValue]) -> tuple[tuple[str, str], ...]:
    """Lowest, median and highest value, and whose the outer ones are where they differ. What is no
    number has no order: the values that there are stand in the middle."""
    numbers = {host: value for host, value in told.items() if isinstance(value, int | float)}
    if not numbers:
        texts = sorted({_shown(value) for value in told.values()})
        return ((NO_VALUE, ""), (some(texts), ""), (NO_VALUE, ""))
    low, high = min(numbers, key=numbers.__getitem__), max(numbers, key=numbers.__getitem__)
    same = numbers[low] == numbers[high]
    return (
        (_shown(numbers[low]), "" if same else low),
        (_shown(median(numbers.values())), ""),
        (_shown(numbers[high]), "" if same else high),
    )


def _shown(value: MetricValue) -> str:
    return NO_VALUE if value is None else str(value)
