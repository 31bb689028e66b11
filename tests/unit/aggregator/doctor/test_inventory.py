"""What an inventory decides on the controller: each fault one check, with a remedy."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from loadfleet_aggregator.doctor import inventory
from loadfleet_aggregator.doctor.ask import NoAnswer
from loadfleet_aggregator.doctor.inventory import (
    check_forks,
    check_inventory,
    check_no_answer,
    check_report,
    check_results,
    check_settings,
    check_ssh,
    check_token,
)
from loadfleet_aggregator.doctor.model import Check, Severity
from loadfleet_aggregator.fleet.record import open_run
from loadfleet_aggregator.report.build import build_report
from loadfleet_aggregator.report.render import write_reports

from ..helpers import planned
from .made import SETTINGS, answers, host_answers

NO_HUB = SETTINGS | {"loadfleet_model": {"source": "path", "path": "/model"}}


def one(checks: list[Check]) -> Check:
    (check,) = checks
    return check


def test_an_inventory_that_cannot_be_read_is_told_in_ansibles_words() -> None:
    check = one(check_no_answer(NoAnswer("hosts.yml is not YAML")))
    assert (check.id, check.severity, check.found) == (
        "inventory", Severity.ERROR, "hosts.yml is not YAML",
    )  # fmt: skip


def test_each_contradiction_is_a_check() -> None:
    lines = {"gpu-1": ("gpu-1: a is 1 and 2", "gpu-1: b_x: no such setting")}
    told = answers(inventory={"contradictions": {"hosts": lines}})
    assert [check.found for check in check_inventory(told)] == list(lines["gpu-1"])


def test_each_wrong_setting_is_a_check_with_its_line() -> None:
    message = "Task failed: a.yml:3: loadfleet_x: no such setting\na.yml:4: loadfleet_y: wrong"
    checks = check_settings(answers(inventory={"plan": {"msg": message}}))
    assert [check.found for check in checks] == [
        "a.yml:3: loadfleet_x: no such setting",
        "a.yml:4: loadfleet_y: wrong",
    ]
    assert {check.severity for check in checks} == {Severity.ERROR}


@pytest.mark.parametrize(
    ("continued", "said"), [(True, "goes on with run r-1"), (False, "begins a new run, as r-1")]
)
def test_what_the_next_command_would_do_is_told(continued: bool, said: str) -> None:
    told = answers(inventory={"plan": {"run_id": "r-1", "continued": continued}})
    assert said in one(check_settings(told)).found


def test_fewer_forks_than_hosts_is_a_warning() -> None:
    hosts = {f"gpu-{number}": host_answers() for number in range(3)}
    assert one(check_forks(answers(hosts, forks=2))).severity is Severity.WARNING
    assert one(check_forks(answers(hosts, forks=3))).severity is Severity.OK


class TestResults:
    def test_with_room_are_well(self, tmp_path: Path) -> None:
        assert one(check_results(tmp_path, answers())).severity is Severity.OK

    def test_without_room_are_an_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(inventory, "free_gib", lambda _path: 0.5)
        check = one(check_results(tmp_path, answers()))
        assert check.severity is Severity.ERROR
        assert "0.5 GiB free" in check.found

    def test_that_cannot_be_written_are_an_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "access", lambda _path, _mode: False)  # root may write anywhere
        assert "cannot be written to" in one(check_results(tmp_path, answers())).found


class TestSsh:
    @pytest.fixture(autouse=True)
    def _home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)

    def test_is_not_asked_where_all_hosts_are_this_machine(self) -> None:
        told = answers({"here": host_answers(connection="local")})
        assert one(check_ssh(told)).severity is Severity.SKIPPED

    def test_without_a_client_cannot_work(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert one(check_ssh(answers())).found == "no ssh client"

    def test_misses_a_key_file_that_the_inventory_names(self, tmp_path: Path) -> None:
        path = tmp_path / "key"
        told = answers({"gpu-1": host_answers(key_file=str(path))})
        assert f"key file {path} of gpu-1 is not there" in one(check_ssh(told)).found
        path.touch()
        assert one(check_ssh(told)).severity is Severity.OK

    def test_warns_where_there_is_no_key_at_all(self, tmp_path: Path) -> None:
        assert one(check_ssh(answers())).severity is Severity.WARNING
        (tmp_path / ".ssh").mkdir()
        key = tmp_path / ".ssh" / "id_ed25519"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        assert one(check_ssh(answers())).found == "keys: id_ed25519"


class TestToken:
    @staticmethod
    def check(*, online: bool = False, **changes: Any) -> Check:
        return one(
            check_token(answers({"h": host_answers(**changes)}), online=online, remote=False)
        )

    def test_is_not_asked_for_without_a_model_of_the_hub(self) -> None:
        assert self.check(settings=NO_HUB).severity is Severity.SKIPPED

    def test_that_is_set_is_well(self) -> None:
        assert self.check().found == "a token is set"

    def test_that_is_not_set_is_a_warning(self) -> None:
        check = self.check(token={"failed": True, "msg": "no token"})
        assert (check.severity, check.found) == (Severity.WARNING, "no token is set for h")

    def test_that_cannot_be_read_is_an_error(self) -> None:
        check = self.check(token={"failed": True, "msg": "Unable to access the file"})
        assert check.severity is Severity.ERROR
        assert "Unable to access the file" in check.found

    def test_that_the_hub_refuses_is_an_error_online(self) -> None:
        refused = {"msg": "model org/name is gated"}
        assert "is gated (host h)" in self.check(online=True, hub=refused).found
        assert self.check(online=True, hub={"access": "proved"}).found.endswith("reads the model")


class TestReport:
    def test_of_no_run_is_skipped(self, tmp_path: Path) -> None:
        assert one(check_report(tmp_path, answers())).severity is Severity.SKIPPED

    def test_that_can_be_read_is_told(self, tmp_path: Path) -> None:
        folder = self.open(tmp_path)
        assert "has none yet" in one(check_report(tmp_path, answers())).found
        write_reports(build_report(folder), folder)
        check = one(check_report(tmp_path, answers()))
        assert check.severity is Severity.OK
        assert check.found.startswith("r-1: ")

    def test_that_is_broken_is_a_warning(self, tmp_path: Path) -> None:
        folder = self.open(tmp_path)
        (folder / "report.json").write_text("{")
        check = one(check_report(tmp_path, answers()))
        assert check.severity is Severity.WARNING
        assert check.remedy == f"loadfleet report {folder}"

    @staticmethod
    def open(project: Path) -> Path:
        results = project / "results"
        open_run(results, "r-1", [planned("h")], ["h"], datetime.now(UTC), asked=False)
        return results / "r-1"
