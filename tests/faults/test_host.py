"""Faults of a host."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fault_rows import Record
from fault_site import LOAD, Run, Site
from waiting import wait_until

CLOCK = "/run/clock"
"""What libfaketime adds to the clock of the agent's unit."""
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


def test_a_clock_that_is_stepped_by_an_hour(site: Site, record: Record) -> None:
    """Of the agent's unit alone: a real step would move the clock of every machine here."""
    machine = site.machines["h1"]
    machine.run("apt-get", "--quiet", "update", timeout=600)
    machine.run("apt-get", "--quiet", "--yes", "install", "libfaketime", timeout=600)
    library = machine.run("sh", "-c", "ls /usr/lib/*/faketime/libfaketimeMT.so.1").stdout.strip()
    settings = (
        f"LD_PRELOAD={library} FAKETIME_TIMESTAMP_FILE={CLOCK} FAKETIME_NO_CACHE=1 "
        "FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1"
    )
    machine.write(CLOCK, "+0\n")
    machine.write(DROP_IN, f"[Service]\nEnvironment={settings}\n")
    machine.run("systemctl", "daemon-reload")
    try:
        with site.run("clock", "h1") as run:
            playbook = run.start()
            run.wait_for_load("h1", playbook)
            assert abs(ahead_s(run)) < 1000
            machine.write(CLOCK, "+3600\n")
            wait_until(lambda: ahead_s(run) > 3000, "the agent's clock an hour ahead")
            machine.write(CLOCK, "-3600\n")
            wait_until(lambda: ahead_s(run) < -3000, "the agent's clock an hour behind")
            record.happened(run.status("h1")["phase"] == LOAD)
            ended = playbook.end()
            record.sees(ended.output)
            assert ended.returncode == 0, ended.output[-6000:]
            assert run.host_report("h1")["attempts"] == 1
            record.completes(run, {"h1": run.finished("h1")})
    finally:
        machine.run("rm", "-f", DROP_IN, CLOCK)
        machine.run("systemctl", "daemon-reload")


def ahead_s(run: Run) -> float:
    """How far the agent's clock is before the controller's, by its last status."""
    status: dict[str, Any] = run.status("h1")
    told = datetime.fromisoformat(status["updated_utc"])
    return (told - datetime.now(UTC)).total_seconds()
