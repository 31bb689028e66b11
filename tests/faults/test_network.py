"""Faults of the way to a host."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from controller import call
from fault_rows import Record
from fault_site import LOAD, PATIENCE_S, Playbook, Run, Site, command_line
from machines import Machine
from waiting import wait_until

CUT_S = 60.0
PHASE_OF = {
    "h1": "prepare",
    "h2": "load",
    "h3": "offline-performance",
    "h4": LOAD,
    "h5": "server-accuracy",
    "h6": "score",
}


def is_cut(machine: Machine) -> bool:
    state = Path(f"/sys/class/net/{machine.link}/operstate").read_text().strip()
    return state == "down" and machine.ssh("true", check=False).returncode == 255


def cut_in(run: Run, playbook: Playbook, host: str, phase: str) -> bool:
    """Cuts the host's cable for a minute as it is in a phase, which the user has been shown.

    All but the load itself pass in an instant: there the host is held until it is cut.
    """
    machine = run.site.machines[host]

    def arrived() -> bool:
        assert playbook.process.poll() is None, playbook.output[-4000:]
        return run.status(host).get("phase") == phase

    deadline = time.monotonic() + PATIENCE_S
    while not arrived():  # without a pause: some phases are short
        assert time.monotonic() < deadline, f"{host} does not come to {phase}"
    held = phase != LOAD
    if held:
        run.hold(host)
    assert arrived(), f"{host} left {phase} before it could be held"
    playbook.wait_for(f" {phase}", among=f" {host}: ")
    machine.cut()
    down = time.monotonic()
    try:
        if held:
            run.let_go(host)
        proved = is_cut(machine)
        time.sleep(max(0.0, down + CUT_S - time.monotonic()))  # the fault itself lasts so long
    finally:
        machine.heal()
    return proved


def test_a_cable_that_is_cut_for_a_minute_in_any_phase(site: Site, record: Record) -> None:
    site.add(*PHASE_OF)
    longer = {"loadfleet_length": {"samples": 32, "server_queries": 5400}}
    with site.run("cable", *PHASE_OF, host_vars={"h4": longer}) as run:
        playbook = run.start()
        with ThreadPoolExecutor(len(PHASE_OF)) as pool:
            cuts = pool.map(lambda item: cut_in(run, playbook, *item), PHASE_OF.items())
            record.happened(all(cuts))
        ended = playbook.end()
        record.sees(ended.output)
        for host in PHASE_OF:
            assert re.search(rf" {host}: link lost", ended.output), host
        assert ended.returncode == 0, ended.output[-6000:]
        assert {run.host_report(host)["attempts"] for host in PHASE_OF} == {1}
        record.completes(run, {host: run.finished(host) for host in PHASE_OF})


def test_a_cable_that_is_cut_before_the_run_has_begun(site: Site, record: Record) -> None:
    machine = site.machines["h1"]
    with site.run("early", "h1", "h2") as run:
        playbook = run.start()

        def preparing() -> list[int]:
            pids = machine.cgroup.processes()
            return [pid for pid in pids if "loadfleet-agent prepare " in command_line(pid)]

        (pid, *_) = wait_until(preparing, "loadfleet-agent prepare on h1", PATIENCE_S)
        os.kill(pid, signal.SIGSTOP)
        machine.cut()
        try:
            os.kill(pid, signal.SIGCONT)
            record.happened(is_cut(machine))
            ended = playbook.end()
        finally:
            machine.heal()
        record.sees(ended.output)
        assert ended.returncode != 0
        record.completes(run, {"h2": run.finished("h2")})


def test_sshd_that_is_killed(site: Site, record: Record) -> None:
    machine = site.machines["h1"]
    drop_in = "/run/systemd/system/ssh.service.d/stays-dead.conf"
    machine.write(drop_in, "[Service]\nRestart=no\n")
    machine.run("systemctl", "daemon-reload")
    try:
        with site.run("sshd", "h1") as run:
            playbook = run.start()
            run.wait_for_load("h1", playbook)
            before = run.finished("h1")
            # Its sessions too: they are of the same unit.
            machine.run("systemctl", "kill", "--signal=KILL", "ssh.service")
            show = ("systemctl", "show", "--property=ExecMainStatus,Result", "ssh.service")
            wait_until(lambda: "Result=signal" in machine.run(*show).stdout, "the end of sshd")
            record.happened("ExecMainStatus=9" in machine.run(*show).stdout and refuses(machine))
            playbook.wait_for("link lost")
            machine.run("systemctl", "start", "ssh.service")
            ended = playbook.end()
            record.sees(ended.output)
            assert ended.returncode == 0, ended.output[-6000:]
            record.completes(run, {"h1": before | run.finished("h1")})
    finally:
        machine.run("rm", drop_in)
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "start", "ssh.service")


def refuses(machine: Machine) -> bool:
    try:
        socket.create_connection((machine.address, 22), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_slow_and_a_distant_link_while_collecting(site: Site, record: Record) -> None:
    slow, distant = site.machines["h1"], site.machines["h2"]
    with site.run("slow", "h1", "h2") as run:
        playbook = run.start()
        run.wait_for_load("h1", playbook)
        run.wait_for_load("h2", playbook)
        slow.rate(512)
        distant.delay(100)
        queue = call("tc", "qdisc", "show", "dev", slow.link).stdout
        ping = distant.run("ping", "-c", "1", "-W", "5", site.fleet.gateway).stdout
        took = re.search(r"time=([\d.]+) ms", ping)
        record.happened(
            "tbf" in queue and "rate 512Kbit" in queue and took and float(took[1]) >= 200
        )
        ended = playbook.end()
        record.sees(ended.output)
        assert ended.returncode == 0, ended.output[-6000:]
        record.is_complete(run, {host: run.finished(host) for host in run.hosts})
        record.completes(run, {host: run.finished(host) for host in run.hosts})
