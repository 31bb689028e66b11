"""loadfleet compare as a user calls it, on folders as agents leave them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from loadfleet_aggregator.compare.model import Comparison, Outcome
from loadfleet_aggregator.fleet.record import HOSTS, RUN_RECORD
from loadfleet_aggregator.report.build import build_report
from loadfleet_aggregator.report.model import FleetReport

from ..fleets import fleet_of
from ..helpers import HostRun, make_run, snapshot
from ..test_cli import loadfleet


def write(path: Path, report: FleetReport) -> Path:
    path.write_text(report.model_dump_json(), encoding="utf-8")
    return path


def test_ends_with_0_where_nothing_was_lost(fleet: Path) -> None:
    before = snapshot(fleet)
    done = loadfleet("compare", fleet, fleet)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("pass: Offline tokens/s +0.00 % on 2 hosts")
    assert "host-a, host-b share a machine" in done.stdout
    assert snapshot(fleet) == before


def test_ends_with_1_where_a_host_is_lost(fleet: Path, tmp_path: Path) -> None:
    old = write(tmp_path / "old.json", build_report(fleet))
    (fleet / HOSTS / "host-b").rename(tmp_path / "away")
    done = loadfleet("compare", old, fleet)
    assert done.returncode == 1
    assert done.stdout.startswith(
        "fail: host-b was ok, is missing: nothing was collected from it (and 2 more)"
    )


def test_ends_with_3_where_one_host_ran_once(host_a: HostRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "results", [host_a])
    done = loadfleet("compare", folder, folder)
    assert done.returncode == 3
    assert done.stdout.startswith("inconclusive: Offline tokens/s +0.00 % on 1 host: one host")


def test_gates_on_the_loss_that_is_allowed(one_host: FleetReport, tmp_path: Path) -> None:
    names = ("a", "b", "c")
    old = write(tmp_path / "old.json", fleet_of(one_host, dict.fromkeys(names, 1.0)))
    new = write(tmp_path / "new.json", fleet_of(one_host, {"a": 0.94, "b": 0.95, "c": 0.96}))
    assert loadfleet("compare", old, new).returncode == 3
    assert loadfleet("compare", old, new, "--fail-on", "2%").returncode == 1
    assert loadfleet("compare", old, new, "--fail-on", "0.1").returncode == 0


def test_prints_json_that_is_read_again(fleet: Path) -> None:
    done = loadfleet("compare", fleet, fleet, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["schema_version"] == 1
    assert Comparison.model_validate_json(done.stdout).outcome is Outcome.PASS


def test_prints_markdown(fleet: Path) -> None:
    done = loadfleet("compare", fleet, fleet, "--markdown")
    assert done.returncode == 0
    assert done.stdout.startswith("**pass: Offline tokens/s")
    assert "<details>" in done.stdout


class TestRefuses:
    def refused(self, *arguments: object) -> str:
        done = loadfleet("compare", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        return line

    def test_runs_of_other_samples(
        self, fleet: Path, one_host: FleetReport, tmp_path: Path
    ) -> None:
        real = write(tmp_path / "real.json", fleet_of(one_host, {"host-a": 1, "host-b": 1}))
        line = self.refused(fleet, real)
        assert "cannot be compared: host-a ran labels short, synthetic-dataset" in line

    def test_what_is_not_there(self, fleet: Path, tmp_path: Path) -> None:
        line = self.refused(fleet, tmp_path / "nowhere")
        assert line.startswith(f"loadfleet: {tmp_path / 'nowhere'}: No such file")
        assert "report.json" in line

    def test_a_folder_that_is_no_runs(self, fleet: Path, tmp_path: Path) -> None:
        assert f"{tmp_path / RUN_RECORD}: No such file" in self.refused(tmp_path, fleet)

    @pytest.mark.parametrize("text", ["", "[]", '{"schema_version": 2}', "\xff"], ids=repr)
    def test_a_file_that_is_no_report(self, fleet: Path, tmp_path: Path, text: str) -> None:
        path = tmp_path / "report.json"
        path.write_text(text, encoding="latin-1")
        assert f"{path}: not a report of this version" in self.refused(fleet, path)

    def test_a_loss_that_is_none(self, fleet: Path) -> None:
        line = self.refused(fleet, fleet, "--fail-on", "3")
        assert line == "loadfleet: --fail-on '3': write it as 3% or 0.03, from 0 and below 100%"

    def test_two_forms_at_once(self, fleet: Path) -> None:
        assert "give one of them" in self.refused(fleet, fleet, "--json", "--markdown")
