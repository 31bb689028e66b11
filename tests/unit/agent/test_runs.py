"""Runs of a data folder through the real command: start, attach, wait, stop, resume."""

from __future__ import annotations

import json
import signal
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from loadfleet_agent.contract.base import utc_now
from loadfleet_agent.contract.status import FailureCode, State, Status
from loadfleet_agent.runs import FRESH_S, RunView
from waiting import wait_until

from .conftest import FinishedRun
from .helpers import ENDLESS, QUICK, SLOW, Agent, snapshot


def test_a_valid_run_ends_with_0(null_run: FinishedRun) -> None:
    assert null_run.returncode == 0, null_run.stdout + null_run.stderr
    assert "complete, valid" in null_run.stdout
    assert "Traceback" not in null_run.stderr
    assert null_run.agent.result(null_run.run_id).valid
    assert not null_run.agent.processes()


def test_a_second_start_says_finished_and_changes_no_file(null_run: FinishedRun) -> None:
    settings = QUICK | {"modes": ["performance", "accuracy"]}
    before = snapshot(null_run.agent.home)
    assert null_run.agent.start(null_run.run_id, settings) == "finished"
    again = null_run.agent("run", *null_run.agent.settings(null_run.run_id, settings))
    assert again.returncode == 0
    assert snapshot(null_run.agent.home) == before


def test_a_detached_run_goes_on_alone_and_is_waited_for(agent: Agent) -> None:
    done = agent("start", *agent.settings("detached", QUICK))
    assert done.returncode == 0
    assert done.stdout.startswith("started: run detached in ")
    waited = agent("wait")
    assert waited.returncode == 0, waited.stdout + waited.stderr
    assert "run detached: complete, valid" in waited.stdout
    agent.await_no_process()


def test_a_run_that_is_not_valid_ends_with_1(agent: Agent) -> None:
    """With so few queries LoadGen cannot confirm a 99th percentile."""
    settings = QUICK | {"length": {"samples": 64, "server_queries": 64}}
    done = agent("run", *agent.settings("invalid", settings))
    assert done.returncode == 1
    assert "complete, not valid" in done.stdout
    assert "early stopping" in done.stdout
    result = agent.result("invalid")
    assert result.outcome == "complete"
    assert not result.valid


def test_the_same_id_attaches_and_another_is_refused_while_a_run_is_on(agent: Agent) -> None:
    assert agent.start("first", ENDLESS) == "started"
    status = agent.await_phase("first", "server-performance")
    assert agent.start("first", ENDLESS) == "attached"
    refused = agent("start", *agent.settings("second", ENDLESS))
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "busy: run first, phase server-performance, since 20" in refused.stderr
    assert "[busy]" in refused.stderr
    in_front = agent("run", *agent.settings("third", ENDLESS))
    assert in_front.returncode == 1
    assert "busy: run first" in in_front.stderr
    now = agent.status("first")
    assert now is not None
    assert (now.pid, now.attempt) == (status.pid, 1)
    assert [path.name for path in (agent.home / "runs").iterdir()] == ["first"]
    assert agent("stop", "--run-id", "first").returncode == 0


def test_one_id_with_another_plan_is_refused_with_the_key(agent: Agent) -> None:
    assert agent("run", *agent.settings("one", QUICK)).returncode == 0
    before = snapshot(agent.folder("one"))
    other = QUICK | {"engine": {"max_num_seqs": 17}, "server_target_qps": 499}
    refused = agent("start", *agent.settings("one", other))
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "differs in engine.max_num_seqs" in refused.stderr
    assert "[bad-plan]" in refused.stderr
    assert snapshot(agent.folder("one")) == before


def _phase_files(agent: Agent, run_id: str, phase: str) -> dict[str, tuple[int, int, bytes]]:
    files = snapshot(agent.folder(run_id) / "phases" / phase)
    assert "phase.json" in files
    return files


def _resume(agent: Agent, run_id: str, phase: str, *, attempts: int = 2) -> None:
    """Starts the run again and sees that a finished phase was kept as it was."""
    before = _phase_files(agent, run_id, phase)
    assert agent.start(run_id, SLOW) == "resumed"
    waited = agent("wait", "--run-id", run_id)
    assert waited.returncode == 0, waited.stdout + waited.stderr
    assert _phase_files(agent, run_id, phase) == before
    result = agent.result(run_id)
    assert result.valid
    assert result.attempts == attempts
    assert [item.name for item in result.phases] == ["offline-performance", "server-performance"]
    agent.await_no_process()


def test_a_stop_writes_a_result_and_a_second_start_goes_on(agent: Agent) -> None:
    agent.start("stopped", SLOW)
    agent.await_phase("stopped", "server-performance")
    done = agent("stop", "--run-id", "stopped")
    assert (done.returncode, done.stdout) == (0, "run stopped stopped\n")
    agent.await_no_process()
    result = agent.result("stopped")
    assert result.outcome == "stopped"
    assert result.failure is not None
    assert result.failure.code is FailureCode.STOPPED
    assert "SIGTERM" in result.failure.message
    assert [phase.name for phase in result.phases] == ["offline-performance"]
    status = agent.status("stopped")
    assert status is not None
    assert (status.state, status.phase) == (State.STOPPED, "server-performance")
    assert (agent.folder("stopped") / "manifest.json").is_file()
    waited = agent("wait", "--run-id", "stopped")
    assert waited.returncode == 1
    again = agent("stop", "--run-id", "stopped")
    assert (again.returncode, again.stdout) == (0, "run stopped was not running\n")
    _resume(agent, "stopped", "offline-performance")


