"""What a run leaves: manifest, status, events, telemetry; and what it does on a full disk."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from loadfleet_agent.contract.host import HostFacts
from loadfleet_agent.contract.result import Manifest
from loadfleet_agent.contract.status import Event, FailureCode, State, Status
from waiting import wait_until

from .conftest import FinishedRun
from .helpers import QUICK, SLOW, Agent

CHANGING = {"manifest.json", "status.json", "agent.log"}
"""The manifest itself and what is still written after it."""


def test_the_manifest_lists_every_file_with_its_hash(null_run: FinishedRun) -> None:
    manifest = Manifest.model_validate_json((null_run.folder / "manifest.json").read_bytes())
    files = {
        path.relative_to(null_run.folder).as_posix(): path
        for path in null_run.folder.rglob("*")
        if path.is_file()
    }
    assert set(manifest.files) == set(files) - CHANGING
    assert {"result.json", "plan.json", "host.json", "events.jsonl"} <= set(manifest.files)
    for name, entry in manifest.files.items():
        data = files[name].read_bytes()
        assert entry.size_bytes == len(data), name
        assert entry.sha256 == hashlib.sha256(data).hexdigest(), name


def test_nothing_half_written_is_left(null_run: FinishedRun) -> None:
    assert not [path for path in null_run.agent.home.rglob("*") if path.name.endswith(".tmp")]


def test_the_result_holds_what_the_phases_say(null_run: FinishedRun) -> None:
    result = null_run.agent.result(null_run.run_id)
    assert result.outcome == "complete"
    assert result.failure is None
    assert result.attempts == 1
    for phase in result.phases:
        stored = (null_run.folder / "phases" / phase.name / "phase.json").read_text()
        assert json.loads(stored) == phase.model_dump(mode="json")
    plan = json.loads((null_run.folder / "plan.json").read_text())
    assert plan["run_id"] == result.run_id
    assert {phase.plan_hash for phase in result.phases} == {result.plan_hash}
    assert [item.scenario.value for item in result.accuracy] == ["Offline", "Server"]
    assert all(item.passed is None and not item.applicable for item in result.accuracy)
    assert result.dataset is not None
    assert result.dataset.samples == 64
    assert result.engine is not None
    assert result.engine.kind == "null"


def test_the_events_tell_the_phases_in_order(null_run: FinishedRun) -> None:
    lines = (null_run.folder / "events.jsonl").read_text().splitlines()
    events = [Event.model_validate_json(line) for line in lines]
    assert [event.phase for event in events if event.code == "phase-started"] == [
        "inspect",
        "prepare",
        "load",
        "warm-up",
        "offline-performance",
        "offline-accuracy",
        "server-performance",
        "server-accuracy",
        "score",
        "seal",
    ]
    times = [event.at_utc for event in events]
    assert times == sorted(times)


def test_the_last_status_says_done(null_run: FinishedRun) -> None:
    status = null_run.agent.status(null_run.run_id)
    assert status is not None
    assert (status.state, status.phase, status.failure) == (State.DONE, "seal", None)
    assert status.phase_index == status.phase_count - 1


def test_the_host_is_described(null_run: FinishedRun) -> None:
    facts = HostFacts.model_validate_json((null_run.folder / "host.json").read_bytes())
    assert facts.hostname == os.uname().nodename
    assert facts.kernel == os.uname().release
    assert {"mlcommons-loadgen", "loadfleet-agent"} <= set(facts.packages)


def test_telemetry_is_sampled(null_run: FinishedRun) -> None:
    lines = (null_run.folder / "telemetry.jsonl").read_text().splitlines()
    samples = [json.loads(line) for line in lines]
    assert samples
    for sample in samples:
        assert set(sample) >= {"at_utc", "cpu_percent", "memory_used_mib", "gpus"}
        assert sample["memory_used_mib"] > 0
    times = [sample["at_utc"] for sample in samples]
    assert times == sorted(times)


def test_status_json_can_be_read_at_any_moment(agent: Agent) -> None:
    process = agent.popen("run", *agent.settings("read", QUICK))
    path = agent.folder("read") / "status.json"
    wait_until(path.exists, "a first status")
    seen: list[Status] = []
    while process.poll() is None:
        seen.append(Status.model_validate_json(path.read_bytes()))
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(seen) > 200
    numbers = [status.seq for status in seen]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > 5
    assert len({status.phase for status in seen}) > 3


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A data folder on a disk of 24 MiB."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting needs root")
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(home)],
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    yield home
    subprocess.run(["umount", "--lazy", str(home)], check=True)


def _fill(home: Path) -> Path:
    """Takes all space that is left."""
    ballast = home / "ballast"
    with ballast.open("ab", buffering=0) as stream:
        for size in (1 << 20, 4096, 1):
            while True:
                try:
                    written = stream.write(b"\0" * size)
                except OSError:
                    break
                if written < size:
                    break
    return ballast


def test_a_disk_that_is_full_at_the_start_is_named(small_disk: Path) -> None:
    agent = Agent(small_disk)
    ballast = _fill(small_disk)
    os.truncate(ballast, ballast.stat().st_size - (1 << 20))  # not enough for the model
    flags = agent.settings("full", QUICK)
    done = agent("run", *flags)
    assert done.returncode == 1
    assert "[no-space]" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    ballast.unlink()
    assert agent("run", *flags).returncode == 0


def test_a_disk_that_becomes_full_ends_the_run_with_the_reason(small_disk: Path) -> None:
    agent = Agent(small_disk)
    process = agent.popen("run", *agent.settings("full", SLOW))
    agent.await_phase("full", "server-performance")
    ballast = _fill(small_disk)
    stdout, stderr = process.communicate(timeout=240)
    agent.await_no_process()
    assert process.returncode == 1
    assert "[no-space]" in stdout + stderr
    assert "Traceback" not in stdout + stderr
    result = agent.result("full")
    assert result.outcome == "failed"
    assert result.failure is not None
    assert result.failure.code is FailureCode.NO_SPACE
    status = agent.status("full")
    assert status is not None
    assert status.state is State.FAILED
    ballast.unlink()
    again = agent("run", *agent.settings("full", SLOW))
    assert again.returncode == 0
    assert agent.result("full").attempts == 2
