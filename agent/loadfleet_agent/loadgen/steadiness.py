"""Whether a rate could be held for longer than it was tried: does the time to first token grow?

Above what an engine can do its queue grows by the same amount every second, and the time to first
token with it. A short run may end before a limit is passed that ten minutes would pass by far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .sut import SampleRecord

BLOCKS = 8
"""Neighbouring queries have like times, so the trend is taken over means of so many blocks."""
CERTAIN = 3.0
"""Standard errors by which a slope must be above zero to be taken for one."""


def ttft_growth(records: Sequence[SampleRecord]) -> float:
    """Seconds by which the time to first token grows in a second, from issue to first token.

    Of the queries that were issued in the second half of the time, when the batch is full; the
    least slope that is certain, 0.0 if it may be none (least squares over block means).
    """
    ordered = sorted(records, key=lambda record: record.issue_ns)
    if not ordered:
        return 0.0
    middle = (ordered[0].issue_ns + ordered[-1].issue_ns) / 2
    later = [record for record in ordered if record.issue_ns >= middle]
    if len(later) < 2 * BLOCKS:
        return 0.0
    issued = np.array([record.issue_ns - middle for record in later]) / 1e9
    waited = np.array([record.first_token_ns - record.issue_ns for record in later]) / 1e9
    x = np.array([block.mean() for block in np.array_split(issued, BLOCKS)])
    y = np.array([block.mean() for block in np.array_split(waited, BLOCKS)])
    spread = float(((x - x.mean()) ** 2).sum())
    if spread == 0:
        return 0.0
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread
    residual = y - y.mean() - slope * (x - x.mean())
    error = float(np.sqrt((residual**2).sum() / (BLOCKS - 2) / spread))
    return max(0.0, slope - CERTAIN * error)


def issue_delay_growth(records: Sequence[SampleRecord], target_qps: float) -> float:
    """Seconds by which LoadGen falls behind its own schedule in a second, 0.0 if it may be none.

    It sends queries at the moments of a Poisson process of ``target_qps``; where it is kept from
    it, by a host without a free processor, say, they are late before they reach the engine.
    """
    if len(records) < 2:
        return 0.0
    issued = [record.issue_ns for record in records]
    took = (max(issued) - min(issued)) / 1e9
    gaps = len(records) - 1
    planned, error = gaps / target_qps, math.sqrt(gaps) / target_qps
    return max(0.0, took - planned - CERTAIN * error) / took if took else 0.0
