"""What stops a run does not lose it: the same command again goes on. Real vLLM, one run."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from e2e_project import PATIENCE_S, Project
from waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.vllm]


def only_run(project: Project) -> dict[str, Any]:
    records = (project.folder / "results").glob("*/run.json")
    (record,) = (path for path in records if not path.parent.is_symlink())
    loaded: dict[str, Any] = json.loads(record.read_text())
    return loaded


def engine_core(project: Project, host: str) -> psutil.Process:
    """vLLM's own process of one host: below the worker, which is below the agent."""
    folder = project.host_folder(host)
    assert folder is not None
    agent = psutil.Process(json.loads((folder / "status.json").read_text())["pid"])
    (worker,) = agent.children()
    return next(
        child for child in worker.children() if "resource_tracker" not in " ".join(child.cmdline())
    )


def phase_stamp(project: Project, host: str, phase: str) -> tuple[int, int]:
    folder = project.host_folder(host)
    assert folder is not None
    stat = (folder / "phases" / phase / "phase.json").stat()
    return stat.st_ino, stat.st_mtime_ns


def test_a_killed_playbook_and_a_dead_engine_cost_nothing_that_was_finished(
    project: Project,
) -> None:
    playbook = project.start()
    wait_until(lambda: project.phase("demo-a") == "load", "demo-a loading its engine", PATIENCE_S)
    wait_until(lambda: project.phase("demo-b") == "load", "demo-b loading its engine", PATIENCE_S)
    agents = {
        host: json.loads((Path(project.host_folder(host) or "") / "status.json").read_text())["pid"]
        for host in ("demo-a", "demo-b")
    }
    os.kill(playbook.pid, signal.SIGKILL)
    playbook.wait()
    assert all(psutil.pid_exists(pid) for pid in agents.values())
    run_id = only_run(project)["run_id"]

    # The same command again attaches to the same agents.
    again = project.start()
    wait_until(
        lambda: project.phase("demo-b") == "server-performance",
        "demo-b under Server load",
        PATIENCE_S,
    )
    finished = phase_stamp(project, "demo-b", "offline-performance")
    core = engine_core(project, "demo-b")
    core.send_signal(signal.SIGKILL)
    output, _ = again.communicate(timeout=900)
    assert again.returncode != 0
    report = json.loads((project.latest / "report.json").read_text())
    hosts = {host["name"]: host for host in report["hosts"]}
    assert hosts["demo-a"]["verdict"]["kind"] == "ok", output[-4000:]
    assert hosts["demo-a"]["attempts"] == 1
    verdict = hosts["demo-b"]["verdict"]
    assert (verdict["kind"], verdict["phase"]) == ("failed", "server-performance")
    assert verdict["reason"]
    assert verdict["reason"] in (project.latest / "report.md").read_text()
    assert "demo-b: failed at server-performance because" in output
    assert [phase["name"] for phase in hosts["demo-b"]["phases"]][:2] == [
        "offline-performance",
        "offline-accuracy",
    ]
    assert only_run(project)["run_id"] == run_id
    assert only_run(project)["closed"] is False
    wait_until(lambda: project.processes() == [], "all processes of the run to be gone", 120)

    # And again: the failed host goes on after its finished phases, the other is left alone.
    alone = phase_stamp(project, "demo-a", "server-performance")
    code, output = project.play()
    assert code == 0, output[-4000:]
    report = json.loads((project.latest / "report.json").read_text())
    assert report["run_id"] == run_id
    hosts = {host["name"]: host for host in report["hosts"]}
    assert {name: host["verdict"]["kind"] for name, host in hosts.items()} == {
        "demo-a": "ok",
        "demo-b": "ok",
    }
    assert hosts["demo-b"]["attempts"] == 2
    assert phase_stamp(project, "demo-b", "offline-performance") == finished
    assert phase_stamp(project, "demo-a", "server-performance") == alone
    assert only_run(project)["closed"] is True
