"""A scaling study with real ansible-playbook, killed in its middle and gone on with."""

from __future__ import annotations

import json
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from .helpers import LOCAL, LONG_S, Played, Site

STUDY = "study"
HOSTS = ("one", "two")
ARGUMENTS = (
    "-e",
    json.dumps(
        {
            "loadfleet_study": "scaling",
            "loadfleet_study_hosts": len(HOSTS),
            "loadfleet_study_repeats": 1,
            "loadfleet_run_id": STUDY,
            "loadfleet_offline_target_qps": 100,
        }
    ),
)
RUNS = [f"{STUDY}-1-{name}" for name in ("together", "alone-one", "alone-two")]


@dataclass(frozen=True)
class Made:
    site: Site
    folder: Path
    first: dict[str, bytes]
    """Report of the first run, as it was when the playbook was killed."""
    played: Played
    """The same command again."""

    def report(self, run: str = "") -> Any:
        return json.loads((self.folder / run / "report.json").read_bytes())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Killed when the run together is reported on and the second one is on its way."""
    site = Site(tmp_path_factory.mktemp("study"), dict.fromkeys((*HOSTS, "more"), LOCAL))
    folder = site.results / STUDY
    playbook = site.start(*ARGUMENTS)
    second = site.homes / "one" / "runs" / RUNS[1] / "status.json"

    def reached() -> bool:
        assert playbook.poll() is None, playbook.communicate()[0]
        return second.is_file()

    wait_until(reached, "the second run", LONG_S)
    os.kill(playbook.pid, signal.SIGKILL)
    playbook.communicate()
    first = {path.name: path.read_bytes() for path in (folder / RUNS[0]).glob("report.*")}
    return Made(site, folder, first, site.play(*ARGUMENTS))


def test_every_run_counts_after_the_playbook_was_killed(made: Made) -> None:
    assert made.played.returncode == 0, made.played.output
    report = made.report()
    assert [run["run_id"] for run in report["runs"]] == RUNS
    assert report["missing"] == []
    (scaling,) = report["scaling"]
    assert scaling["repeats"] == 1
    assert scaling["verdict"] == "one repeat: no interval"
    assert scaling["shares_machine"] == [list(HOSTS)]
    assert "one and two share a machine" in report["headline"]
    assert made.played.has_line("3 runs, one after the other, 1 of them finished already")


def test_finished_runs_are_not_repeated(made: Made) -> None:
    again = {path.name: path.read_bytes() for path in (made.folder / RUNS[0]).glob("report.*")}
    assert set(made.first) == {"report.json", "report.html", "report.md"}
    assert again == made.first
    for run in RUNS:
        assert [host["attempts"] for host in made.report(run)["hosts"]] == [1] * len(
            made.report(run)["hosts"]
        )


def test_together_the_hosts_start_at_one_moment_and_alone_by_themselves(made: Made) -> None:
    together = made.report(RUNS[0])
    joint = together["scenarios"][0]["joint"]
    assert joint["synchronised"]
    # What else may be noted is how much a run so short leaves out of the common window.
    assert re.fullmatch(r"([\d.]+% of the tokens belong to answers [^;]*)?", joint["note"])
    assert joint == made.report()["scaling"][0]["joint"][0]
    for host in together["hosts"]:
        # One machine has one clock.
        assert abs(host["clock_offset_s"]) <= host["clock_error_s"] + 0.001
    for run, name in zip(RUNS[1:], HOSTS, strict=True):
        assert [host["name"] for host in made.report(run)["hosts"]] == [name]
        assert not (made.folder / run / "starts").exists()


def test_only_offline_performance_is_run(made: Made) -> None:
    for run in RUNS:
        for host in made.report(run)["hosts"]:
            assert [phase["name"] for phase in host["phases"]] == ["offline-performance"]


def test_hosts_beyond_those_it_takes_are_left_alone(made: Made) -> None:
    assert not (made.site.homes / "more").exists()


def test_latest_is_the_study(made: Made) -> None:
    assert (made.site.results / "latest").resolve() == made.folder.resolve()
    copied = made.site.reports / "latest" / "mlperf_report.html"
    assert copied.read_bytes() == (made.folder / "report.html").read_bytes()


def test_a_finished_study_again_repeats_nothing_and_an_ordinary_run_of_its_name_is_refused(
    made: Made,
) -> None:
    before = made.report()
    again = made.site.play(*ARGUMENTS)
    assert again.returncode == 0, again.output
    assert "Start the run" not in again.output
    assert made.report() == before
    refused = made.site.play("-e", f"loadfleet_run_id={STUDY}")
    assert refused.returncode != 0
    assert refused.has_line(f"{STUDY} is a study: add -e loadfleet_study=scaling")
