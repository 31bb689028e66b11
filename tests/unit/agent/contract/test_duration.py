"""Durations for people."""

from __future__ import annotations

import pytest
from loadfleet_agent.contract.duration import duration_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "under 1 s"),
        (8.4, "8 s"),
        (99.4, "99 s"),
        (99.6, "2 min"),
        (3342, "56 min"),
        (5940, "99 min"),
        (6000, "1 h 40 min"),
        (7200, "2 h"),
        (11_100, "3 h 05 min"),
        (1_000 * 3600 + 60, "1,000 h 01 min"),
    ],
)
def test_a_duration_reads_well(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
