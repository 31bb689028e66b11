"""The clock check, which needs both clocks."""

from __future__ import annotations

import pytest

from ..helpers import load_plugin

clock_skew_s = load_plugin("host_preflight").clock_skew_s


@pytest.mark.parametrize(
    ("host_time", "skew"),
    [(1000.0, 0.0), (1004.0, 0.0), (1010.0, 0.0), (1013.5, 3.5), (997.0, 3.0)],
)
def test_only_what_lies_outside_of_the_question_is_skew(host_time: float, skew: float) -> None:
    # Asked at 1000, answered at 1010: a slow link, not a wrong clock.
    assert clock_skew_s(1000.0, 1010.0, host_time) == pytest.approx(skew)
