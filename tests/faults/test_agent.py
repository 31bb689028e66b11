"""Faults of what runs on a host: the agent, its engine, its disk and memory."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from controller import Cgroup, mounts
from fault_rows import Record
from fault_site import HOME, VLLM_SETTINGS, Site, is_gone, state_of
from waiting import wait_until

ENGINES = [
    pytest.param({}, id="null"),
    pytest.param(VLLM_SETTINGS, id="vllm", marks=pytest.mark.full),
]
VMSTAT = Path("/proc/vmstat")


@pytest.mark.parametrize("engine", ENGINES)
def test_an_agent_that_is_killed(site: Site, record: Record, engine: dict[str, Any]) -> None:
    machine = site.machines["h1"]
    with site.run("agent", "h1", **engine) as run:
        playbook = run.start()
        run.wait_for_load("h1", playbook)
        before, worker = run.finished("h1"), run.engine("h1")
        os.kill(run.agent("h1"), signal.SIGKILL)
        wait_until(lambda: is_gone(worker), "the end of the engine")
        journal = machine.run("journalctl", "--unit", run.unit("h1")).stdout
        record.happened("code=killed, status=9/KILL" in journal)
        ended = playbook.end()
        record.sees(ended.output)
        assert ended.returncode != 0
        assert run.is_idle("h1")
        record.completes(run, {"h1": before})


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_that_is_killed(site: Site, record: Record, engine: dict[str, Any]) -> None:
    with site.run("engine", "h1", "h2", **engine) as run:
        playbook = run.start()
        run.wait_for_load("h1", playbook)
        before, worker = run.finished("h1"), run.engine("h1")
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: is_gone(worker), "the end of the engine")
        record.happened(run.agent("h1"))
        ended = playbook.end()
        record.sees(ended.output)
        assert ended.returncode != 0
        assert run.is_idle("h1")
        record.completes(run, {"h1": before, "h2": run.finished("h2")})


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_that_hangs(site: Site, record: Record, engine: dict[str, Any]) -> None:
    limit = {"loadfleet_inactivity": {"generate_s": 10}}
    with site.run("hung", "h1", **engine, **limit) as run:
        playbook = run.start()
        run.wait_for_load("h1", playbook)
        before, worker = run.finished("h1"), run.engine("h1")
        os.kill(worker, signal.SIGSTOP)
        wait_until(lambda: state_of(worker) == "T", "a still engine")
        record.happened(run.agent("h1"))
        ended = playbook.end()
        record.sees(ended.output)
        assert ended.returncode != 0
        assert run.is_idle("h1")
        record.completes(run, {"h1": before})


def test_a_disk_that_fills_up_while_loadgen_writes(site: Site, record: Record) -> None:
    machine = site.machines["h1"]
    folder, filler = f"{HOME}/runs", f"{HOME}/runs/filler"
    machine.run("mkdir", "--parents", folder)
    machine.disk(folder, "32M")
    try:
        with site.run("disk", "h1") as run:
            playbook = run.start()
            run.wait_for_load("h1", playbook)
            before = run.finished("h1")
            fill = machine.run("dd", "if=/dev/zero", f"of={filler}", "bs=4k", check=False)
            record.happened("No space left on device" in fill.stderr)
            ended = playbook.end()
            record.sees(ended.output)
            assert ended.returncode != 0
            assert run.is_idle("h1")
            machine.run("rm", filler)
            record.completes(run, {"h1": before})
    finally:
        machine.undisk(folder)


def test_a_host_that_runs_out_of_memory(site: Site, record: Record) -> None:
    with site.run("memory", "h1") as run:
        playbook = run.start()
        run.wait_for_load("h1", playbook)
        before, worker, kills = run.finished("h1"), run.engine("h1"), oom_kills()
        # On a GPU host the engine is by far the largest; here the kernel is told that it is.
        Path(f"/proc/{worker}/oom_score_adj").write_text("900")
        with little_memory() as group:
            (group / "cgroup.procs").write_text(str(worker))
            hungry = ["dd", "if=/dev/zero", "of=/dev/null", "bs=256M", "count=1"]
            subprocess.run(Cgroup(group).joined(hungry), capture_output=True, check=False)
            wait_until(lambda: is_gone(worker), "the end of the engine")
        record.happened(oom_kills() > kills)
        ended = playbook.end()
        record.sees(ended.output)
        assert ended.returncode != 0
        assert run.is_idle("h1")
        record.completes(run, {"h1": before})


def oom_kills() -> int:
    """How many processes this kernel has killed for memory."""
    lines = dict(line.split() for line in VMSTAT.read_text().splitlines())
    return int(lines["oom_kill"])


@contextmanager
def little_memory() -> Iterator[Path]:
    """A cgroup, of whichever version has the memory controller, with 32 MiB."""
    old = [m.point for m in mounts() if m.kind == "cgroup" and "memory" in m.options.split(",")]
    root = old[0] if old else Cgroup.mounted()
    if not old and "memory" not in (root / "cgroup.subtree_control").read_text().split():
        pytest.skip("no cgroup of this controller limits memory")
    group = root / "loadfleet-faults"
    group.mkdir(exist_ok=True)
    try:
        limit = "memory.limit_in_bytes" if old else "memory.max"
        (group / limit).write_text(str(32 << 20))
        yield group
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text(), "an empty cgroup")
        group.rmdir()
