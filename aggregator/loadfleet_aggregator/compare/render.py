"""A comparison as text on a terminal and as Markdown for a pull request."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from ..report.metric import Metric
from ..text import figures
from ..text.listing import some
from ..text.markdown import cell
from ..text.terminal import aligned, printable
from .model import (
    Comparison,
    FleetChange,
    HostChange,
    RunName,
    ScenarioComparison,
)

ENDS = 5
"""So many of the worst and of the best hosts are shown on a terminal; the others are counted."""

FINDINGS = 10
"""So many findings are shown on a terminal."""


def render_text(comparison: Comparison) -> str:
    """For a terminal; no text of a host moves its cursor."""
    parts = [
        [printable(comparison.headline)],
        [_run_line("old", comparison.old), _run_line("new", comparison.new)],
        [printable(comparison.statement)],
    ]
    if len(comparison.findings) > 1:
        told = [printable(f"{item.outcome}: {item.what}") for item in comparison.findings]
        more = len(told) - FINDINGS
        parts.append(told[:FINDINGS] + ([f"... and {more} more; --json has all"] * (more > 0)))
    if comparison.scenarios:
        parts.append(_fleet_table(comparison))
    for scenario in comparison.scenarios:
        notes = [printable(note) for note in scenario.notes]
        if scenario.result.hosts:
            notes = [printable(extremes(scenario)), *notes, *_host_table(scenario)]
        if notes:
            parts.append([f"{scenario.scenario}, by host", *_indented(notes)])
    for title, lines in (
        ("accuracy", [printable(line) for line in accuracy_lines(comparison)]),
        ("hosts", [printable(line) for line in presence_lines(comparison)]),
        ("not compared", _not_compared(comparison)),
        ("what changed between the two", _changed_table(comparison)),
    ):
        if lines:
            parts.append([title, *_indented(lines)])
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def render_markdown(comparison: Comparison) -> str:
    """For a pull request: the outcome, the fleet, and what is long folded up."""
    environment = Environment(
        loader=PackageLoader("loadfleet_aggregator.compare"),
        autoescape=False,  # Markdown: each text of others goes through the filter ``cell``
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "cell": cell,
        "change": figures.change,
        "share": figures.share,
        "utc": lambda time: f"{time:%Y-%m-%d %H:%M:%S} UTC",
        "range": figures.change_range,
        "hosts": _of_hosts,
        "extremes": extremes,
        "changes": _changes,
        "of_host": _of_host,
        "shown": _shown,
        "accuracy": accuracy_lines,
        "presence": presence_lines,
        "not_compared": _not_compared,
    }
    return environment.get_template("compare.md.j2").render(comparison=comparison)


def extremes(scenario: ScenarioComparison) -> str:
    """The worst and the best host of a scenario."""
    worst, *others = scenario.result.hosts
    text = f"worst {worst.host} {figures.change(worst.ratio)}"
    if others:
        text += f", best {others[-1].host} {figures.change(others[-1].ratio)}"
    return text


def accuracy_lines(comparison: Comparison) -> list[str]:
    """The hosts of each change of ROUGE against its targets, what was lost first."""
    groups: dict[tuple[bool, str, str, str], list[str]] = {}
    for item in comparison.accuracy:
        key = (not item.lost, item.scenario.value, item.old, item.new)
        groups.setdefault(key, []).append(item.host)
    return [
        f"{scenario}: {_then(was, now)} on {some(hosts)}"
        for (_, scenario, was, now), hosts in sorted(groups.items())
    ]


def presence_lines(comparison: Comparison) -> list[str]:
    """Hosts that are lost, that only one run has, and that are not ok in both."""
    lines = [f"lost: {item.loss}" for item in comparison.hosts if item.lost]
    for run, hosts in (
        ("old", [item for item in comparison.hosts if item.new is None and not item.lost]),
        ("new", [item for item in comparison.hosts if item.old is None]),
    ):
        names: dict[str, list[str]] = defaultdict(list)
        for item in hosts:
            names[str(item.old or item.new)].append(item.host)
        lines += [
            f"only in the {run} run: {some(of_verdict)} ({verdict})"
            for verdict, of_verdict in sorted(names.items())
        ]
    for item in comparison.hosts:
        if item.old and item.new and not item.lost and item.old != item.new:
            lines.append(f"{item.host}: was {item.old}, is {item.new}")
    return lines


# Parts of the text.


def _run_line(name: str, run: RunName) -> str:
    return printable(f"{name}: {run.run_id}, {run.created_utc:%Y-%m-%d %H:%M} UTC, {run.headline}")


def _fleet_table(comparison: Comparison) -> list[str]:
    head = ("scenario", "of a host", "hosts", "old", "new", "change", "95 % interval", "outcome")
    rows = [head]
    for scenario in comparison.scenarios:
        for change in _changes(scenario):
            decides = change is scenario.result
            rows.append(
                (
                    scenario.scenario.value if decides else "",
                    change.metric.label,
                    str(len(change.hosts)),
                    change.metric.shown(change.old),
                    change.metric.shown(change.new),
                    figures.change(change.ratio),
                    figures.change_range(change.interval),
                    scenario.outcome.value if decides else "shown only",
                )
            )
    return aligned(rows, left=2)


def _host_table(scenario: ScenarioComparison) -> list[str]:
    """Worst first; of many hosts both ends."""
    head = ["host"]
    for change in _changes(scenario):
        head += [f"{change.metric.label} old", "new", "change"]
    hosts = [item.host for item in scenario.result.hosts]
    shown = hosts if len(hosts) <= 2 * ENDS else [*hosts[:ENDS], *hosts[-ENDS:]]
    rows = [head]
    for host in shown:
        row = [host]
        for change in _changes(scenario):
            found = _of_host(change, host)
            row += (
                [
                    _shown(found.old, change.metric),
                    _shown(found.new, change.metric),
                    figures.change(found.ratio),
                ]
                if found
                else [figures.NO_VALUE] * 3
            )
        rows.append(row)
    lines = aligned(rows)
    if len(shown) < len(hosts):
        between = f"... {len(hosts) - len(shown)} hosts between these; --json has all"
        lines.insert(1 + ENDS, between)
    return lines


def _changed_table(comparison: Comparison) -> list[str]:
    if not comparison.changed:
        return ["nothing that the hosts tell"]
    rows = [("what", "old", "new", "hosts")]
    rows += [
        (item.name, item.old, item.new, _of_hosts(item.hosts, comparison))
        for item in comparison.changed
    ]
    return aligned(rows, left=4)


def _not_compared(comparison: Comparison) -> list[str]:
    return [f"{scenario} is only in the old run" for scenario in comparison.only_in_old] + [
        f"{scenario} is only in the new run" for scenario in comparison.only_in_new
    ]


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]


# Parts of both.


def _changes(scenario: ScenarioComparison) -> tuple[FleetChange, ...]:
    return (scenario.result, *scenario.shown)


def _of_host(change: FleetChange, host: str) -> HostChange | None:
    return next((item for item in change.hosts if item.host == host), None)


def _shown(values: Sequence[float], metric: Metric) -> str:
    """The value of each repeat."""
    return " ".join(map(metric.shown, values))


def _of_hosts(hosts: Sequence[str], comparison: Comparison) -> str:
    paired = [item for item in comparison.hosts if item.old and item.new]
    return f"all {len(hosts)}" if len(hosts) == len(paired) > 1 else some(hosts)


def _then(was: str, now: str) -> str:
    return was if was == now else f"was {was}, is {now}"
