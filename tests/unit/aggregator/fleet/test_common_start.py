"""Watchers in processes of their own agree on one moment, whatever becomes of one of them."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from loadfleet_agent.contract.base import utc_now
from loadfleet_aggregator.fleet.common_start import LEAD_S, CommonStart, read_start
from loadfleet_aggregator.fleet.send_off import LATE
from waiting import LONG_S, wait_until

WATCHER = Path(__file__).with_name("watcher.py")
OFFLINE, SERVER = "offline-performance", "server-performance"
BOTH = [OFFLINE, SERVER]
READY = {"at": OFFLINE, "ahead": [OFFLINE]}


class Watchers:
    """Of one run's hosts."""

    def __init__(self, folder: Path, *hosts: str, wait_s: float = LONG_S) -> None:
        self.folder, self.hosts, self.wait_s = folder, hosts, wait_s
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def start(self, host: str, *steps: dict[str, Any], **more: Any) -> None:
        script = {"participants": self.hosts, "wait_s": self.wait_s, "steps": steps} | more
        self.processes[host] = subprocess.Popen(
            [sys.executable, WATCHER, self.folder, host, json.dumps(script)],
            stdout=subprocess.PIPE,
            text=True,
        )

    def told(self, host: str) -> dict[str, str]:
        """Phase to moment, when its watcher has ended."""
        output, _ = self.processes[host].communicate(timeout=LONG_S)
        lines = [line.split() for line in output.splitlines()]
        assert len({phase for phase, _ in lines}) == len(lines), lines
        return dict(lines)

    def decision(self, phase: str) -> CommonStart:
        path = self.folder / "sync" / "attempt" / f"{phase}.json"
        return CommonStart.model_validate_json(path.read_bytes())


def test_all_are_told_one_moment_moved_by_their_clocks(tmp_path: Path) -> None:
    watchers = Watchers(tmp_path, "a", "b", "c")
    before = utc_now()
    for host, offset_s in (("a", 0.0), ("b", 30.0), ("c", -2.5)):
        steps = [{"at": OFFLINE, "ahead": BOTH}, {"at": SERVER, "ahead": [SERVER]}]
        watchers.start(host, *steps, offset_s=offset_s)
    told = {host: watchers.told(host) for host in watchers.hosts}
    for phase in BOTH:
        moments = {host: datetime.fromisoformat(told[host][phase]) for host in watchers.hosts}
        common = watchers.decision(phase).at_utc
        assert (moments["a"] - common).total_seconds() == 0
        assert (moments["b"] - common).total_seconds() == 30.0
        assert (moments["c"] - common).total_seconds() == -2.5
        assert (common - before).total_seconds() > LEAD_S
        for host in watchers.hosts:
            start = read_start(tmp_path, phase, host)
            assert start is not None
            assert (start.at_utc, start.reason) == (common, "")


def test_none_is_sent_off_before_the_last_is_ready(tmp_path: Path) -> None:
    watchers = Watchers(tmp_path, "a", "b")
    gate = tmp_path / "gate"
    watchers.start("a", READY)
    watchers.start("b", {"tell": [OFFLINE]}, {"until": str(gate)}, READY)
    wait_until(lambda: (tmp_path / "a.ready").exists(), "a ready")
    wait_until(lambda: (tmp_path / "b.told").exists(), "b on its way")
    assert watchers.processes["a"].poll() is None
    assert read_start(tmp_path, OFFLINE, "a") is None
    gate.touch()
    assert watchers.told("a") == watchers.told("b")
    assert set(watchers.decision(OFFLINE).hosts) == {"a", "b"}


def test_a_host_that_has_ended_or_has_no_such_phase_holds_nobody(tmp_path: Path) -> None:
    watchers = Watchers(tmp_path, "a", "failed", "server-alone")
    watchers.start("failed", {"tell": [OFFLINE]}, ended="failed at load: no memory")
    watchers.told("failed")
    gate = tmp_path / "gate"
    watchers.start("server-alone", {"tell": [SERVER]}, {"until": str(gate)})
    watchers.start("a", READY)
    assert OFFLINE in watchers.told("a")
    decision = watchers.decision(OFFLINE)
    assert decision.hosts == ("a",)
    assert decision.without == {"failed": "failed at load: no memory"}
    gate.touch()
    watchers.told("server-alone")


def test_a_watcher_that_is_killed_holds_nobody(tmp_path: Path) -> None:
    watchers = Watchers(tmp_path, "a", "killed")
    watchers.start("killed", {"tell": [OFFLINE]}, {"die": True})
    watchers.told("killed")
    watchers.start("a", READY)
    assert OFFLINE in watchers.told("a")
    assert watchers.decision(OFFLINE).without == {"killed": "its watch on the controller has ended"}


def test_who_is_late_is_not_waited_for_for_ever_and_starts_by_itself(tmp_path: Path) -> None:
    watchers = Watchers(tmp_path, "a", "late", wait_s=1.0)
    gate = tmp_path / "gate"
    watchers.start("late", {"tell": [OFFLINE]}, {"until": str(gate)}, READY)
    watchers.start("a", READY)
    assert OFFLINE in watchers.told("a")
    decision = watchers.decision(OFFLINE)
    assert decision.hosts == ("a",)
    assert decision.without["late"].startswith("not ready 1 s after the first host")
    gate.touch()
    assert watchers.told("late") == {OFFLINE: "now"}
    start = read_start(tmp_path, OFFLINE, "late")
    assert start is not None
    assert (start.at_utc, start.reason) == (None, LATE)


def test_what_an_earlier_attempt_left_is_not_seen(tmp_path: Path) -> None:
    """Each attempt has a folder of its own; here another one has everything decided."""
    watchers = Watchers(tmp_path, "a", "b")
    stale = tmp_path / "sync" / "earlier"
    stale.mkdir(parents=True)
    at = utc_now()
    text = CommonStart(phase=OFFLINE, at_utc=at, hosts=("a",), without={}).model_dump_json()
    (stale / f"{OFFLINE}.json").write_text(text)
    for host in watchers.hosts:
        watchers.start(host, READY)
    told = [watchers.told(host)[OFFLINE] for host in watchers.hosts]
    assert told[0] == told[1]
    assert datetime.fromisoformat(told[0]) > at
