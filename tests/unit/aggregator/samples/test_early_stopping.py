"""The bound of a percentile is the one that LoadGen prints."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loadfleet_agent.contract.benchmark import EARLY_STOPPING_MIN_QUERIES
from loadfleet_aggregator.samples.early_stopping import most_over, percentile_bound
from scipy.stats import binom

LOGS = Path(__file__).parents[3] / "data" / "mlperf-v5.1-logs"
PROCESSED = re.compile(r"Processed at least (\d+) queries \((\d+)\)")
DISCARDED = re.compile(r"Would discard (\d+) highest")


def logged_single_stream() -> list[Path]:
    return sorted(LOGS.glob("*/singlestream/mlperf_log_summary.txt")) + sorted(
        (LOGS.parents[1] / "unit/aggregator/submission/logs").glob(
            "*/edge/singlestream/mlperf_log_summary.txt"
        )
    )


@pytest.mark.parametrize("path", logged_single_stream(), ids=lambda path: path.parts[-3])
def test_as_many_queries_are_discarded_as_loadgen_says(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = list(zip(PROCESSED.findall(text), DISCARDED.findall(text), strict=True))
    assert len(found) == 2  # of TTFT and of TPOT
    for (least, queries), discarded in found:
        # LoadGen takes the value after the discarded ones for the estimate.
        assert most_over(int(queries), 0.9) == int(discarded) + 1
        assert most_over(int(least), 0.9) == 1
        assert most_over(int(least) - 1, 0.9) == 0


def test_a_99th_percentile_needs_as_many_as_loadgen_asks_for() -> None:
    """662 for an estimate, which has one query at or over it; 459 if none is over a limit."""
    assert (most_over(661, 0.99), most_over(662, 0.99)) == (0, 1)
    assert binom.cdf(0, EARLY_STOPPING_MIN_QUERIES, 0.01) < 0.01
    assert binom.cdf(0, EARLY_STOPPING_MIN_QUERIES - 1, 0.01) >= 0.01


@given(st.integers(1, 20_000), st.sampled_from([0.9, 0.97, 0.99]))
def test_one_more_over_it_would_be_no_proof(queries: int, percentile: float) -> None:
    over = most_over(queries, percentile)
    if over:
        assert binom.cdf(over, queries, 1 - percentile) < 0.01
    if over + 1 < queries:
        assert binom.cdf(over + 1, queries, 1 - percentile) >= 0.01


@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=2000))
def test_the_bound_is_no_less_than_the_percentile(values: list[float]) -> None:
    ordered = np.sort(np.array(values * (2000 // len(values))))
    bound = percentile_bound(ordered, 0.99)
    assert bound is not None
    assert bound >= ordered[int(ordered.size * 0.99)]


def test_too_few_values_have_no_bound() -> None:
    assert percentile_bound(np.arange(661.0), 0.99) is None
    assert percentile_bound(np.arange(662.0), 0.99) == 661.0
