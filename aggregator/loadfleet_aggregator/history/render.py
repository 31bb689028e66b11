"""A fleet's history as text on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from ..text import figures
from ..text.listing import some
from ..text.terminal import aligned, printable, sparkline
from .model import History, HistoryPoint, HistorySeries

HEAD = ("created (UTC)", "run", "sum", "valid", "median of hosts", "change", "95 % interval", "")


def render_text(history: History) -> str:
    """A table for each series, what changed under the run that it changed in."""
    parts = [_series_lines(series, history.host) for series in history.series]
    if history.skipped:
        parts.append(
            ["skipped"] + [printable(f"  {x.folder}: {x.reason}") for x in history.skipped]
        )
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _series_lines(series: HistorySeries, host: str | None) -> list[str]:
    medians = [point.median for point in series.points]
    name = f"{series.scenario} {series.metric.label}{f' of {host}' if host else ''}"
    rows = aligned([HEAD, *(_row(series, point) for point in series.points)], left=2)
    lines = [f"{printable(name)}  {sparkline(medians)}", printable(series.identity), rows[0]]
    for point, row in zip(series.points, rows[1:], strict=True):
        lines += [row, *(f"    {printable(text)}" for text in _changes(point))]
    return lines


def _row(series: HistorySeries, point: HistoryPoint) -> Sequence[str]:
    shown = series.metric.shown
    return (
        f"{point.created_utc:%Y-%m-%d %H:%M}",
        point.run_id,
        shown(point.total),
        f"{len(point.values)}/{len(point.expected)}",
        shown(point.median),
        figures.change(point.ratio),
        figures.change_range(point.interval),
        "moved" if point.moved else "",
    )


def _changes(point: HistoryPoint) -> list[str]:
    lines = [f"+ hosts: {some(point.joined)}"] if point.joined else []
    lines += [f"- hosts: {some(point.left)}"] if point.left else []
    return lines + [
        f"{item.name}: was {item.old}, is {item.new} on {some(item.hosts)}"
        for item in point.changed
    ]
