"""Which runs may go, on the controller and on hosts."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from loadfleet_agent.contract.files import write_model
from loadfleet_agent.contract.status import State
from loadfleet_aggregator.fleet.record import RunRecord, write_record
from loadfleet_aggregator.hosts.inventory import FleetHost
from loadfleet_aggregator.hosts.links import Links
from loadfleet_aggregator.operate.clean import (
    old_host_runs,
    old_results,
    open_runs,
    parse_age,
    remove_host_runs,
    remove_results,
)
from loadfleet_aggregator.scaling.record import STUDY_RECORD, StudyRecord, StudyRun

from .looks import make_status

NOW = datetime(2026, 8, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def add_run(results: Path, name: str, days: int, *, closed: bool = True) -> Path:
    folder = results / name
    folder.mkdir(parents=True)
    created = NOW - days * DAY
    write_record(folder, RunRecord(run_id=name, created_utc=created, closed=closed, hosts={}))
    (folder / "file").write_text("x" * 1000)
    return folder


def add_host_run(home: Path, name: str, days: int, state: State = State.DONE) -> Path:
    folder = home / "runs" / name
    folder.mkdir(parents=True)
    status = folder / "status.json"
    status.write_text(make_status(state=state).model_dump_json(indent=2))
    at = (NOW - days * DAY).timestamp()
    os.utime(status, (at, at))
    return folder


class TestResults:
    def test_only_closed_old_runs_that_nobody_wants_may_go(self, tmp_path: Path) -> None:
        for name, days in (("old", 40), ("older", 50), ("new", 2), ("kept", 40), ("last", 40)):
            add_run(tmp_path, name, days)
        add_run(tmp_path, "open", 40, closed=False)
        (tmp_path / "mine").mkdir()
        (tmp_path / "odd").mkdir()
        (tmp_path / "odd" / "run.json").write_text("{}")
        (tmp_path / "latest").symlink_to("last")
        found = old_results(tmp_path, 30 * DAY, {"kept"}, NOW)
        assert [run.run_id for run in found] == ["older", "old"]
        assert found[0].size_bytes > 1000
        assert found[1].age_days == 40
        assert open_runs(tmp_path) == {"open"}
        assert remove_results(found) == []
        assert {path.name for path in tmp_path.iterdir()} == {
            "new", "kept", "last", "open", "mine", "odd", "latest",
        }  # fmt: skip

    def test_a_study_goes_only_when_all_its_runs_are_finished(self, tmp_path: Path) -> None:
        for name in ("done", "open"):
            folder = tmp_path / name
            runs = []
            for number in (1, 2):
                run_id = f"{name}-{number}"
                add_run(folder, run_id, 40, closed=name == "done" or number == 1)
                runs.append(StudyRun(run_id=run_id, repeat=1, together=False, hosts=("a",)))
            study = StudyRecord(
                study_id=name, created_utc=NOW - 40 * DAY, repeats=1, hosts={}, runs=tuple(runs)
            )
            write_model(folder / STUDY_RECORD, study)
        found = old_results(tmp_path, DAY, (), NOW)
        assert [run.run_id for run in found] == ["done"]
        assert open_runs(tmp_path) == {"open", "open-1", "open-2"}
        assert remove_results(found) == []
        assert [path.name for path in tmp_path.iterdir()] == ["open"]

    def test_a_link_in_a_run_is_removed_and_not_what_it_leads_to(self, tmp_path: Path) -> None:
        run = add_run(tmp_path / "results", "old", 40)
        (tmp_path / "precious").mkdir()
        (run / "link").symlink_to(tmp_path / "precious")
        assert remove_results(old_results(tmp_path / "results", DAY, (), NOW)) == []
        assert not run.exists()
        assert (tmp_path / "precious").is_dir()

    def test_no_folder_has_no_runs(self, tmp_path: Path) -> None:
        assert old_results(tmp_path / "nowhere", DAY, (), NOW) == []
        assert open_runs(tmp_path / "nowhere") == set()


class TestHosts:
    @pytest.fixture
    def host(self, tmp_path: Path) -> FleetHost:
        return FleetHost(name="a", connection="local", settings={"home": str(tmp_path / "a home")})

    def test_only_ended_old_runs_that_nobody_works_on_may_go(self, host: FleetHost) -> None:
        home = Path(host.home)
        for name, days in (("old", 40), ("failed", 41), ("kept", 40), ("new", 2), ("newest", 1)):
            add_host_run(home, name, days, State.FAILED if name == "failed" else State.DONE)
        add_host_run(home, "crashed", 40, State.RUNNING)
        add_host_run(home, "held", 45)
        (home / "runs" / "odd").mkdir()
        (home / "runs" / "link").symlink_to(home / "runs" / "old")
        lock = home / "run.lock"
        lock.write_text(json.dumps({"run_id": "held"}))
        holder = subprocess.Popen(["flock", lock, "sh", "-c", "echo x; read x"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            with Links([host]) as links:
                found, failures = old_host_runs(links, 30 * DAY, {"kept"}, NOW)
                assert failures == []
                assert {run.run_id for run in found} == {"old", "failed"}
                assert all(run.host == "a" and run.size_bytes > 0 for run in found)
                assert remove_host_runs(links, found) == []
        finally:
            holder.communicate(b"\n", timeout=60)
        assert {path.name for path in (home / "runs").iterdir()} == {
            "kept", "new", "newest", "crashed", "held", "odd", "link",
        }  # fmt: skip

    def test_the_newest_run_stays_however_old_it_is(self, host: FleetHost) -> None:
        add_host_run(Path(host.home), "only", 400)
        with Links([host]) as links:
            assert old_host_runs(links, DAY, (), NOW) == ([], [])

    def test_a_host_that_lies_about_names_gets_nothing_removed(self, tmp_path: Path) -> None:
        home = tmp_path / "home"
        add_host_run(home, "newest", 1)
        add_host_run(home, "a b", 40)
        add_host_run(home, "..hidden", 40)
        host = FleetHost(name="a", connection="local", settings={"home": str(home)})
        with Links([host]) as links:
            assert old_host_runs(links, DAY, (), NOW) == ([], [])

    def test_a_host_without_runs_and_one_that_is_not_reached(self, tmp_path: Path) -> None:
        hosts = [
            FleetHost(name="bare", connection="local", settings={"home": str(tmp_path)}),
            FleetHost(name="odd", connection="docker"),
        ]
        with Links(hosts) as links:
            found, failures = old_host_runs(links, DAY, (), NOW)
        assert found == []
        (failure,) = failures
        assert failure.startswith("odd: ")


@pytest.mark.parametrize(
    ("text", "age"), [("30d", 30 * DAY), ("12h", DAY / 2), ("2w", 14 * DAY), ("0h", 0 * DAY)]
)
def test_ages(text: str, age: timedelta) -> None:
    assert parse_age(text) == age


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5d", "30 d", "999999d", "30days"])
def test_what_is_no_age(text: str) -> None:
    with pytest.raises(ValueError, match="write it as 30d"):
        parse_age(text)
