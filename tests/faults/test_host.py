"""Faults of a host."""

from __future__ import annotations

import os
import shutil
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from controller import call
from fault_rows import Record
from fault_site import Run, Site
from machines import Machine
from waiting import wait_until

SHIM = Path(__file__).with_name("clock_step.c")
CLOCK = "/run/clock"
"""By how many seconds the clock of the agent's unit is stepped."""
DROP_IN = "/run/systemd/system/loadfleet-clock-.service.d/clock.conf"


def test_a_host_that_is_rebooted(site: Site, record: Record) -> None:
    machine = site.machines["h1"]
    with site.run("reboot", "h1", "h2") as run:
        playbook = run.start()
        run.wait_for_load("h1", playbook)
        before, boot = run.finished("h1"), machine.boot_id()
        machine.reboot()
        record.happened(machine.boot_id() != boot)
        ended = playbook.end()
        record.sees(ended.output)
        assert ended.returncode != 0
        assert run.is_idle("h1")
        record.completes(run, {"h1": before, "h2": run.finished("h2")})
        assert (run.host_report("h1")["attempts"], run.host_report("h2")["attempts"]) == (2, 1)


def test_a_host_that_loses_its_power_and_comes_back(site: Site, record: Record) -> None:
    machine = site.machines["h1"]
    with site.run("crash", "h1") as run:
        playbook = run.start()
        run.wait_for_load("h1", playbook)
        before, boot = run.finished("h1"), machine.boot_id()
        machine.crash()
        assert not machine.is_running()
        machine.start()
        machine.wait_for_ssh()
        record.happened(machine.boot_id() != boot)
        ended = playbook.end()
        record.sees(ended.output)
        assert ended.returncode != 0
        record.completes(run, {"h1": before})


def test_a_host_that_is_powered_off(site: Site, record: Record) -> None:
    machine = site.machines["h1"]
    with site.run("off", "h1", "h2", loadfleet_lost_s=30) as run:
        playbook = run.start()
        run.wait_for_load("h1", playbook)
        before = run.finished("h1")
        machine.power_off()
        record.happened(not machine.is_running())
        ended = playbook.end()
        record.sees(ended.output)
        assert ended.returncode != 0
        machine.start()
        machine.wait_for_ssh()
        record.completes(run, {"h1": before, "h2": run.finished("h2")})


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_clock_that_is_stepped_by_an_hour(
    site: Site, record: Record, tmp_path: Path, seconds: int
) -> None:
    """Of the agent's unit alone: a real step would move the clock of every machine here."""
    machine = site.machines["h1"]
    library = tmp_path / "clock_step.so"
    call("cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(SHIM))
    shutil.copy(library, machine.inside("/run/clock_step.so"))
    step(machine, 0)
    settings = f"LD_PRELOAD=/run/clock_step.so CLOCK_STEP={CLOCK}"
    machine.write(DROP_IN, f"[Service]\nEnvironment={settings}\n")
    machine.run("systemctl", "daemon-reload")
    try:
        with site.run(f"clock-{'ahead' if seconds > 0 else 'back'}", "h1") as run:
            playbook = run.start()
            run.wait_for_load("h1", playbook)
            before = run.finished("h1")
            assert abs(ahead_s(run)) < 1000
            step(machine, seconds)
            wait_until(lambda: abs(ahead_s(run) - seconds) < 600, "a status of the new time")
            record.happened(playbook.process.poll() is None)
            ended = playbook.end()
            record.sees(ended.output)
            assert f"was set 3,600 s {'ahead' if seconds > 0 else 'back'}" in ended.output
            assert ended.returncode != 0
            assert run.is_idle("h1")
            # Right again: what waits until a time of day does so in the kernel, by the real one.
            step(machine, 0)
            record.completes(run, {"h1": before})
    finally:
        machine.run("rm", "-f", DROP_IN)
        machine.run("systemctl", "daemon-reload")


def step(machine: Machine, seconds: int) -> None:
    """Sets the clock of the agent's unit, in place: the file is mapped there."""
    with os.fdopen(os.open(machine.inside(CLOCK), os.O_WRONLY | os.O_CREAT, 0o644), "wb") as file:
        file.write(struct.pack("=q", seconds))


def ahead_s(run: Run) -> float:
    """How far the agent's clock is before the controller's, by its last status."""
    status: dict[str, Any] = run.status("h1")
    told = datetime.fromisoformat(status["updated_utc"])
    return (told - datetime.now(UTC)).total_seconds()
