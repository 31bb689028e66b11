"""Latency curves of a run's samples, beside LoadGen's own numbers."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from loadfleet_agent.contract.benchmark import LATENCY_LIMITS
from loadfleet_agent.contract.loadgen_log import LatencyNs
from loadfleet_agent.contract.result import PhaseResult

from .early_stopping import percentile_bound
from .model import PROBABILITIES, LatencyCurve
from .read import Samples

P99 = "99.00"
RELATIVE_TOLERANCE = 0.05
ABSOLUTE_TOLERANCE_NS = {"latency": 100_000_000, "ttft": 100_000_000, "tpot": 5_000_000}
"""By which our 99th percentile may be over LoadGen's on a busy host, both together.

Both clocks are stopped by the same thread, LoadGen's a moment later and started a moment
earlier, so ours can be the larger one only by what the scheduler puts between the two.
"""
MAY_BEGIN_LATE_NS = 1_000_000_000
"""More between a query's schedule and its issue is told: LoadGen did not keep its own pace."""


def latency_curves(samples: Samples, phase: PhaseResult) -> tuple[LatencyCurve, ...]:
    """Of a performance run; Offline has latency alone, as no token is told before the last."""
    logged, limits = phase.loadgen, LATENCY_LIMITS.get(phase.scenario)
    latency = samples.last_token_ns - samples.issue_ns
    curves = [_curve("latency", latency, None, logged.latency)]
    if phase.scenario.streams:
        ttft = samples.first_token_ns - samples.issue_ns
        curves.append(_curve("ttft", ttft, limits.ttft_ns if limits else None, logged.ttft))
        several = samples.output_tokens > 1
        decode = (samples.last_token_ns - samples.first_token_ns)[several]
        tpot = decode / (samples.output_tokens[several] - 1)
        if tpot.size:
            curves.append(_curve("tpot", tpot, limits.tpot_ns if limits else None, logged.tpot))
    return tuple(curves)


def disagreements(curves: tuple[LatencyCurve, ...]) -> tuple[str, ...]:
    """Where a curve and LoadGen's own number cannot both be right, or LoadGen was late.

    LoadGen's latency and TTFT begin as a query was due, ours as it came: where LoadGen falls
    behind its schedule its own are larger, and the difference is its delay.
    """
    found = []
    for curve in curves:
        theirs = curve.loadgen_p99_ns
        if theirs is None:
            continue
        ours = curve.quantiles_ns[PROBABILITIES.index(0.99)]
        tolerance = RELATIVE_TOLERANCE * theirs + ABSOLUTE_TOLERANCE_NS[curve.metric]
        told = (
            f"p99 of {curve.metric} is {ours / 1e6:,.1f} ms by single samples and "
            f"{theirs / 1e6:,.1f} ms by LoadGen"
        )
        if ours - theirs > tolerance or (curve.metric == "tpot" and theirs - ours > tolerance):
            found.append(f"{told}: they contradict each other")
        elif theirs - ours > RELATIVE_TOLERANCE * theirs + MAY_BEGIN_LATE_NS:
            found.append(f"{told}: LoadGen sent queries later than they were due")
    return tuple(found)


def _curve(
    metric: Literal["latency", "ttft", "tpot"],
    values: npt.NDArray[Any],
    limit_ns: int | None,
    logged: LatencyNs | None,
) -> LatencyCurve:
    ordered = np.sort(values)
    # LoadGen's own rank: the value at count * probability, rounded down.
    ranks = [min(ordered.size - 1, int(ordered.size * p)) for p in PROBABILITIES]
    quantiles = tuple(round(float(ordered[rank]), 1) for rank in ranks)
    p99 = quantiles[PROBABILITIES.index(0.99)]
    theirs = logged.percentiles.get(P99) if logged else None
    return LatencyCurve(
        metric=metric,
        samples=int(ordered.size),
        quantiles_ns=quantiles,
        p99_bound_ns=percentile_bound(ordered, 0.99),
        limit_ns=limit_ns,
        over_limit=None if limit_ns is None else round(float(np.mean(ordered > limit_ns)), 6),
        loadgen_p99_ns=theirs,
        difference=round(p99 / theirs - 1, 4) if theirs else None,
    )
