"""A run that is not whole, not as it was, or not within the rules gives no package, and every
reason is told."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract.benchmark import Mode, Scenario, Suite
from loadfleet_aggregator.submission import build
from loadfleet_aggregator.submission.finding import SubmissionRefused

from ..helpers import HostRun, edit_json, edit_text, logged_value, rehash_phases, reseal
from .conftest import Seal
from .official_runs import collect
from .packages import DETAIL, OFFLINE, WHERE, lines, refused, submit, told


def _forget_verify(result: Any) -> None:
    phase = next(p for p in result["phases"] if p["name"] == "offline-test06")
    del phase["files"]["verify_accuracy.txt"]


class TestHalfARun:
    def test_that_is_still_running(self, run: Path, host: Path, host_a: HostRun) -> None:
        for name in ("result.json", "manifest.json"):
            (host / name).unlink()
        shutil.copyfile(host_a.folder / "status.json", host / "status.json")
        edit_json(host / "status.json", lambda status: status.update(phase="offline-accuracy"))
        (finding,) = refused(run)
        assert str(finding) == (
            f"{WHERE}/manifest.json: the run did not end (it was in offline-accuracy); give the "
            "command of the run again: it goes on where it stopped, then collects"
        )

    def test_that_failed(self, run: Path, host: Path) -> None:
        def fail(result: Any) -> None:
            result["outcome"] = "failed"
            result["failure"] = {
                "code": "engine-died", "phase": "server-accuracy", "message": "killed", "hint": "h",
            }  # fmt: skip
            del result["phases"][4:]
            del result["accuracy"][1:]

        edit_json(host / "result.json", fail)
        reseal(host)
        assert lines(refused(run)) == [
            f"{WHERE}/result.json: failed: server-accuracy: killed",
            f"{WHERE}/phases/server-accuracy: no accuracy run of Server",
            f"{WHERE}/phases/server-test06: no test06 run of Server",
        ]

    def test_that_was_never_collected(self, run: Path, host: Path) -> None:
        shutil.rmtree(host)
        assert told(run) == f"{WHERE}: not collected"

    def test_of_which_a_file_was_not_collected(self, run: Path, host: Path) -> None:
        (host / OFFLINE / "user.conf").unlink()
        assert told(run) == f"{WHERE}/{OFFLINE}/user.conf: in the manifest, but not collected"

    def test_that_never_wrote_a_file(self, run: Path, host: Path) -> None:
        (host / "phases/offline-test06/verify_accuracy.txt").unlink()
        edit_json(host / "result.json", _forget_verify)
        reseal(host)
        assert lines(refused(run)) == [
            f"{WHERE}/phases/offline-test06/verify_accuracy.txt: {what}"
            for what in ("missing", "no hash of it in result.json or manifest.json")
        ]


class TestChangedFiles:
    def test_a_log_that_was_cut_off(self, run: Path, host: Path) -> None:
        text = (host / DETAIL).read_bytes()
        (host / DETAIL).write_bytes(text[: len(text) // 2])
        found = lines(refused(run))
        assert f"{WHERE}/{DETAIL}: checksum differs from the manifest's" in found

    def test_a_log_that_was_cut_off_and_sealed_again(self, run: Path, host: Path) -> None:
        kept = (host / DETAIL).read_text(encoding="utf-8").splitlines(keepends=True)[:-40]
        (host / DETAIL).write_text("".join(kept), encoding="utf-8")
        rehash_phases(host)
        reseal(host)
        assert any("offline-performance" in line for line in lines(refused(run)))

    def test_a_number_that_was_edited(self, run: Path, host: Path) -> None:
        value = logged_value(host / DETAIL, "result_tokens_per_second")
        key = '"key": "result_tokens_per_second", "value": '
        edit_text(host / DETAIL, f"{key}{value}", f"{key}{value + 100}")
        found = lines(refused(run))
        assert f"{WHERE}/{DETAIL}: checksum differs from the manifest's" in found

    def test_a_number_that_was_edited_in_both_logs_and_sealed_again(
        self, run: Path, host: Path
    ) -> None:
        mean = logged_value(host / DETAIL, "result_mean_latency_ns")
        edit_text(
            host / DETAIL,
            f'"result_mean_latency_ns", "value": {mean}',
            f'"result_mean_latency_ns", "value": {mean + 1}',
        )
        edit_text(host / OFFLINE / "mlperf_log_summary.txt", f": {mean}\n", f": {mean + 1}\n")
        rehash_phases(host)
        reseal(host)
        assert told(run) == (
            f"{WHERE}/offline-performance: the result's numbers are not those of LoadGen's log"
        )

    @pytest.mark.parametrize(
        "name",
        [
            f"{OFFLINE}/user.conf",
            "phases/server-accuracy/mlperf_log_accuracy.json",
            "phases/server-test06/verify_accuracy.txt",
        ],
    )
    def test_a_file_that_loadgen_did_not_leave_so(self, run: Path, host: Path, name: str) -> None:
        with (host / name).open("a", encoding="utf-8") as stream:
            stream.write(" ")
        reseal(host)
        assert told(run) == f"{WHERE}/{name}: not as it was when LoadGen ended"

    def test_a_score_that_is_not_the_printed_one(self, run: Path, host: Path) -> None:
        edit_text(host / "phases/offline-accuracy/accuracy.txt", "'38.7792'", "'38.9'")
        reseal(host)
        assert told(run) == (
            f"{WHERE}/phases/offline-accuracy/accuracy.txt: does not print the score of "
            "result.json as MLPerf's evaluation does"
        )

    def test_a_link_in_place_of_a_log(self, run: Path, host: Path) -> None:
        (host / DETAIL).rename(host.parent / "elsewhere")
        (host / DETAIL).symlink_to(host.parent / "elsewhere")
        assert any(DETAIL in line for line in lines(refused(run)))

    def test_a_log_that_changes_while_the_package_is_made(
        self, run: Path, host: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def change_first(*arguments: Any) -> None:
            edit_text(host / DETAIL, "Offline", "offline")
            write(*arguments)

        write = build.write_package
        monkeypatch.setattr(build, "write_package", change_first)
        with pytest.raises(SubmissionRefused, match="not as it was when LoadGen ended"):
            submit(run)
        assert {path.name for path in run.parent.iterdir()} == {"run-1", "system.json"}


class TestMissingRuns:
    def test_an_accuracy_log_that_stayed_on_the_host(self, run: Path, host: Path) -> None:
        (host / "phases/server-accuracy/mlperf_log_accuracy.json").unlink()
        (finding,) = refused(run)
        assert finding.where == f"{WHERE}/phases/server-accuracy/mlperf_log_accuracy.json"
        assert finding.what == "the accuracy log was not collected"
        assert "loadfleet_collect_accuracy_logs=true" in finding.todo

    def test_no_accuracy_run(self, seal: Seal, tmp_path: Path) -> None:
        run = collect(tmp_path / "results", [seal(modes=[Mode.PERFORMANCE, Mode.TEST06])])
        assert lines(refused(run)) == [
            f"{WHERE}/phases/offline-accuracy: no accuracy run of Offline",
            f"{WHERE}/phases/server-accuracy: no accuracy run of Server",
        ]

    def test_no_performance_run(self, seal: Seal, tmp_path: Path) -> None:
        run = collect(tmp_path / "results", [seal(modes=[Mode.ACCURACY, Mode.TEST06])])
        assert lines(refused(run)) == [
            f"{WHERE}/phases/offline-performance: no performance run of Offline",
            f"{WHERE}/phases/server-performance: no performance run of Server",
        ]

    def test_no_compliance_test(self, seal: Seal, tmp_path: Path) -> None:
        host = seal(modes=[Mode.PERFORMANCE, Mode.ACCURACY])
        run = collect(tmp_path / "results", [host])
        assert lines(refused(run)) == [
            f"{WHERE}/phases/offline-test06: no test06 run of Offline",
            f"{WHERE}/phases/server-test06: no test06 run of Server",
        ]
        assert len(submit(run, division="open").scores) == 2

    @pytest.mark.parametrize(
        ("suite", "scenario", "missing"),
        [
            (Suite.DATACENTER, Scenario.OFFLINE, "Server or Interactive"),
            (Suite.DATACENTER, Scenario.SERVER, "Offline"),
            (Suite.EDGE, Scenario.OFFLINE, "SingleStream"),
            (Suite.EDGE, Scenario.SINGLE_STREAM, "Offline"),
        ],
    )
    def test_a_scenario_that_the_closed_division_asks_for(
        self, seal: Seal, tmp_path: Path, suite: Suite, scenario: Scenario, missing: str
    ) -> None:
        run = collect(tmp_path / "results", [seal(suite=suite, scenarios=[scenario])])
        assert told(run) == (
            f"{WHERE}/phases: no {missing}, which the closed division asks of the {suite} suite"
        )
        assert [score.scenario for score in submit(run, division="open").scores] == [scenario]

    def test_a_failed_compliance_test(self, run: Path, host: Path) -> None:
        name = "phases/server-test06/verify_accuracy.txt"
        edit_text(host / name, "EOS check pass: True", "EOS check pass: False")
        rehash_phases(host)
        reseal(host)
        assert told(run) == f"{WHERE}/{name}: lacks the line 'EOS check pass: True'"
