"""What the wait makes of one look at a host."""

from __future__ import annotations

import json
from typing import Any

import pytest
from loadfleet_agent.contract.base import utc_now
from loadfleet_agent.contract.status import Status

from ..helpers import load_plugin

agent_wait = load_plugin("agent_wait")

BOOT = "boot-1"
STATUS: dict[str, Any] = {
    "state": "running",
    "phase": "server-performance",
    "phase_index": 6,
    "phase_count": 10,
    "done": 0,
    "total": 0,
    "unit": "samples",
    "tokens_per_s": 0.0,
    "eta_s": None,
    "message": "",
    "boot_id": BOOT,
    "shutdown": False,
    "seq": 7,
}


def reading(boot_id: str = BOOT, alive: bool = True, **changes: Any) -> Any:
    return agent_wait.Reading(boot_id, alive, STATUS | changes)


class TestEnd:
    @pytest.mark.parametrize(
        ("look", "gone", "end"),
        [
            (reading(), 0, None),
            (reading(done=5), 0, None),
            (agent_wait.Reading(BOOT, True, {}), 0, None),
            (reading(alive=False), 1, None),
            (agent_wait.Reading(BOOT, False, {}), 1, None),
            (reading(state="stopped", shutdown=True), 0, None),
            (reading(state="done"), 0, ("done", "")),
            (reading(state="done", alive=False), 5, ("done", "")),
            (reading(state="done", boot_id="boot-2"), 0, ("done", "")),
            (
                reading(state="done", message="finished, not valid"),
                0,
                ("done", "finished, not valid"),
            ),
            (
                reading(state="failed", message="8 GiB are missing"),
                0,
                ("failed", "at server-performance: 8 GiB are missing"),
            ),
            (
                reading(state="failed", boot_id="boot-2", message="killed"),
                0,
                ("failed", "at server-performance: killed"),
            ),
            (
                reading(state="stopped", message="stopped by SIGTERM"),
                0,
                ("stopped", "at server-performance: stopped by SIGTERM"),
            ),
            (
                reading(boot_id="boot-2"),
                0,
                ("rebooted", "the host was rebooted during server-performance"),
            ),
            (
                reading(boot_id="boot-2", state="stopped", shutdown=True),
                0,
                ("rebooted", "the host was rebooted during server-performance"),
            ),
            (
                reading(alive=False),
                2,
                ("died", "the agent is gone without a result, during server-performance"),
            ),
            (
                agent_wait.Reading(BOOT, False, {}),
                2,
                ("died", "the agent is gone without a result, during its start"),
            ),
        ],
    )
    def test_is_told_from_a_slow_phase(
        self, look: Any, gone: int, end: tuple[str, str] | None
    ) -> None:
        assert agent_wait._end(look, gone) == end


class TestLine:
    @pytest.mark.parametrize(
        ("look", "quiet", "line"),
        [
            (None, 0.0, "no status yet"),
            (agent_wait.Reading(BOOT, True, {}), 0.0, "no status yet"),
            (reading(), 0.0, "7/10 server-performance"),
            (
                reading(done=5, total=64),
                0.0,
                "7/10 server-performance 5/64 samples",
            ),
            (
                reading(done=5, total=64, tokens_per_s=1234.4, eta_s=9.6),
                0.0,
                "7/10 server-performance 5/64 samples, 1,234 tokens/s, 10 s left",
            ),
            (reading(eta_s=0.0), 0.0, "7/10 server-performance, 0 s left"),
            (reading(), 60.0, "7/10 server-performance"),
            (
                reading(barrier="offline-performance", message="ready, waiting", done=5, total=64),
                0.0,
                "7/10 ready, waiting",
            ),
            (
                reading(),
                61.0,
                "7/10 server-performance (no news for 61 s)",
            ),
        ],
    )
    def test_tells_phase_and_progress(self, look: Any, quiet: float, line: str) -> None:
        assert agent_wait._line(look, quiet) == line


def whole_status() -> str:
    """status.json as an agent writes it."""
    now = utc_now()
    more = {"run_id": "r", "plan_hash": "a" * 64, "rate_per_s": 0.0, "attempt": 1, "pid": 7}
    times = dict.fromkeys(("started_utc", "updated_utc", "last_progress_utc"), now)
    return Status.model_validate(STATUS | more | times | {"systemd_unit": None}).model_dump_json(
        indent=2
    )


class TestRead:
    def test_takes_clock_lock_and_status_from_what_a_look_printed(self) -> None:
        status = whole_status()
        found = agent_wait._read(f"clock 100.5\nboot-1\n99\n{status}\n\nclock 100.75")
        assert (found.boot_id, found.alive, found.clock) == ("boot-1", True, (100.5, 100.75))
        assert found.status == json.loads(status)

    @pytest.mark.parametrize("date", ["clock 1700000000.%N", "clock"])
    def test_without_a_clock_that_can_be_read_all_else_is_taken(self, date: str) -> None:
        found = agent_wait._read(f"{date}\nboot-1\n0\n{whole_status()}\n\n{date}")
        assert (found.boot_id, found.alive, found.clock) == ("boot-1", False, None)
        assert found.status["phase"] == STATUS["phase"]

    def test_without_a_status(self) -> None:
        assert agent_wait._read("clock 1.5\nboot-1\n99\n\nclock 2.5").status == {}


class TestParticipants:
    def test_are_the_hosts_whose_agent_has_taken_this_run(self) -> None:
        hosts = {
            "here": {"started": {"agent": {"run_id": "r", "how": "attached"}}},
            "of-an-earlier-run": {"started": {"agent": {"run_id": "q"}}},
            "failed": {"started": {"failed": True, "msg": "no"}},
            "never-asked": {},
        }
        assert agent_wait._started(list(hosts), hosts, "r") == ["here"]
