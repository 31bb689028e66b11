"""What the controller keeps of a host, and when a run is closed."""

from __future__ import annotations

from pathlib import Path

import pytest
from loadfleet_agent.contract.status import FailureCode, make_failure
from loadfleet_agent.pack import pack_run
from loadfleet_aggregator.collect import ARCHIVES, note_host, publish_run
from loadfleet_aggregator.fleet.record import CONTROLLER, HOSTS, ControllerNote, read_record

from .helpers import HostRun, edit_json, make_run, reseal, snapshot

COLLECTED = ("collected", "", "")


def read_note(folder: Path, host: str) -> ControllerNote:
    return ControllerNote.model_validate_json((folder / CONTROLLER / f"{host}.json").read_bytes())


@pytest.fixture
def archive(fleet: Path, host_a: HostRun) -> Path:
    """host-a's archive as it was fetched."""
    path = fleet / ARCHIVES / "host-a.tar.gz"
    path.parent.mkdir(exist_ok=True)
    pack_run(host_a.folder, path, accuracy_logs=False)
    return path


class TestNoteHost:
    def test_unpacks_the_archive_and_deletes_it(
        self, fleet: Path, archive: Path, host_a: HostRun
    ) -> None:
        (fleet / HOSTS / "host-a" / "plan.json").unlink()
        note_host(fleet, "host-a", COLLECTED)
        assert not archive.exists()
        assert read_note(fleet, "host-a").state == "collected"
        assert host_a.read(fleet / HOSTS / "host-a").problems == ()

    def test_takes_the_archive_of_its_own_attempt_only(
        self, fleet: Path, archive: Path, host_a: HostRun
    ) -> None:
        mine = archive.with_name("host-a.second.tar.gz")
        archive.rename(mine)
        archive.write_bytes(b"half of what another operator fetches")
        note_host(fleet, "host-a", COLLECTED, attempt="second")
        assert not mine.exists()
        assert archive.exists()
        assert read_note(fleet, "host-a").state == "collected"
        assert host_a.read(fleet / HOSTS / "host-a").problems == ()

    def test_notes_a_damaged_archive_and_keeps_the_earlier_collection(
        self, fleet: Path, archive: Path
    ) -> None:
        archive.write_bytes(archive.read_bytes()[:1000])
        before = snapshot(fleet / HOSTS)
        note_host(fleet, "host-a", COLLECTED)
        note = read_note(fleet, "host-a")
        assert (note.state, note.step) == ("failed", "collect")
        assert "host-a.tar.gz" in note.message
        assert snapshot(fleet / HOSTS) == before

    def test_keeps_the_first_cause_where_the_archive_is_damaged_too(
        self, fleet: Path, archive: Path
    ) -> None:
        archive.write_bytes(b"")
        note_host(fleet, "host-a", ("failed", "wait", "died"))
        note = read_note(fleet, "host-a")
        assert (note.state, note.step, note.message) == ("failed", "wait", "died")

    def test_unpacks_what_a_failed_host_sent(self, fleet: Path, archive: Path) -> None:
        (fleet / HOSTS / "host-a" / "plan.json").unlink()
        note_host(fleet, "host-a", ("failed", "wait", "died"))
        assert (fleet / HOSTS / "host-a" / "plan.json").is_file()
        assert not archive.exists()

    def test_keeps_an_earlier_collection_of_a_host_that_sent_nothing(self, fleet: Path) -> None:
        before = snapshot(fleet / HOSTS)
        note_host(fleet, "host-a", ("unreachable", "inspect", "Connection refused"))
        assert snapshot(fleet / HOSTS) == before
        assert read_note(fleet, "host-a").state == "unreachable"

    def test_replaces_an_earlier_note(self, fleet: Path) -> None:
        note_host(fleet, "host-a", ("unreachable", "inspect", "Connection refused"))
        note_host(fleet, "host-a", COLLECTED)
        assert read_note(fleet, "host-a").message == ""


class TestPublishRun:
    def test_closes_a_run_whose_selected_hosts_have_all_finished(
        self, fleet: Path, tmp_path: Path
    ) -> None:
        assert not read_record(fleet).closed
        publish_run(fleet, tmp_path / "reports")
        record = read_record(fleet)
        assert record.closed
        assert {name: host.finished for name, host in record.hosts.items()} == {
            "host-a": True,
            "host-b": True,
            "host-z": False,
        }

    def test_leaves_a_run_open_while_a_selected_host_sent_nothing(
        self, host_a: HostRun, host_b: HostRun, tmp_path: Path
    ) -> None:
        folder = make_run(tmp_path / "results", [host_a, host_b])
        (folder / HOSTS / "host-b").rename(tmp_path / "away")
        publish_run(folder, tmp_path / "reports")
        record = read_record(folder)
        assert not record.closed
        assert record.hosts["host-a"].finished
        assert not record.hosts["host-b"].finished

    def test_leaves_a_run_open_while_a_host_has_failed(self, fleet: Path, tmp_path: Path) -> None:
        failure = make_failure(FailureCode.ENGINE_DIED, "load", "killed")
        folder = fleet / HOSTS / "host-b"
        edit_json(
            folder / "result.json",
            lambda result: result.update(
                outcome="failed", failure=failure.model_dump(mode="json"), phases=[], accuracy=[]
            ),
        )
        reseal(folder)
        report = publish_run(fleet, tmp_path / "reports")
        assert [str(host.verdict) for host in report.hosts][:2] == [
            "ok",
            "failed at load because killed",
        ]
        assert not read_record(fleet).closed

    def test_leaves_a_run_open_while_files_are_damaged(self, fleet: Path, tmp_path: Path) -> None:
        (fleet / HOSTS / "host-b" / "host.json").write_text("{}", encoding="utf-8")
        publish_run(fleet, tmp_path / "reports")
        assert not read_record(fleet).closed

    def test_writes_the_report_and_points_latest_at_it(self, fleet: Path, tmp_path: Path) -> None:
        publish_run(fleet, tmp_path / "reports")
        for name in ("report.json", "report.html", "report.md", "hosts.csv"):
            assert (fleet / name).stat().st_size > 0
        assert (fleet.parent / "latest").resolve() == fleet.resolve()
        assert (tmp_path / "reports" / "latest" / "mlperf_report.html").is_file()
