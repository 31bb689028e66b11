"""The files of a report, and where they are put."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from loadfleet_aggregator.report.build import build_report
from loadfleet_aggregator.report.model import FleetReport
from loadfleet_aggregator.report.render import publish, write_reports
from loadfleet_aggregator.report.schema import schema_texts

from ..helpers import HostRun, make_run, snapshot

FILES = ("report.json", "report.html", "report.md", "hosts.csv")


class TestFiles:
    def test_are_the_same_bytes_from_the_same_folder(self, fleet: Path) -> None:
        write_reports(build_report(fleet), fleet)
        first = snapshot(fleet)
        write_reports(build_report(fleet), fleet)
        assert snapshot(fleet) == first
        assert all(first[name] for name in FILES)

    def test_leave_no_temporary_file(self, fleet: Path) -> None:
        before = {path.name for path in fleet.iterdir()}
        write_reports(build_report(fleet), fleet)
        assert {path.name for path in fleet.iterdir()} - before == set(FILES)


def test_report_json_obeys_its_schema(eight: FleetReport) -> None:
    schema = json.loads(schema_texts()["FleetReport.json"])
    report = json.loads(eight.model_dump_json())
    assert report["schema_version"] == schema["properties"]["schema_version"]["maximum"]
    jsonschema.validate(report, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(report | {"surprise": 1}, schema)


class TestPublish:
    def test_points_latest_at_the_run_and_copies_the_report(
        self, fleet: Path, tmp_path: Path
    ) -> None:
        write_reports(build_report(fleet), fleet)
        for _ in range(2):
            publish(fleet, tmp_path / "reports")
            link = fleet.parent / "latest"
            assert link.is_symlink()
            assert link.readlink() == Path(fleet.name)
            assert snapshot(tmp_path / "reports" / "latest") == {
                "mlperf_report.html": (fleet / "report.html").read_bytes(),
                "mlperf_report.json": (fleet / "report.json").read_bytes(),
            }
            assert {path.name for path in fleet.parent.iterdir()} == {"latest", fleet.name}

    def test_points_latest_at_the_newer_run(
        self, fleet: Path, host_a: HostRun, tmp_path: Path
    ) -> None:
        write_reports(build_report(fleet), fleet)
        publish(fleet, tmp_path / "reports")
        newer = make_run(fleet.parent, [host_a], run_id="run-2")
        write_reports(build_report(newer), newer)
        publish(newer, tmp_path / "reports")
        assert (fleet.parent / "latest").readlink() == Path("run-2")
        published = tmp_path / "reports" / "latest" / "mlperf_report.json"
        assert json.loads(published.read_bytes())["run_id"] == "run-2"
