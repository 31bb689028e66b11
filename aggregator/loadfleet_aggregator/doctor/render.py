"""The report on a terminal: a table for each place, the worst first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..text.listing import count_of
from ..text.terminal import printable
from .model import Check, DoctorReport, Severity, worst_first

LOOKS = {
    Severity.ERROR: ("\N{HEAVY BALLOT X} error", "bold red"),
    Severity.WARNING: ("! warning", "yellow"),
    Severity.SKIPPED: ("- skipped", "dim"),
    Severity.OK: ("\N{CHECK MARK} ok", "green"),
}
"""A symbol and a word, so that nothing hangs on the colour."""


def show(report: DoctorReport, console: Console, *, every: bool) -> None:
    """Places with the worst first. What is well stands on one line, unless ``every`` is wanted."""
    for place, checks in places(report):
        console.print(Text(place, style="bold"))
        console.print(_table(checks, every=every))
        console.print()
    console.print(summary(report), highlight=False)


def places(report: DoctorReport) -> list[tuple[str, list[Check]]]:
    """Controller and hosts with their checks, each worst first; the controller before the hosts."""
    grouped: dict[tuple[bool, str], list[Check]] = {}
    for check in report.checks:
        grouped.setdefault((check.is_host, check.place), []).append(check)
    order = list(Severity)
    ranked = sorted(
        grouped.items(),
        key=lambda item: (item[0][0], min(order.index(check.severity) for check in item[1])),
    )
    return [(printable(place), worst_first(checks)) for (_, place), checks in ranked]


def summary(report: DoctorReport) -> str:
    counts = dict.fromkeys(Severity, 0)
    for check in report.checks:
        counts[check.severity] += 1
    hosts = {check.place for check in report.checks if check.is_host}
    bad = {
        check.place for check in report.checks if check.is_host and check.severity is Severity.ERROR
    }
    parts = [
        count_of(counts[Severity.ERROR], "error"),
        count_of(counts[Severity.WARNING], "warning"),
        f"{counts[Severity.OK]} ok",
        f"{counts[Severity.SKIPPED]} skipped",
    ]
    text = ", ".join(parts)
    if hosts:
        text += f"; {len(hosts) - len(bad)} of {len(hosts)} hosts ready"
    elif not report.remote:
        text += "; no host was asked: --remote does"
    return text


def _table(checks: Sequence[Check], *, every: bool) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for severity, title, text in _rows(checks, every=every):
        word, style = LOOKS[severity]
        table.add_row(Text(f"  {word}", style=style), Text(title), Text(text))
    return table


def _rows(checks: Sequence[Check], *, every: bool) -> Iterator[tuple[Severity, str, str]]:
    quiet: dict[Severity, list[str]] = {Severity.SKIPPED: [], Severity.OK: []}
    for check in checks:
        if check.severity in quiet and not every:
            quiet[check.severity].append(check.title)
            continue
        text = printable(check.found)
        if check.remedy:
            text += f"\n\N{RIGHTWARDS ARROW} {printable(check.remedy)}"
        yield check.severity, check.title, text
    for severity, titles in quiet.items():
        if titles:
            names = ", ".join(dict.fromkeys(titles))
            yield severity, str(len(titles)), names
