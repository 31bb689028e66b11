"""A host over time, in bins of its own that every report's axis is made of.

A bin is a power of two of seconds long and begins at a multiple of its length since 1970, so that
the bins of a longer axis are whole numbers of these: what is read once, host by host, is put on the
common axis later and exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from loadfleet_agent.contract.result import PhaseResult

from ..samples.read import Samples
from ..telemetry import Telemetry
from .load import EngineLoads

SENSORS = ("power_w", "sm_clock_mhz", "temperature_c", "cpu_percent")
LOADS = ("running", "waiting", "kv_cache")
APART_S = 3600.0
"""Runs of a host with a longer pause between them are told apart: it was resumed, or its clock
was set meanwhile."""
LEAST_BIN_S = 1
MOST_BINS = 256
"""More than twice as many as an axis has (see build.py): its bins are never shorter than ours."""
HOLD_S = 2.5
"""A sensor's value holds until its next one, which comes about a second later."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trace:
    """A host from its first LoadGen run to its last, without a long pause. Arrays: (bins,)."""

    bin_s: int
    first: int
    """Number of the first bin since 1970."""
    start_s: float
    end_s: float
    """POSIX time of the controller's clock, as far as its difference is known."""
    busy: npt.NDArray[np.bool_]
    """A LoadGen run was on."""
    tokens: Floats
    sums: dict[str, Floats]
    """Of SENSORS and LOADS, and how many values they are of."""
    counts: dict[str, Floats]


@dataclass(frozen=True)
class TracedPhase:
    """One LoadGen run of a host and what is known of it."""

    phase: PhaseResult
    samples: Samples | None
    load: EngineLoads | None


def bin_length(start_s: float, end_s: float, most: int) -> int:
    """The shortest, a power of two of seconds, with at most so many bins from start to end."""
    length = LEAST_BIN_S
    while bin_count(start_s, end_s, length) > most:
        length *= 2
    return length


def bin_count(start_s: float, end_s: float, length: int) -> int:
    return math.floor(end_s / length) - math.floor(start_s / length) + 1


def host_traces(
    phases: Sequence[TracedPhase],
    telemetry: Telemetry | None,
    gpus: Sequence[int],
    clock_offset_s: float,
) -> tuple[Trace, ...]:
    """One trace for each stretch of runs. ``gpus``: indices of those in use; none: all.

    ``clock_offset_s``: by which the host's clock is before the controller's. A run that ends
    before it begins is left out.
    """
    spans = sorted(
        (
            (
                traced.phase.started_utc.timestamp() - clock_offset_s,
                traced.phase.ended_utc.timestamp() - clock_offset_s,
                traced,
            )
            for traced in phases
            if traced.phase.ended_utc >= traced.phase.started_utc
        ),
        key=lambda span: span[:2],
    )
    stretches: list[list[tuple[float, float, TracedPhase]]] = []
    end = -math.inf
    for span in spans:
        if span[0] > end + APART_S:
            stretches.append([])
        stretches[-1].append(span)
        end = max(end, span[1])
    sensors = _sensors(telemetry, gpus) if telemetry is not None else {}
    at_s = telemetry.at_s - clock_offset_s if telemetry is not None else np.empty(0)
    return tuple(_trace(stretch, at_s, sensors, clock_offset_s) for stretch in stretches)


def _trace(
    stretch: Sequence[tuple[float, float, TracedPhase]],
    at_s: Floats,
    sensors: dict[str, Floats],
    clock_offset_s: float,
) -> Trace:
    start, end = stretch[0][0], max(span[1] for span in stretch)
    length = bin_length(start, end, MOST_BINS)
    first, bins = math.floor(start / length), bin_count(start, end, length)
    grid = _Grid(length, first, bins)
    busy = np.zeros(bins, dtype=np.bool_)
    tokens = np.zeros(bins)
    loads: dict[str, list[tuple[Floats, Floats]]] = {name: [] for name in LOADS}
    for begin, finish, traced in stretch:
        busy[math.floor(begin / length) - first : math.floor(finish / length) - first + 1] = True
        if traced.samples is not None:
            tokens += _tokens(traced.samples, traced.phase, begin, grid)
        if traced.load is not None:
            for name in LOADS:
                told = getattr(traced.load, name)
                loads[name].append((traced.load.at_s - clock_offset_s, told))
    sums, counts = {}, {}
    for name in SENSORS:
        found = [(at_s, sensors[name])] if name in sensors else []
        sums[name], counts[name] = grid.held(found)
    for name in LOADS:
        sums[name], counts[name] = grid.held(loads[name])
    return Trace(length, first, start, end, busy, tokens, sums, counts)


def _tokens(samples: Samples, phase: PhaseResult, begin_s: float, grid: _Grid) -> Floats:
    """Tokens of the samples that ended in each bin."""
    zero_ns = phase.started_monotonic_ns
    if zero_ns is None:  # LoadGen issues its first query as it starts
        zero_ns = int(samples.issue_ns.min())
    at_s = begin_s + (samples.last_token_ns - zero_ns) / 1e9
    return grid.added(at_s, samples.output_tokens.astype(np.float64))


def _sensors(telemetry: Telemetry, gpus: Sequence[int]) -> dict[str, Floats]:
    """The host's processors, and its GPUs as one: power added up, of the rest the worst."""
    chosen = set(gpus) or set(range(len(telemetry.gpus)))
    used = [columns for index, columns in enumerate(telemetry.gpus) if index in chosen]
    found = {"cpu_percent": telemetry.host["cpu_percent"]}
    if used:
        found["power_w"] = _over(np.add, used, "power_w")
        found["sm_clock_mhz"] = _over(np.fmin, used, "sm_clock_mhz")
        found["temperature_c"] = _over(np.fmax, used, "temperature_c")
    return found


def _over(joined: np.ufunc, gpus: Sequence[dict[str, Floats]], name: str) -> Floats:
    """A sum is known where all of its parts are."""
    return np.asarray(joined.reduce([columns[name] for columns in gpus]), dtype=np.float64)


@dataclass(frozen=True)
class _Grid:
    """Bins of one length."""

    length: int
    first: int
    bins: int

    def added(self, at_s: Floats, values: Floats) -> Floats:
        """Sum of the values in each bin; those outside are left out."""
        where = np.floor(at_s / self.length) - self.first
        inside = (where >= 0) & (where < self.bins) & np.isfinite(values)
        return np.bincount(
            where[inside].astype(np.int64), weights=values[inside], minlength=self.bins
        ).astype(np.float64)

    def held(self, series: Iterable[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
        """Sum and number of values in each bin, of moments and what was told at each; a bin
        without one has what was told last, for a while."""
        sums, counts = np.zeros(self.bins), np.zeros(self.bins)
        for at_s, values in series:
            sums += self.added(at_s, values)
            counts += self.added(at_s, np.where(np.isfinite(values), 1.0, np.nan))
        told = counts > 0
        for steps in range(int(HOLD_S // self.length), 0, -1):
            fill = np.zeros(self.bins, dtype=np.bool_)
            fill[steps:] = told[:-steps]
            for nearer in range(steps):
                fill[nearer:] &= ~told[: self.bins - nearer]
            where = np.flatnonzero(fill)
            sums[where], counts[where] = sums[where - steps] / counts[where - steps], 1.0
        return sums, counts
