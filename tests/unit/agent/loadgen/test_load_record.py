"""What an engine is busy with is recorded while LoadGen runs; where nothing is told, no file."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest
from loadfleet_agent.engine.base import Engine, EngineLoad
from loadfleet_agent.loadgen.load_record import recorded_load
from waiting import wait_until


class Telling:
    """An engine that tells these loads, one after the other, and the last from then on."""

    def __init__(self, *loads: EngineLoad | None) -> None:
        self._loads: Iterator[EngineLoad | None] = iter(loads[:-1])
        self._last = loads[-1]
        self.asked = 0

    def load(self) -> EngineLoad | None:
        self.asked += 1
        return next(self._loads, self._last)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def recorded(engine: Telling, path: Path, times: int) -> None:
    with recorded_load(cast("Engine", engine), path, interval_s=0.001):
        wait_until(lambda: engine.asked >= times, f"asked {times} times")


def test_each_moment_is_a_line(tmp_path: Path) -> None:
    engine = Telling(EngineLoad(512, 88, 0.91), EngineLoad(3, 0, 0.01))
    recorded(engine, tmp_path / "f", 3)
    told = lines(tmp_path / "f")
    assert len(told) == engine.asked
    assert [list(line) for line in told] == [["at_utc", "running", "waiting", "kv_cache"]] * len(
        told
    )
    assert list(told[0].values())[1:] == [512, 88, 0.91]
    assert list(told[-1].values())[1:] == [3, 0, 0.01]
    at = [datetime.fromisoformat(line["at_utc"]) for line in told]
    assert at == sorted(at)
    assert all(moment.utcoffset() is not None for moment in at)


def test_a_run_that_is_shorter_than_a_second_has_its_end(tmp_path: Path) -> None:
    with recorded_load(cast("Engine", Telling(EngineLoad(1, 2, 0.5))), tmp_path / "f"):
        pass
    assert len(lines(tmp_path / "f")) == 1


def test_moments_of_which_the_engine_tells_nothing_are_left_out(tmp_path: Path) -> None:
    engine = Telling(None, EngineLoad(1, 0, 0.0), None)
    recorded(engine, tmp_path / "f", 4)
    assert len(lines(tmp_path / "f")) == 1


def test_an_engine_that_tells_nothing_leaves_no_file(tmp_path: Path) -> None:
    recorded(Telling(None), tmp_path / "f", 2)
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_it_is_left_after_a_run_that_fails(tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        recorded_load(cast("Engine", Telling(EngineLoad(1, 0, 0.0))), tmp_path / "f"),
    ):
        raise ZeroDivisionError
    assert not any(thread.name == "engine load" for thread in threading.enumerate())
    assert list(tmp_path.iterdir()) == []
