"""What the controller saw of a host, from the results of its tasks."""

from __future__ import annotations

from typing import Any

import pytest

from ..helpers import load_plugin

report_run = load_plugin("report_run")

STEPS = {"look": "inspect", "started": "start", "waited": "wait", "fetched": "collect"}
FINE = {"changed": True}
FAILED = {"failed": True, "msg": "no\n  space"}
SKIPPED = {"skipped": True}


@pytest.mark.parametrize(
    ("variables", "seen"),
    [
        ({}, ("not-run", "", "")),
        ({"look": SKIPPED, "started": SKIPPED}, ("not-run", "", "")),
        ({"look": FINE, "started": FINE, "fetched": FINE}, ("collected", "", "")),
        ({"look": FINE, "started": FAILED}, ("failed", "start", "no space")),
        ({"waited": FAILED, "fetched": FINE}, ("failed", "wait", "no space")),
        ({"look": {"unreachable": True, "msg": "refused"}}, ("unreachable", "inspect", "refused")),
        (
            {"look": FINE, "waited": {"failed": True, "state": "lost", "msg": "lost: gone"}},
            ("unreachable", "wait", "lost: gone"),
        ),
        (
            {"look": {"unreachable": True, "msg": "first"}, "started": FAILED},
            ("unreachable", "inspect", "first"),
        ),
    ],
)
def test_the_first_step_that_did_not_succeed_is_the_reason(
    variables: dict[str, Any], seen: tuple[str, str, str]
) -> None:
    assert report_run._seen(variables, STEPS) == seen


def test_a_long_message_is_cut() -> None:
    variables = {"look": {"failed": True, "msg": "x" * 5000}}
    assert len(report_run._seen(variables, STEPS)[2]) == 600


def test_the_clock_is_that_of_the_wait_for_this_run() -> None:
    steps = {"waited": "wait"}
    clock = {"offset_s": 0.1, "error_s": 0.01, "while_running": True}
    waited = {"waited": {"run_id": "r", "clock": clock}}
    assert report_run._clock(waited, steps, "r") == clock
    assert report_run._clock(waited, steps, "another") is None
    assert report_run._clock({"waited": {"run_id": "r", "clock": None}}, steps, "r") is None
    assert report_run._clock({}, steps, "r") is None
