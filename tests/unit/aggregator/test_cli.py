"""The command loadfleet as a user calls it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from loadfleet_aggregator.fleet.record import HOSTS, RUN_RECORD
from loadfleet_aggregator.report.model import FleetReport
from waiting import LONG_S

from .helpers import BIN, HostRun, make_run, snapshot
from .report.gpu_hosts import gpu_host


def loadfleet(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "loadfleet", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )


class TestReport:
    def test_ends_with_0_where_every_selected_host_is_valid(
        self, host_a: HostRun, tmp_path: Path
    ) -> None:
        folder = make_run(tmp_path / "results", [host_a], inventory=["host-z"])
        done = loadfleet("report", folder)
        assert done.returncode == 0, done.stderr
        assert "1 of 1 hosts ok" in done.stdout
        assert "host-a: ok" in done.stdout
        assert "host-z: missing: not selected for this run" in done.stdout
        assert (folder / "report.html").is_file()

    def test_ends_with_1_where_a_selected_host_is_not_valid(self, fleet: Path) -> None:
        (fleet / HOSTS / "host-b" / "host.json").unlink()
        done = loadfleet("report", fleet)
        assert done.returncode == 1
        assert "1 of 2 hosts ok" in done.stdout
        assert done.stderr == ""

    def test_prints_the_report_as_json(self, fleet: Path) -> None:
        done = loadfleet("report", fleet, "--json")
        assert done.returncode == 0
        assert json.loads(done.stdout) == json.loads((fleet / "report.json").read_bytes())
        assert FleetReport.model_validate_json(done.stdout).all_ok

    def test_takes_the_link_to_the_latest_run(self, fleet: Path) -> None:
        (fleet.parent / "latest").symlink_to(fleet.name)
        assert loadfleet("report", fleet.parent / "latest").returncode == 0

    def test_makes_the_same_report_again(self, fleet: Path) -> None:
        loadfleet("report", fleet)
        first = snapshot(fleet)
        loadfleet("report", fleet)
        assert snapshot(fleet) == first

    @pytest.mark.parametrize("price", ["-1", "nan", "inf"])
    @pytest.mark.parametrize("flag", ["--price-per-gpu-hour", "--price-per-kwh"])
    def test_refuses_a_price_that_is_none_in_one_line(
        self, tmp_path: Path, flag: str, price: str
    ) -> None:
        done = loadfleet("report", tmp_path, flag, price)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"loadfleet: {flag} ")

    def test_reckons_with_the_prices(self, tmp_path: Path) -> None:
        host = gpu_host(tmp_path / "run", "gpu-01")
        folder = make_run(tmp_path / "results", [host])
        flags = ("--price-per-gpu-hour", "2.5", "--price-per-kwh", "0.3")
        done = loadfleet("report", folder, *flags, "--json")
        assert done.returncode == 0, done.stderr
        for phase in json.loads(done.stdout)["hosts"][0]["phases"]:
            assert phase["cost"]["prices"] == {"per_gpu_hour": 2.5, "per_kwh": 0.3}
            assert phase["cost"]["total"] > 0

    @pytest.mark.parametrize(
        "record", [None, "no JSON", "{}", '{"schema_version": 2}'], ids=["none", "text", "{}", "v2"]
    )
    def test_refuses_a_folder_without_a_record_in_one_line(
        self, tmp_path: Path, record: str | None
    ) -> None:
        if record is not None:
            (tmp_path / RUN_RECORD).write_text(record, encoding="utf-8")
        done = loadfleet("report", tmp_path)
        assert done.returncode == 2
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert str(tmp_path / RUN_RECORD) in line

    def test_refuses_a_folder_that_is_not_there_in_one_line(self, tmp_path: Path) -> None:
        done = loadfleet("report", tmp_path / "nowhere")
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1


class TestHelp:
    COMMANDS = (
        "init", "doctor", "run", "provision", "watch", "logs", "exec", "stop", "collect", "clean",
        "report", "compare", "history", "submission", "wheelhouse", "image",
        "doctor", "init",
    )  # fmt: skip

    @pytest.mark.parametrize("command", COMMANDS)
    def test_of_each_command_has_an_example_that_parses(self, command: str) -> None:
        done = loadfleet(command, "--help")
        assert done.returncode == 0
        text, _, example = done.stdout.partition("Example: ")
        own = " ".join(example.split()).partition(" && ")[0]
        assert own.startswith(f"loadfleet {command}")
        assert all(flag in text for flag in own.split() if flag.startswith("--"))

    def test_names_every_command(self) -> None:
        done = loadfleet("--help")
        assert done.returncode == 0
        for command in self.COMMANDS:
            assert f"\n  {command} " in done.stdout

    def test_version(self) -> None:
        done = loadfleet("--version")
        assert done.returncode == 0
        assert done.stdout.startswith("loadfleet ")


class TestWheelhouse:
    def test_refuses_a_folder_that_is_no_project_in_one_line(self, tmp_path: Path) -> None:
        done = loadfleet("wheelhouse", "--project", tmp_path, "--store", tmp_path / "store")
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert "agent-cuda.txt" in line

    def test_refuses_a_build_that_is_none_in_one_line(self, tmp_path: Path) -> None:
        done = loadfleet("wheelhouse", "--build", "rocm", "--store", tmp_path / "store")
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert line.endswith("no build 'rocm': give one of cpu, cuda, image, client")


class TestImage:
    def test_writes_nothing_into_a_folder_that_has_something(self, tmp_path: Path) -> None:
        (tmp_path / "mine").write_text("kept", encoding="utf-8")
        for output in (tmp_path, tmp_path / "mine"):
            done = loadfleet("image", "--output", output, "--store", tmp_path / "store")
            assert done.returncode == 2
            (line,) = done.stderr.splitlines()
            assert line == f"loadfleet: --output {output}: not an empty folder"
        assert [path.name for path in tmp_path.iterdir()] == ["mine"]

    @pytest.mark.parametrize(
        ("flags", "words"),
        [
            (["--base", "a b"], "base image 'a b'"),
            (["--base", "--privileged"], "base image '--privileged'"),
            (["--python", "3"], "Python '3': write it as 3.12"),
            (["--project", "/nowhere"], "/nowhere"),
        ],
        ids=str,
    )
    def test_refuses_wrong_input_in_one_line(
        self, tmp_path: Path, flags: list[str], words: str
    ) -> None:
        output = tmp_path / "context"
        done = loadfleet("image", "--output", output, "--store", tmp_path / "store", *flags)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert words in line
        assert not output.exists()
