"""The common axis of a report, and every host on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from .model import HostTimeline, Series, TimeAxis
from .trace import APART_S, LOADS, SENSORS, Trace, bin_count, bin_length

MOST_BINS = {50: 120, 1000: 60}
"""Bins at most, up to so many hosts: report.html of 50 hosts stays under 1 MB."""
FEWEST_BINS = 24
DIGITS = {
    "running": 1,
    "waiting": 1,
    "kv_cache": 3,
    "power_w": 0,
    "sm_clock_mhz": 0,
    "temperature_c": 0,
    "cpu_percent": 1,
}
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stretch:
    """A time in which hosts ran without a long pause."""

    start_s: float
    end_s: float
    hosts: frozenset[str]


def build_timelines(
    traces: Mapping[str, Sequence[Trace]], wrong: Mapping[str, float]
) -> tuple[TimeAxis | None, dict[str, HostTimeline]]:
    """The axis of the time in which most hosts ran (of two such the first), and all hosts on it.

    ``wrong``: hosts whose clock is wrong, by an unknown time of so many seconds at the least. They
    and what ran at another time get nothing but a note: the axis would be so long that nothing
    could be seen. The order of hosts does not matter.
    """
    found = _stretches({name: t for name, t in traces.items() if name not in wrong})
    if not found:
        return None, {}
    main = max(found, key=lambda stretch: (len(stretch.hosts), -stretch.start_s))
    most = next((bins for hosts, bins in MOST_BINS.items() if len(traces) <= hosts), FEWEST_BINS)
    length = bin_length(main.start_s, main.end_s, most)
    first = math.floor(main.start_s / length)
    axis = TimeAxis(
        start_utc=datetime.fromtimestamp(first * length, UTC),
        bin_s=length,
        bins=bin_count(main.start_s, main.end_s, length),
    )
    timelines = {}
    for name in sorted(traces):
        inside: list[Trace] = []
        outside: list[Trace] = []
        for trace in traces[name]:
            on_axis = name not in wrong and main.start_s <= trace.start_s <= main.end_s
            (inside if on_axis else outside).append(trace)
        if traces[name]:
            note = _note(outside, wrong.get(name)) if outside else ""
            timelines[name] = _timeline(inside, axis, first, note)
    return axis, timelines


def _stretches(traces: Mapping[str, Sequence[Trace]]) -> list[Stretch]:
    spans = sorted((t.start_s, t.end_s, name) for name, of_host in traces.items() for t in of_host)
    found: list[Stretch] = []
    for start, end, name in spans:
        last = found[-1] if found else None
        if last is None or start > last.end_s + APART_S:
            found.append(Stretch(start, end, frozenset({name})))
        else:
            found[-1] = Stretch(last.start_s, max(last.end_s, end), last.hosts | {name})
    return found


def _note(outside: Sequence[Trace], wrong_s: float | None) -> str:
    if wrong_s is not None:
        return f"not on the axis: its clock is wrong by {wrong_s:,.0f} s or more"
    start = datetime.fromtimestamp(min(trace.start_s for trace in outside), UTC)
    return (
        f"not all of it is on the axis: by its clock it also ran at {start:%Y-%m-%d %H:%M} UTC, "
        "apart from most hosts"
    )


def _timeline(traces: Sequence[Trace], axis: TimeAxis, first: int, note: str) -> HostTimeline:
    busy, tokens = np.zeros(axis.bins), np.zeros(axis.bins)
    sums = {name: np.zeros(axis.bins) for name in (*SENSORS, *LOADS)}
    counts = {name: np.zeros(axis.bins) for name in (*SENSORS, *LOADS)}
    for trace in traces:
        where = (trace.first + np.arange(trace.tokens.size)) * trace.bin_s // int(axis.bin_s)
        where -= first
        busy += np.bincount(where, weights=trace.busy, minlength=axis.bins)
        tokens += np.bincount(where, weights=trace.tokens, minlength=axis.bins)
        for name in sums:
            sums[name] += np.bincount(where, weights=trace.sums[name], minlength=axis.bins)
            counts[name] += np.bincount(where, weights=trace.counts[name], minlength=axis.bins)
    means = {
        name: _series(sums[name] / np.maximum(counts[name], 1.0), counts[name] > 0, DIGITS[name])
        for name in sums
    }
    untold: dict[str, Series] = {name: () for name in LOADS if not counts[name].any()}
    return HostTimeline(
        tokens_per_second=_series(tokens / axis.bin_s, busy > 0, 1), note=note, **(means | untold)
    )


def _series(values: Floats, known: npt.NDArray[np.bool_], digits: int) -> Series:
    return tuple(
        round(float(value), digits) if there else None
        for value, there in zip(values, known, strict=True)
    )
