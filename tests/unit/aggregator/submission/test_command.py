"""``loadfleet submission`` as a user calls it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from loadfleet_aggregator.submission.scores import STATEMENT
from waiting import LONG_S

from ..helpers import BIN, snapshot
from .packages import ASKED, write_system_file


def submission(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "loadfleet", "submission", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )


USUAL = ("--submitter", "Example", "--division", "closed")


class TestPackage:
    def test_is_made_and_its_scores_are_told(self, run: Path, tmp_path: Path) -> None:
        file = write_system_file(tmp_path / "system.json")
        done = submission(run, *USUAL, "--round", "v6.1", "--system-file", file)
        assert done.returncode == 0, done.stderr
        *scores, folder = done.stdout.splitlines()
        assert folder == str(run / "submission/closed")
        assert Path(folder, "closed/Example/systems/gpu-01.json").is_file()
        assert len(scores) == 2
        for line in scores:
            assert line.startswith("MLPerf v6.1 Inference Closed llama3.1-8b ")
            assert line.endswith(f"tokens/s (unverified). {STATEMENT}")

    def test_is_told_as_json(self, run: Path, tmp_path: Path) -> None:
        file = write_system_file(tmp_path / "system.json")
        output = tmp_path / "package"
        done = submission(run, *USUAL, "--system-file", file, "--output", output, "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["package"] == str(output)
        assert told["systems"] == ["gpu-01"]
        assert told["flaws"] == []
        assert told["rehearsal"] is False
        assert [score["scenario"] for score in told["scores"]] == ["Offline", "Server"]
        assert {score["statement"] for score in told["scores"]} == {STATEMENT}
        assert {score["verified"] for score in told["scores"]} == {False}

    def test_of_the_latest_run(self, run: Path, tmp_path: Path) -> None:
        (run.parent / "latest").symlink_to(run.name)
        file = write_system_file(tmp_path / "system.json")
        done = submission(run.parent / "latest", *USUAL, "--system-file", file)
        assert done.returncode == 0, done.stderr
        assert (run / "submission/closed").is_dir()


class TestRefusal:
    def test_has_a_line_for_each_finding(self, run: Path) -> None:
        before = snapshot(run.parent)
        done = submission(run, *USUAL)
        assert done.returncode == 2
        assert done.stdout == ""
        first, *rest = done.stderr.splitlines()
        assert first == f"loadfleet: no package: {len(ASKED)} findings"
        assert len(rest) == len(ASKED)
        assert all(line.startswith("loadfleet: system.") for line in rest)
        assert snapshot(run.parent) == before

    def test_is_told_as_json(self, run: Path) -> None:
        done = submission(run, *USUAL, "--json")
        assert done.returncode == 2
        told = json.loads(done.stdout)["refused"]
        assert len(told) == len(ASKED)
        assert set(told[0]) == {"where", "what", "todo", "rehearsable"}

    @pytest.mark.parametrize(
        ("arguments", "where"),
        [
            (["--submitter", "a/b", "--division", "closed"], "--submitter"),
            (["--submitter", "..", "--division", "closed"], "--submitter"),
            (["--submitter", "A", "--division", "network"], "--division"),
            ([*USUAL, "--round", "v4.0"], "--round"),
            ([*USUAL, "--host", "gpu-99"], "--host gpu-99"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_of_a_wrong_word(self, run: Path, arguments: list[str], where: str) -> None:
        done = submission(run, *arguments)
        assert done.returncode == 2
        assert done.stderr.splitlines()[1].startswith(f"loadfleet: {where}: ")

    def test_of_a_folder_that_is_no_run(self, tmp_path: Path) -> None:
        done = submission(tmp_path, *USUAL)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert str(tmp_path / "run.json") in line


class TestSystemFile:
    def test_is_written_and_nothing_else(self, run: Path, tmp_path: Path) -> None:
        before = snapshot(run)
        target = tmp_path / "system.yaml"
        done = submission(run, *USUAL, "--write-system-file", target)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{target}\n"
        assert 'cooling: "MISSING"' in target.read_text(encoding="utf-8")
        assert snapshot(run) == before


def test_help_has_an_example_that_parses() -> None:
    done = submission("--help")
    assert done.returncode == 0
    text, _, example = done.stdout.partition("Example: ")
    words = example.split()
    assert words[:2] == ["loadfleet", "submission"]
    assert all(word in text for word in words if word.startswith("--"))
