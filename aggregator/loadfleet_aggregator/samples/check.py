"""Whether samples.parquet can be the records of the run that a result tells of."""

from __future__ import annotations

import numpy as np
from loadfleet_agent.contract.distribution import Distribution
from loadfleet_agent.contract.result import PhaseResult

from .read import Samples

SAME = 1e-6
"""Relative: both are reckoned from the same integers."""
SLACK_NS = 10_000_000_000
"""Between a run's own start and end and its samples: the two clocks may drift apart."""


def contradictions(samples: Samples, phase: PhaseResult) -> tuple[str, ...]:
    """What the records and the phase's own numbers tell differently; empty where all is well."""
    tokens, latency = samples.output_tokens, samples.last_token_ns - samples.issue_ns
    told = {
        "samples": (len(samples), phase.samples),
        "output tokens": (int(tokens.sum()), _total(phase.output_tokens)),
        "most output tokens": (int(tokens.max()), phase.output_tokens.maximum),
        "longest latency in ns": (int(latency.max()), phase.latency_from_issue_ns.maximum),
        "mean latency in ns": (float(latency.mean()), phase.latency_from_issue_ns.mean),
    }
    found = [
        f"{name}: {ours:,.0f} in its records, {theirs:,.0f} in the result"
        for name, (ours, theirs) in told.items()
        if not np.isclose(ours, theirs, rtol=SAME, atol=0.5)
    ]
    length_ns = (phase.ended_utc - phase.started_utc).total_seconds() * 1e9
    start_ns = phase.started_monotonic_ns
    begin = int(samples.issue_ns.min()) if start_ns is None else start_ns
    if int(samples.last_token_ns.max()) - begin > length_ns + SLACK_NS:
        found.append("its records end after the run")
    elif int(samples.issue_ns.min()) < begin - SLACK_NS:
        found.append("its records begin before the run")
    return tuple(found)


def _total(values: Distribution) -> float:
    return values.mean * values.count