def test_ctrl_c_in_the_foreground_is_a_stop(agent: Agent) -> None:
    process = agent.popen("run", *agent.settings("front", ENDLESS))
    agent.await_phase("front", "server-performance")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Traceback" not in stderr
    assert "stopped by SIGINT" in stdout
    assert agent.result("front").outcome == "stopped"
    agent.await_no_process()


def test_an_agent_that_is_killed_leaves_no_process_and_its_run_goes_on(agent: Agent) -> None:
    agent.start("killed", SLOW)
    status = agent.await_phase("killed", "server-performance")
    psutil.Process(status.pid).kill()
    agent.await_no_process()
    assert not (agent.folder("killed") / "result.json").exists()
    shown = agent("status", "--run-id", "killed")
    assert "(the agent is gone)" in shown.stdout
    waited = agent("wait", "--run-id", "killed")
    assert waited.returncode == 1
    assert "[interrupted]" in waited.stderr
    _resume(agent, "killed", "offline-performance")


def test_an_agent_that_is_killed_while_it_scores_leaves_no_process(agent: Agent) -> None:
    settings = QUICK | {
        "scenarios": ["Offline"],
        "modes": ["accuracy"],
        "length": {"samples": 4000},
    }
    agent.start("scoring", settings)

    def pool() -> list[psutil.Process]:
        status = agent.status("scoring")
        assert status is None or not status.state.ended
        if status is None or status.phase != "score":
            return []
        return psutil.Process(status.pid).children(recursive=True)

    wait_until(pool, "scoring processes")
    status = agent.status("scoring")
    assert status is not None
    psutil.Process(status.pid).kill()
    agent.await_no_process()


def test_a_worker_that_is_killed_ends_the_run_with_the_reason(agent: Agent) -> None:
    agent.start("worker", SLOW)
    agent.await_phase("worker", "server-performance")
    agent.worker().kill()
    assert agent("wait", "--run-id", "worker").returncode == 1
    result = agent.result("worker")
    assert result.outcome == "failed"
    assert result.failure is not None
    assert result.failure.code is FailureCode.ENGINE_DIED
    assert "SIGKILL" in result.failure.message
    assert result.failure.phase == "server-performance"
    agent.await_no_process()
    _resume(agent, "worker", "offline-performance")


def test_a_worker_that_hangs_is_ended_as_stalled(agent: Agent) -> None:
    agent.start("hanging", ENDLESS | {"inactivity": {"generate_s": 3}})
    agent.await_phase("hanging", "server-performance")
    agent.worker().send_signal(signal.SIGSTOP)
    assert agent("wait", "--run-id", "hanging").returncode == 1
    result = agent.result("hanging")
    assert result.outcome == "failed"
    assert result.failure is not None
    assert result.failure.code is FailureCode.STALLED
    assert "server-performance" in result.failure.message
    agent.await_no_process()


def test_slow_progress_is_no_stall(agent: Agent) -> None:
    """The whole phase takes longer than the limit, but it never rests so long."""
    done = agent("run", *agent.settings("slow", SLOW | {"inactivity": {"generate_s": 5}}), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    (server,) = (p for p in json.loads(done.stdout)["phases"] if p["scenario"] == "Server")
    assert server["gate"] == []


def test_a_damaged_phase_is_run_again(agent: Agent) -> None:
    agent.start("damaged", SLOW)
    agent.await_phase("damaged", "server-performance")
    agent("stop")
    log = agent.folder("damaged") / "phases" / "offline-performance" / "mlperf_log_detail.txt"
    log.write_text(log.read_text() + "\n")
    before = log.stat().st_mtime_ns
    assert agent.start("damaged", SLOW) == "resumed"
    assert agent("wait").returncode == 0
    assert log.stat().st_mtime_ns > before
    assert agent.result("damaged").valid


def test_a_plan_from_stdin_runs_as_well(agent: Agent, null_run: FinishedRun) -> None:
    plan = json.loads((null_run.folder / "plan.json").read_text())
    plan |= {"run_id": "piped", "host": "gpu7"}
    plan["scenarios"] = [plan["scenarios"][0] | {"modes": ["performance"]}]
    done = agent("run", "--plan", "-", stdin=json.dumps(plan))
    assert done.returncode == 0, done.stdout + done.stderr
    assert agent.result("piped").host == "gpu7"


@pytest.mark.parametrize(
    ("state", "alive", "age_s", "healthy"),
    [
        (State.RUNNING, True, 0, True),
        (State.RUNNING, True, FRESH_S + 1, False),
        (State.RUNNING, False, 0, False),
        (State.DONE, True, 0, False),
        (State.FAILED, False, 0, False),
    ],
    ids=str,
)
def test_a_run_is_healthy_while_it_is_on_and_says_so(
    null_run: FinishedRun, state: State, alive: bool, age_s: float, healthy: bool
) -> None:
    status = Status.model_validate_json((null_run.folder / "status.json").read_bytes())
    told = status.model_copy(
        update={"state": state, "updated_utc": utc_now() - timedelta(seconds=age_s)}
    )
    assert RunView(null_run.folder, told, alive).healthy is healthy


def test_a_run_without_a_status_is_not_healthy(tmp_path: Path) -> None:
    assert not RunView(tmp_path, None, True).healthy


@pytest.mark.parametrize("run_id", ["..", "../runs", "a/../first", ""])
def test_a_run_id_that_leaves_the_data_folder_is_refused(
    null_run: FinishedRun, tmp_path: Path, run_id: str
) -> None:
    archive = tmp_path / "run.tar.gz"
    for command in (["status"], ["pack", "--output", str(archive)]):
        done = null_run.agent(*command, "--run-id", run_id)
        assert done.returncode == 2, done.stdout
    assert not archive.exists()
