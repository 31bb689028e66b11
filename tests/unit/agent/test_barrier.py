"""A run that waits to be started: before each performance run, until go tells it when."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from loadfleet_agent.contract.base import utc_now
from loadfleet_agent.contract.start import start_signal_path
from loadfleet_agent.contract.status import Event, FailureCode, State, Status
from waiting import wait_until

from .conftest import FinishedRun
from .helpers import QUICK, Agent

SYNC: dict[str, Any] = QUICK | {"sync_start": True}
OFFLINE_ALONE = SYNC | {"scenarios": ["Offline"]}
OFFLINE, SERVER = "offline-performance", "server-performance"


def await_barrier(agent: Agent, run_id: str, phase: str) -> Status:
    """The status as soon as the run waits to start ``phase``."""

    def reached() -> Status | None:
        status = agent.status(run_id)
        assert status is None or not status.state.ended, f"ended before {phase}: {status}"
        return status if status and status.barrier == phase else None

    return wait_until(reached, f"run {run_id} waiting to start {phase}")


def event_codes(agent: Agent, run_id: str) -> list[str]:
    lines = (agent.folder(run_id) / "events.jsonl").read_text().splitlines()
    return [Event.model_validate_json(line).code for line in lines]


def await_end(agent: Agent, run_id: str) -> None:
    waited = agent("wait", "--run-id", run_id)
    assert waited.returncode == 0, waited.stdout + waited.stderr


class TestWaiting:
    def test_each_performance_run_starts_at_the_moment_it_was_told(self, agent: Agent) -> None:
        agent.start("told", SYNC | {"modes": ["performance", "accuracy"]})
        moments: dict[str, datetime] = {}
        for phase, ahead in ((OFFLINE, (OFFLINE, SERVER)), (SERVER, (SERVER,))):
            status = await_barrier(agent, "told", phase)
            assert (status.state, status.barriers_ahead) == (State.RUNNING, ahead)
            assert status.message == f"ready, waiting to start {phase}"
            moments[phase] = utc_now() + timedelta(seconds=6)
            at = moments[phase].astimezone(UTC).isoformat()
            done = agent("go", "--run-id", "told", "--phase", phase, "--at", at, "--json")
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout) == {"run_id": "told", "phase": phase, "at_utc": at}
        await_end(agent, "told")
        result = agent.result("told")
        assert [phase.name for phase in result.phases] == [
            OFFLINE, "offline-accuracy", SERVER, "server-accuracy",
        ]  # fmt: skip
        for phase in result.phases:
            if phase.name in moments:
                assert phase.started_utc >= moments[phase.name]
                logged = phase.loadgen
                assert logged.tokens_per_second is not None
        assert event_codes(agent, "told").count("barrier-passed") == 2
        status = agent.status("told")
        assert status is not None
        assert (status.state, status.barrier, status.barriers_ahead) == (State.DONE, None, ())

    def test_the_same_plan_but_for_the_barrier_has_the_same_hash(
        self, agent: Agent, null_run: FinishedRun
    ) -> None:
        agent.start("hash", SYNC | {"modes": ["performance", "accuracy"]})
        status = await_barrier(agent, "hash", OFFLINE)
        assert status.plan_hash == null_run.agent.result(null_run.run_id).plan_hash
        refused = agent("start", *agent.settings("hash", QUICK | {"modes": SYNC["modes"]}))
        assert refused.returncode == 1
        assert "(differs in scenarios, sync_start)" in refused.stderr
        attached = agent.start("hash", SYNC | {"modes": ["performance", "accuracy"]})
        assert attached == "attached"

    def test_a_stop_there_is_orderly_and_the_run_goes_on_later(self, agent: Agent) -> None:
        agent.start("stopped", OFFLINE_ALONE)
        await_barrier(agent, "stopped", OFFLINE)
        assert agent("stop", "--run-id", "stopped").returncode == 0
        agent.await_no_process()
        failure = agent.result("stopped").failure
        assert failure is not None
        assert failure.code is FailureCode.STOPPED
        assert agent.start("stopped", OFFLINE_ALONE) == "resumed"
        await_barrier(agent, "stopped", OFFLINE)
        assert agent("go").returncode == 0
        await_end(agent, "stopped")

    def test_a_stop_between_go_and_the_moment_ends_at_once(self, agent: Agent) -> None:
        agent.start("between", OFFLINE_ALONE)
        await_barrier(agent, "between", OFFLINE)
        at = (utc_now() + timedelta(minutes=50)).isoformat()
        assert agent("go", "--at", at).returncode == 0
        assert agent("stop").returncode == 0
        agent.await_no_process()
        assert agent.result("between").outcome == "stopped"

    def test_no_word_in_time_ends_the_run_with_a_reason_and_frees_the_device(
        self, agent: Agent
    ) -> None:
        done = agent("run", *agent.settings("late", SYNC | {"inactivity": {"barrier_s": 0.5}}))
        assert done.returncode == 1
        result = agent.result("late")
        assert result.failure is not None
        assert result.failure.code is FailureCode.BARRIER_TIMEOUT
        assert "no start was told in 0 s" in result.failure.message
        assert "the same run again" in result.failure.hint
        assert (result.outcome, result.phases) == ("failed", ())
        assert not agent.processes()

    def test_an_engine_that_dies_there_is_noticed(self, agent: Agent) -> None:
        agent.start("dead", OFFLINE_ALONE)
        await_barrier(agent, "dead", OFFLINE)
        os.kill(agent.worker().pid, signal.SIGKILL)
        assert agent("wait", "--run-id", "dead").returncode == 1
        failure = agent.result("dead").failure
        assert failure is not None
        assert failure.code is FailureCode.ENGINE_DIED

    def test_what_an_earlier_attempt_was_told_does_not_count(self, agent: Agent) -> None:
        agent.start("again", OFFLINE_ALONE)
        await_barrier(agent, "again", OFFLINE)
        at = (utc_now() + timedelta(minutes=50)).isoformat()
        assert agent("go", "--at", at).returncode == 0
        signal_file = start_signal_path(agent.folder("again"), OFFLINE)
        text = signal_file.read_text()
        assert agent("stop").returncode == 0
        # As if that moment had come meanwhile.
        signal_file.write_text(text.replace(at, (utc_now() - timedelta(hours=1)).isoformat()))
        agent.start("again", OFFLINE_ALONE)
        await_barrier(agent, "again", OFFLINE)
        assert not signal_file.exists()

    def test_a_phase_that_is_kept_is_not_waited_for(self, agent: Agent) -> None:
        agent.start("kept", SYNC)
        await_barrier(agent, "kept", OFFLINE)
        assert agent("go").returncode == 0
        await_barrier(agent, "kept", SERVER)
        assert agent("stop").returncode == 0
        assert agent.start("kept", SYNC) == "resumed"
        assert await_barrier(agent, "kept", SERVER).barriers_ahead == (SERVER,)
        assert agent("go").returncode == 0
        await_end(agent, "kept")
        assert event_codes(agent, "kept").count("barrier-passed") == 2


class TestGo:
    def test_refuses_what_cannot_be_meant(self, agent: Agent) -> None:
        agent.start("waits", OFFLINE_ALONE)
        await_barrier(agent, "waits", OFFLINE)
        past = (utc_now() - timedelta(seconds=2)).isoformat()
        far = (utc_now() + timedelta(days=1)).isoformat()
        for flags, code, said in (
            (["--at", past], 2, "is in the past"),
            (["--at", far], 2, "more than an hour ahead"),
            (["--at", "soon"], 2, "--at soon: not a time"),
            (["--at", "2026-11-22T02:45:00"], 2, "write its zone too"),
            (["--run-id", "nothing"], 2, "no run 'nothing'"),
            (["--phase", SERVER], 1, f"run waits waits to start {OFFLINE}, not {SERVER}"),
        ):
            done = agent("go", *flags)
            assert done.returncode == code, flags
            assert said in done.stderr
            assert done.stderr.count("\n") == 1
        assert not start_signal_path(agent.folder("waits"), OFFLINE).exists()

    def test_refuses_a_run_that_does_not_wait(self, null_run: FinishedRun) -> None:
        done = null_run.agent("go", "--run-id", null_run.run_id, "--json")
        assert done.returncode == 1
        failure = json.loads(done.stdout)["failure"]
        assert failure["code"] == "not-waiting"
        assert "is done and does not wait" in failure["message"]

    @pytest.mark.parametrize("told", [1, 3])
    def test_the_later_word_counts(self, agent: Agent, told: int) -> None:
        agent.start("twice", OFFLINE_ALONE)
        await_barrier(agent, "twice", OFFLINE)
        for _ in range(told):
            at = (utc_now() + timedelta(minutes=40)).isoformat()
            assert agent("go", "--at", at).returncode == 0
        assert agent("go").returncode == 0
        await_end(agent, "twice")
