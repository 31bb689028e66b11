"""Failure codes and states."""

from __future__ import annotations

import pytest
from loadfleet_agent.contract.status import FailureCode, State, make_failure


@pytest.mark.parametrize("code", FailureCode)
def test_every_failure_says_what_to_do(code: FailureCode) -> None:
    failure = make_failure(code, "load", "what happened")
    assert (failure.code, failure.phase, failure.message) == (code, "load", "what happened")
    assert len(failure.hint) > 10


def test_only_running_has_not_ended() -> None:
    assert [state for state in State if not state.ended] == [State.RUNNING]
