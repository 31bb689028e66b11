"""How a rate is found that nobody gave: what the search and its estimate have in common."""

from __future__ import annotations

from pydantic import Field

from .base import Frozen
from .benchmark import DATASET_SAMPLES, EARLY_STOPPING_MIN_QUERIES

FIRST_SHARE = 0.85
"""Of the Offline rate: published results hold 0.74 (L40S, limited by TPOT) to 1.0 of it."""
OFFLINE_BATCHES = 4
"""A burst of so many full batches, so that filling and emptying the last one weigh little."""
OFFLINE_ALLOWANCE = 1.1
"""LoadGen ends INVALID where the samples are done before the least duration: rather too many."""


class RateSearch(Frozen):
    """How a rate is found that nobody gave: by short runs, each judged by LoadGen itself."""

    queries: int = Field(
        default=600,
        ge=EARLY_STOPPING_MIN_QUERIES,
        le=DATASET_SAMPLES,
        description="least queries of a short run",
    )
    duration_s: float = Field(
        default=60.0,
        ge=0,
        le=600,
        description="least length of a short run: overload shows only as its queue grows",
    )
    probes: int = Field(default=8, ge=2, le=30, description="most short runs of a scenario")
    precision: float = Field(
        default=0.02, gt=0, lt=0.5, description="ends when the rate is known to this share"
    )
    margin: float = Field(
        default=0.05,
        ge=0,
        lt=0.5,
        description="share by which the run itself stays below the highest rate that held",
    )


def offline_burst(max_num_seqs: int, dataset_samples: int) -> int:
    """Samples of the burst that measures the Offline rate."""
    wanted = max(EARLY_STOPPING_MIN_QUERIES, OFFLINE_BATCHES * max_num_seqs)
    return min(wanted, dataset_samples)
