"""Faults of the controller, and of who gives commands on it."""

from __future__ import annotations

import signal
from pathlib import Path

from controller import call
from fault_rows import Record
from fault_site import HOME, PATIENCE_S, Site, is_gone
from machines import Machine
from waiting import wait_until

MORE_THAN_ANSWERS = 15_000
"""Bytes from a host; what it says on the way to a file is less, and a run's archive is more."""


def test_an_ansible_playbook_that_is_killed(site: Site, record: Record) -> None:
    with site.run("killed", "h1", "h2") as run:
        playbook = run.start()
        run.wait_for_load("h1", playbook)
        run.wait_for_load("h2", playbook)
        before = {host: run.finished(host) for host in run.hosts}
        agents = [run.agent(host) for host in run.hosts]
        record.happened(playbook.kill() == -signal.SIGKILL)
        assert not any(is_gone(agent) for agent in agents)
        record.sees(record.completes(run, before))
        assert {run.host_report(host)["attempts"] for host in run.hosts} == {1}


def test_two_operators_who_start_at_once(site: Site, record: Record) -> None:
    """With one folder of results, and no id: the second goes on with the run of the first."""
    with site.run("twins", "h1", "h2") as run:
        both = [run.start(loadfleet_run_id=None) for _ in range(2)]
        (run.run_id,) = wait_until(
            lambda: [path.parent.name for path in run.results.glob("*/run.json")],
            "a run",
            PATIENCE_S,
        )
        for playbook in both:
            run.wait_for_load("h1", playbook)
        record.happened(all(playbook.process.poll() is None for playbook in both))
        for playbook in both:
            ended = playbook.end()
            assert ended.returncode == 0, ended.output[-6000:]
            record.sees(ended.output)
        folders = [path.name for path in run.results.iterdir() if (path / "run.json").is_file()]
        assert set(folders) - {"latest"} == {run.run_id}
        before = {host: run.finished(host) for host in run.hosts}
        record.is_complete(run, before)
        assert {run.host_report(host)["attempts"] for host in run.hosts} == {1}


def test_an_operator_elsewhere_who_starts_meanwhile(site: Site, record: Record) -> None:
    """With results of his own, as on another controller."""
    with site.run("mine", "h1") as run, site.run("his", "h1") as other:
        playbook = run.start()
        run.wait_for_load("h1", playbook)
        before = run.finished("h1")
        refused = other.again()
        record.happened(refused.returncode != 0)
        record.sees(refused.output)
        ended = playbook.end()
        assert ended.returncode == 0, ended.output[-6000:]
        record.is_complete(run, {"h1": before})
        record.completes(other, {})


def test_the_same_run_with_another_plan(site: Site, record: Record) -> None:
    other = {"loadfleet_length": {"samples": 16, "server_queries": 600}}
    with site.run("plan", "h1") as run:
        playbook = run.start()
        run.wait_for_load("h1", playbook)
        before = run.finished("h1")
        here = run.again(**other)
        elsewhere = run.again(**other, loadfleet_results_dir=str(run.folder / "elsewhere"))
        record.happened(here.returncode != 0 and elsewhere.returncode != 0)
        record.sees(here.output + elsewhere.output)
        ended = playbook.end()
        assert ended.returncode == 0, ended.output[-6000:]
        record.completes(run, {"h1": before})
        assert run.host_report("h1")["attempts"] == 1


def test_a_collection_that_is_interrupted_half_way(site: Site, record: Record) -> None:
    machine = site.machines["h1"]
    with site.run("fetch", "h1") as run:
        playbook = run.start()
        run.wait_for_load("h1", playbook)
        machine.rate(64)
        archive = machine.inside(f"{HOME}/collected.tar.gz")
        archive.unlink(missing_ok=True)  # of an earlier run
        wait_until(archive.exists, "the archive", PATIENCE_S)
        before_it = received(machine)

        def part() -> bool:
            assert playbook.process.poll() is None, playbook.output[-4000:]
            return received(machine) - before_it > MORE_THAN_ANSWERS

        wait_until(part, "a part of the archive", PATIENCE_S)
        assert playbook.kill_all() == -signal.SIGKILL
        record.happened(not list((run.results / run.run_id / "archives").iterdir()))
        assert not (run.results / run.run_id / "hosts" / "h1").exists()
        assert not (run.results / run.run_id / "report.json").exists()
        machine.clear()
        before = run.finished("h1")
        record.sees(record.completes(run, {"h1": before}))
        assert run.host_report("h1")["attempts"] == 1


def test_a_controller_whose_disk_is_full(site: Site, record: Record) -> None:
    with site.run("full", "h1", "h2") as run:
        run.results.mkdir(parents=True)
        call("mount", "-t", "tmpfs", "-o", "size=16M", "small-disk", str(run.results))
        try:
            playbook = run.start()
            run.wait_for_load("h1", playbook)
            filler = run.results / "filler"
            fill = call("dd", "if=/dev/zero", f"of={filler}", "bs=4k", check=False)
            record.happened("No space left on device" in fill.stderr)
            ended = playbook.end()
            assert ended.returncode != 0
            record.sees(ended.output)
            before = {host: run.finished(host) for host in run.hosts}
            filler.unlink()
            record.completes(run, before)
            assert {run.host_report(host)["attempts"] for host in run.hosts} == {1}
        finally:
            run.close()
            call("umount", "--lazy", str(run.results))


def received(machine: Machine) -> int:
    """Bytes that came over its link, since it was made."""
    return int(Path(f"/sys/class/net/{machine.link}/statistics/rx_bytes").read_text())
