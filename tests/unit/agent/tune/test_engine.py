"""An engine in which nothing moves is ended."""

from __future__ import annotations

import subprocess
from typing import Any, cast

from loadfleet_agent.tune.engine import _Watch
from waiting import wait_until


def test_a_process_that_is_silent_for_too_long_is_ended() -> None:
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    watch = _Watch(cast("Any", process), limit_s=0.5)
    try:
        wait_until(lambda: process.poll() is not None, "the process was ended")
        assert watch.has_ended_it
    finally:
        watch.end()
        process.kill()
        process.wait()


def test_one_that_moves_is_left_alone() -> None:
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    watch = _Watch(cast("Any", process), limit_s=600)
    watch.moved()
    watch.end()
    assert process.poll() is None
    assert not watch.has_ended_it
    process.kill()
    process.wait()
