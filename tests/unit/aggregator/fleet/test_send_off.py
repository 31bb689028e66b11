"""A host is told its moment, again where the link was lost, and at once where it is too late."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from loadfleet_agent.contract.base import utc_now
from loadfleet_aggregator.fleet import send_off
from loadfleet_aggregator.fleet.common_start import CommonStart, Rendezvous, read_start
from loadfleet_aggregator.fleet.send_off import SendOff

PHASE = "offline-performance"
WAITING = {"barrier": PHASE, "barriers_ahead": [PHASE]}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_off, "AGAIN_S", 0.0)


def decided(folder: Path, at: datetime, *hosts: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    start = CommonStart(phase=PHASE, at_utc=at, hosts=hosts, without={})
    (folder / f"{PHASE}.json").write_text(start.model_dump_json())


def run(folder: Path, go: Callable[[str, datetime | None], str], until: Callable[[], bool]) -> None:
    watch = SendOff(Rendezvous(folder / "sync", "a", ["a"], 60.0), folder, "a", go)
    watch.see(WAITING, None)
    while not until():
        watch.pause(0.1, lambda: None)
    watch.leave("done")


def test_a_command_that_failed_is_given_again(tmp_path: Path) -> None:
    at = utc_now() + timedelta(minutes=5)
    decided(tmp_path / "sync", at, "a")
    told: list[datetime | None] = []

    def go(_: str, moment: datetime | None) -> str:
        told.append(moment)
        return "link lost" if len(told) < 3 else ""

    run(tmp_path, go, lambda: len(told) == 3)
    assert told == [at, at, at]
    start = read_start(tmp_path, PHASE, "a")
    assert start is not None
    assert (start.at_utc, start.reason) == (at, "")


def test_when_the_moment_has_passed_it_starts_at_once_and_the_reason_is_kept(
    tmp_path: Path,
) -> None:
    decided(tmp_path / "sync", utc_now(), "a")
    told: list[datetime | None] = []

    def go(_: str, moment: datetime | None) -> str:
        told.append(moment)
        return "link lost" if len(told) < 2 else ""

    run(tmp_path, go, lambda: len(told) == 2)
    assert told == [None, None]
    start = read_start(tmp_path, PHASE, "a")
    assert start is not None
    assert (start.at_utc, start.reason) == (None, "not told in time: link lost")


def test_a_playbook_that_is_gone_sends_nobody_off(tmp_path: Path) -> None:
    decided(tmp_path / "sync", utc_now() + timedelta(minutes=5), "a")
    watch = SendOff(
        Rendezvous(tmp_path / "sync", "a", ["a"], 60.0), tmp_path, "a", lambda *_: pytest.fail("go")
    )
    watch.see(WAITING, None)

    def gone() -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        watch.pause(1.0, gone)
