"""The checks of the controller itself: each can find something."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from loadfleet_aggregator.doctor import controller
from loadfleet_aggregator.doctor.controller import (
    check_clock,
    check_config,
    check_packages,
    check_python,
    check_wheelhouse,
    locked_versions,
)
from loadfleet_aggregator.doctor.model import Check, Severity

from .made import PROJECT


def one(checks: list[Check]) -> Check:
    (check,) = checks
    return check


class TestPython:
    def test_of_these_tests_is_well(self) -> None:
        assert one(check_python(PROJECT)).severity is Severity.OK

    def test_that_is_too_old_names_a_newer_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "version_info", (3, 10, 4, "final", 0))
        check = one(check_python(PROJECT))
        assert (check.severity, check.found) == (Severity.ERROR, "Python 3.10.4 is too old")
        assert "make setup" in check.remedy


class TestPackages:
    @pytest.fixture(autouse=True)
    def _own_ansible_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(Path(sys.executable).parent))

    @staticmethod
    def project(folder: Path, lock: str) -> Path:
        (folder / "locks").mkdir()
        (folder / "locks" / "controller.txt").write_text(lock)
        return folder

    def test_as_locked_are_well(self, tmp_path: Path) -> None:
        from importlib.metadata import version

        lock = f"ansible-core=={version('ansible-core')} \\\n    --hash=sha256:00\n"
        assert one(check_packages(self.project(tmp_path, lock))).severity is Severity.OK

    def test_that_are_missing_or_others_are_named(self, tmp_path: Path) -> None:
        lock = "not-there-at-all==1.0 \\\ntyper==0.0.1 \\\n"
        missing, other = check_packages(self.project(tmp_path, lock))
        assert (missing.severity, missing.found) == (
            Severity.ERROR, "not installed: not-there-at-all",
        )  # fmt: skip
        assert other.severity is Severity.WARNING
        assert "(locked 0.0.1)" in other.found

    def test_of_another_python_are_not_asked_for(self) -> None:
        lock = "old==1 ; python_full_version < '3.2' \\\nnew==2 ; python_full_version >= '3.2'\n"
        assert locked_versions(lock) == {"new": "2"}

    def test_without_a_lock_the_checkout_is_not_whole(self, tmp_path: Path) -> None:
        assert any("controller.txt" in check.found for check in check_packages(tmp_path))

    def test_another_ansible_first_in_path_is_a_warning(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = tmp_path / "ansible-playbook"
        other.write_text("#!/bin/sh\n")
        other.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        check = check_packages(self.project(tmp_path, ""))[-1]
        assert check.severity is Severity.WARNING
        assert str(other) in check.found


class TestConfig:
    @pytest.fixture
    def project(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.delenv("ANSIBLE_CONFIG", raising=False)
        (tmp_path / "ansible.cfg").write_text("[defaults]\nforks = 7\n")
        return tmp_path

    def test_of_the_project_is_well(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert one(check_config(project)).severity is Severity.OK
        monkeypatch.setenv("ANSIBLE_CONFIG", str(project / "ansible.cfg"))
        assert one(check_config(project)).severity is Severity.OK

    def test_another_one_is_an_error(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ANSIBLE_CONFIG", "/nowhere/ansible.cfg")
        check = one(check_config(project))
        assert (check.severity, check.remedy) == (Severity.ERROR, "unset ANSIBLE_CONFIG")

    def test_a_folder_that_all_may_write_to_is_an_error(self, project: Path) -> None:
        project.chmod(0o777)
        assert "does not read its ansible.cfg" in one(check_config(project)).found

    def test_that_is_gone_or_broken_is_an_error(self, project: Path) -> None:
        (project / "ansible.cfg").write_text("forks = 7\n")
        assert one(check_config(project)).severity is Severity.ERROR
        (project / "ansible.cfg").unlink()
        assert one(check_config(project)).severity is Severity.ERROR


class TestWheelhouse:
    def test_with_room_is_well_and_names_what_is_built(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(controller, "free_gib", lambda _path: 100.0)
        built = tmp_path / ".loadfleet" / "wheelhouses" / "cpu-py311-1"
        built.mkdir(parents=True)
        (built / "requirements.txt").touch()
        assert one(check_wheelhouse(tmp_path)).found == "100 GiB free; built: cpu-py311-1"

    def test_without_room_is_a_warning(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(controller, "free_gib", lambda _path: 1.0)
        assert one(check_wheelhouse(tmp_path)).severity is Severity.WARNING

    def test_without_its_tools_cannot_be_built(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(controller, "_installed", lambda _name: None)
        assert [check.found for check in check_wheelhouse(tmp_path)][:2] == [
            "uv is not installed",
            "pip is not installed",
        ]


class TestClock:
    @pytest.mark.parametrize(
        ("programs", "severity"),
        [
            ({"timedatectl": "echo yes"}, Severity.OK),
            ({"timedatectl": "echo no"}, Severity.WARNING),
            ({"chronyc": "echo 'Leap status     : Normal'"}, Severity.OK),
            ({"chronyc": "echo 'Leap status     : Not synchronised'"}, Severity.WARNING),
            ({"timedatectl": "exit 1"}, Severity.SKIPPED),
            ({}, Severity.SKIPPED),
        ],
    )
    def test_is_what_the_system_says(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        programs: dict[str, str],
        severity: Severity,
    ) -> None:
        for name, text in programs.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert one(check_clock(PROJECT)).severity is severity
