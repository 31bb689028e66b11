"""Runs of a host whose times a test chooses, on the results of a real one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from loadfleet_agent.contract.result import PhaseResult
from loadfleet_aggregator.samples.read import Samples
from loadfleet_aggregator.telemetry import GPU_COLUMNS, Telemetry
from loadfleet_aggregator.timeline.trace import TracedPhase

from ..samples.made import samples_of

SECOND = 10**9
ZERO_NS = 77 * SECOND
"""On the host's monotonic clock, as each run begins."""


def run_of(
    phase: PhaseResult,
    started: datetime,
    seconds: float,
    *,
    ends_s: Sequence[float] = (),
    tokens: int = 10,
) -> TracedPhase:
    """A run whose samples end so many seconds after its start, each with so many tokens."""
    told = phase.model_copy(
        update={
            "started_utc": started,
            "ended_utc": started + timedelta(seconds=seconds),
            "started_monotonic_ns": ZERO_NS,
        }
    )
    return TracedPhase(told, _samples(ends_s, tokens) if ends_s else None, None)


def _samples(ends_s: Sequence[float], tokens: int) -> Samples:
    made = samples_of([round(end * SECOND) for end in ends_s], tokens=[tokens] * len(ends_s))
    zero = made.issue_ns + ZERO_NS
    return Samples(
        made.index, zero, made.first_token_ns + ZERO_NS, made.last_token_ns + ZERO_NS,
        made.output_tokens, None,
    )  # fmt: skip


def sensors(started: datetime, *gpus: Sequence[float], cpu: Sequence[float]) -> Telemetry:
    """One reading a second; ``gpus``: power of each, whose clock and temperature are a tenth."""
    at = started.timestamp() + np.arange(len(cpu))
    return Telemetry(
        at_s=at,
        host={"cpu_percent": np.array(cpu, dtype=float), "memory_used_mib": np.zeros(len(cpu))},
        gpus=tuple(
            {name: np.array(power) * (1.0 if name == "power_w" else 0.1) for name in GPU_COLUMNS}
            for power in gpus
        ),
    )
