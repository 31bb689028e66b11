"""Faults of the controller, and of who gives commands on it."""

from __future__ import annotations

import signal

from controller import call
from fault_rows import Record
from fault_site import HOME, PATIENCE_S, Site, is_gone
from waiting import wait_until


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
        machine.rate(128)

        def came() -> int:
            assert playbook.process.poll() is None, playbook.output[-4000:]
            archives = run.results / run.run_id / "archives"
            return sum(path.stat().st_size for path in archives.glob("h1.*.tar.gz"))

        part = wait_until(came, "a part of the archive", PATIENCE_S)
        assert playbook.kill_all() == -signal.SIGKILL
        whole = machine.inside(f"{HOME}/collected.tar.gz").stat().st_size
        (left,) = (run.results / run.run_id / "archives").glob("h1.*.tar.gz")
        record.happened(0 < part <= left.stat().st_size < whole)
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
