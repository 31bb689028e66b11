"""The fleet as a table on a terminal, or as lines where there is none.

What does not fit is left out by its importance, never wrapped: first columns, then hosts. Every
text of a host is made harmless before it is drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from ..text.figures import NO_VALUE, number
from ..text.terminal import printable
from .live import HostLive, LiveState

GAP = 2
LONGEST_CELL = 34
NARROWEST_NOTE = 12

BAD = frozenset(
    {
        LiveState.FAILED,
        LiveState.DIED,
        LiveState.REBOOTED,
        LiveState.UNREACHABLE,
        LiveState.UNREADABLE,
    }
)


@dataclass(frozen=True)
class Column:
    """``rank``: of its importance; the one with the highest goes first when there is no room."""

    title: str
    rank: int
    cell: Callable[[HostLive], str]
    right: bool = True


def _phase(row: HostLive) -> str:
    if row.state is LiveState.RUNNING:
        where = f"{row.phase_number}/{row.phase_count} " if row.phase_number else ""
        return f"{where}{row.phase}"
    if row.state is LiveState.STARTING:
        return row.phase or row.state.value
    at = row.state in (LiveState.FAILED, LiveState.STOPPED, LiveState.DIED, LiveState.REBOOTED)
    return f"{row.state} at {row.phase}" if at and row.phase else row.state.value


def _done(row: HostLive) -> str:
    return f"{row.done:,}/{row.total:,}" if row.total else NO_VALUE


def _warnings(row: HostLive) -> str:
    return f"{row.warnings}" if row.warnings else ""


COLUMNS = (
    Column("host", 0, lambda row: row.host, right=False),
    Column("phase", 0, _phase, right=False),
    Column("done/total", 1, _done),
    Column(
        "samples/s",
        4,
        lambda row: number(row.rate_per_s) if row.unit == "samples" else NO_VALUE,
    ),
    Column("tokens/s", 2, lambda row: number(row.tokens_per_s, 0)),
    Column("ETA", 3, lambda row: duration(row.eta_s)),
    Column("GPU W", 6, lambda row: number(row.gpu_power_w, 0)),
    Column("GPU °C", 7, lambda row: number(row.gpu_temperature_c, 0)),
    Column("warnings", 5, _warnings),
)
"""A last one, of what is left of the line, has the words: why a host failed, its last warning."""


def duration(seconds: float | None) -> str:
    """1:02:03, 2:03; a dash for None."""
    if seconds is None:
        return NO_VALUE
    whole = round(min(seconds, 1e8))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def live_table(rows: Sequence[HostLive], width: int, height: int) -> Table:
    """A table that fits into ``width`` columns and ``height`` lines, its head among them."""
    shown, hidden = _chosen(rows, max(1, height - 1))
    cells = [[_short(column.cell(row)) for column in COLUMNS] for row in shown]
    widths = [
        max([cell_len(column.title), *(cell_len(line[n]) for line in cells)])
        for n, column in enumerate(COLUMNS)
    ]
    kept = _kept(widths, width)
    left = width - sum(widths[n] + GAP for n in kept)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for n in kept:
        table.add_column(
            COLUMNS[n].title,
            justify="right" if COLUMNS[n].right else "left",
            no_wrap=True,
            overflow="ellipsis",
            # Only the phase gives way, when it and the host are all that is left.
            min_width=None if COLUMNS[n].title == "phase" else min(widths[n], width),
        )
    with_note = left >= NARROWEST_NOTE and any(row.note for row in rows)
    if with_note:
        table.add_column("", no_wrap=True, overflow="ellipsis", max_width=left)
    for row, line in zip(shown, cells, strict=True):
        # Text and not str: rich takes [words in brackets] for its own.
        texts = [Text(line[n], style=_style(row, COLUMNS[n].title)) for n in kept]
        if with_note:
            texts.append(Text(printable(row.note), style="red" if row.state in BAD else "yellow"))
        table.add_row(*texts)
    if hidden:
        table.add_row(Text(f"and {len(hidden)} more", style="dim"), Text(_counted(hidden)))
    return table


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"


def _kept(widths: Sequence[int], width: int) -> list[int]:
    kept = list(range(len(widths)))
    while sum(widths[n] + GAP for n in kept) - GAP > width and len(kept) > 2:
        kept.remove(max(kept, key=lambda n: COLUMNS[n].rank))
    return kept


def _chosen(rows: Sequence[HostLive], lines: int) -> tuple[Sequence[HostLive], Sequence[HostLive]]:
    """Those that are shown, in their order, and the others: what is well and done goes first."""
    if len(rows) <= lines:
        return rows, ()
    most = max(1, lines - 1)
    urgent = sorted(range(len(rows)), key=lambda n: (_calm(rows[n]), n))[:most]
    shown = sorted(urgent)
    return [rows[n] for n in shown], [rows[n] for n in range(len(rows)) if n not in set(shown)]


def _calm(row: HostLive) -> int:
    if row.state in BAD:
        return 0
    if row.warnings:
        return 1
    return 3 if row.state is LiveState.DONE else 2


def _style(row: HostLive, title: str) -> str:
    if title == "warnings":
        return "yellow"
    if title not in ("host", "phase"):
        return ""
    if row.state in BAD:
        return "red"
    return {LiveState.DONE: "green", LiveState.STOPPED: "yellow"}.get(row.state, "")


def summary(rows: Sequence[HostLive]) -> str:
    """The fleet on one line: which runs, how many hosts are in which state, what they do."""
    runs = sorted({row.run_id for row in rows if row.run_id})
    if len(runs) > 1:
        head = f"{len(runs)} runs"
    else:
        head = f"run {printable(runs[0])}" if runs else "no run"
    tokens = sum(row.tokens_per_s or 0 for row in rows)
    power = sum(row.gpu_power_w or 0 for row in rows)
    text = f"{head}: {_counted(rows)}"
    if tokens:
        text += f"; together {tokens:,.0f} tokens/s"
    return f"{text}, {power:,.0f} W" if power else text


def _counted(rows: Iterable[HostLive]) -> str:
    counts = Counter(row.state for row in rows)
    return ", ".join(f"{counts[state]} {state}" for state in LiveState if counts[state])


def line(row: HostLive) -> str:
    """A host's progress as text, where there is no terminal."""
    text = _phase(row)
    if row.state is LiveState.RUNNING:
        if row.total:
            text += f" {_done(row)} {row.unit}"
        if row.tokens_per_s:
            text += f", {row.tokens_per_s:,.0f} tokens/s"
        if row.eta_s is not None:
            text += f", {duration(row.eta_s)} left"
    if row.note:
        text += (
            f" (warning: {row.note})" if row.warnings and row.state not in BAD else f": {row.note}"
        )
    return f"{printable(row.host)}: {printable(text)}"
