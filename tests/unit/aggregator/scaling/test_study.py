"""The report on a study of two real agents, from the folders of its runs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from loadfleet_agent.contract.base import utc_now
from loadfleet_aggregator.collect import report_on
from loadfleet_aggregator.fleet.record import HOSTS
from loadfleet_aggregator.fleet.settings import FleetSettings, InventoryError, PlannedHost
from loadfleet_aggregator.history.read import read_reports
from loadfleet_aggregator.report.read import ReportUnreadable
from loadfleet_aggregator.scaling.efficiency import NO_INTERVAL
from loadfleet_aggregator.scaling.record import StudyRecord, is_finished, open_study, study_hosts
from loadfleet_aggregator.scaling.study import build_study, publish_study

from ..helpers import BIN, edit_json, make_plan, run_agents

STUDY = "study"


def planned(name: str) -> PlannedHost:
    fleet = FleetSettings(study="scaling", study_repeats=1)
    return PlannedHost(name, fleet, make_plan(name))


@pytest.fixture(scope="session")
def whole_study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyRecord]:
    """Results with a study of host-a and host-b, once alone and once together."""
    results = tmp_path_factory.mktemp("study") / "results"
    hosts = study_hosts([planned("host-a"), planned("host-b")])
    record = open_study(results, STUDY, hosts, utc_now(), asked=False)
    for run in record.runs:
        # Without a controller nobody would send them off.
        plans = [
            host.in_run(run.run_id).plan.model_copy(update={"sync_start": False})
            for host in hosts
            if host.name in run.hosts
        ]
        folder = results / STUDY / run.run_id
        for made in run_agents(tmp_path_factory.mktemp("homes"), plans):
            made.copy_to(folder / HOSTS / made.plan.host)
        report_on(folder)
    return results, record


@pytest.fixture
def study(whole_study: tuple[Path, StudyRecord], tmp_path: Path) -> Path:
    """A copy of the study's folder, to be changed."""
    return Path(shutil.copytree(whole_study[0], tmp_path / "results")) / STUDY


def break_run(study: Path, run: str, host: str) -> None:
    edit_json(
        study / f"{STUDY}-1-{run}" / HOSTS / host / "result.json",
        lambda result: result.update(outcome="failed"),
    )


def test_a_whole_study_has_an_efficiency_of_sums(study: Path) -> None:
    report = build_study(study)
    assert report.all_ok
    assert report.unfinished == {"host-a": "", "host-b": ""}
    (scaling,) = report.scaling
    speeds = {run.run_id: run.hosts for run in report.runs}
    together = sum(value or 0 for value in speeds[f"{STUDY}-1-together"].values())
    alone = (speeds[f"{STUDY}-1-alone-host-a"]["host-a"] or 0) + (
        speeds[f"{STUDY}-1-alone-host-b"]["host-b"] or 0
    )
    assert scaling.efficiency == pytest.approx(together / alone)
    assert (scaling.repeats, scaling.interval, scaling.verdict) == (1, None, NO_INTERVAL)
    assert len(scaling.joint) == 1
    assert not scaling.joint[0].synchronised
    assert scaling.shares_machine == (("host-a", "host-b"),)
    assert "host-a and host-b share a machine and take from each other" in report.headline
    assert {"short", "null-engine"} <= set(report.labels)


@pytest.mark.parametrize(("run", "host"), [("together", "host-b"), ("alone-host-a", "host-a")])
def test_a_run_that_does_not_count_is_named_and_nothing_is_claimed(
    study: Path, run: str, host: str
) -> None:
    break_run(study, run, host)
    report = build_study(study)
    assert report.scaling == ()
    assert "nothing can be said of scaling yet" in report.headline
    (line,) = report.missing
    assert line.startswith(f"{STUDY}-1-{run}: {host}: failed at ")
    assert report.unfinished[host].startswith(f"{STUDY}-1-{run}: failed at ")


def test_a_run_that_was_not_made_is_named(study: Path) -> None:
    shutil.rmtree(study / f"{STUDY}-1-alone-host-b")
    assert build_study(study).missing == (f"{STUDY}-1-alone-host-b: host-b: its run has no record",)


def test_its_runs_are_finished_by_their_own_records(
    whole_study: tuple[Path, StudyRecord], study: Path
) -> None:
    assert all(is_finished(study, run) for run in whole_study[1].runs)


def test_publishing_writes_the_pages_and_points_latest_at_it(study: Path, tmp_path: Path) -> None:
    report = publish_study(study, tmp_path / "reports")
    assert (study.parent / "latest").resolve() == study.resolve()
    page = (study / "report.html").read_text()
    text = (study / "report.md").read_text()
    for run in report.runs:
        assert f'href="{run.run_id}/report.html"' in page
        assert f"({run.run_id}/report.md)" in text
        assert (study / run.run_id / "report.html").is_file()
    for words in ("share a machine", NO_INTERVAL, "never a share or a mean of a run together"):
        assert words in page
        assert words in text
    assert "<script" not in page
    assert "http:" not in page
    assert "https:" not in page
    copied = tmp_path / "reports" / "latest" / "mlperf_report.html"
    assert copied.read_text() == page


def test_a_name_in_it_is_text_and_no_markup(study: Path) -> None:
    edit_json(
        study / f"{STUDY}-1-together" / HOSTS / "host-a" / "result.json",
        lambda result: result.update(run_id="<script>alert(1)</script>"),
    )
    publish_study(study, study.parent)
    assert "<script" not in (study / "report.html").read_text()


class TestCommand:
    @staticmethod
    def report(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / "loadfleet"), *arguments], capture_output=True, text=True, check=False
        )

    def test_makes_the_report_anew(self, study: Path) -> None:
        done = self.report("report", str(study))
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[0] == build_study(study).headline
        first = (study / "report.json").read_bytes()
        again = self.report("report", str(study), "--json")
        assert json.loads(again.stdout) == json.loads(first)
        assert (study / "report.json").read_bytes() == first

    def test_ends_with_1_where_a_run_does_not_count(self, study: Path) -> None:
        break_run(study, "together", "host-a")
        done = self.report("report", str(study))
        assert done.returncode == 1
        assert f"does not count: {STUDY}-1-together: host-a: failed" in done.stdout

    def test_refuses_a_price(self, study: Path) -> None:
        done = self.report("report", str(study), "--price-per-kwh", "1")
        assert done.returncode == 2
        assert "the folder of one of its runs" in done.stderr


def test_a_damaged_record_is_told(study: Path) -> None:
    (study / "study.json").write_text("{}")
    with pytest.raises(InventoryError, match="not a study's record of this version"):
        build_study(study)


def test_the_history_of_runs_leaves_a_study_out(study: Path) -> None:
    publish_study(study, study.parent / "reports")
    with pytest.raises(ReportUnreadable, match="no folder in it is a run's"):
        read_reports(study.parent)
