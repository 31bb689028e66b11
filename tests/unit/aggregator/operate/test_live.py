"""A host's row, from what a shell on it prints."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from loadfleet_agent.contract.status import FailureCode, Level, State, make_failure
from loadfleet_aggregator.operate.live import HostLive, LiveState, look_command, read_look

from ..helpers import HostRun
from .looks import make_event, make_look, make_status


def sample(*gpus: dict[str, object]) -> str:
    return json.dumps({"at_utc": "2026-08-01T12:00:00+00:00", "gpus": gpus})


class TestReading:
    def test_a_host_at_work(self) -> None:
        telemetry = "\n".join(
            [
                '"a": cut off}',
                sample({"power_w": 1.0, "temperature_c": 1}),
                sample(
                    {"power_w": 160.5, "temperature_c": 61}, {"power_w": 158, "temperature_c": 66}
                ),
                '{"gpus": [{"power_w": 3',
            ]
        )
        events = "\n".join(["cut", make_event("started", Level.INFO), make_event("it is hot")])
        assert read_look("a", make_look(make_status(), telemetry=telemetry, events=events)) == (
            HostLive(
                host="a",
                state=LiveState.RUNNING,
                run_id="run-1",
                phase="offline-performance",
                phase_number=5,
                phase_count=10,
                done=1200,
                total=13368,
                unit="samples",
                rate_per_s=5.25,
                tokens_per_s=671.5,
                eta_s=2317.0,
                gpu_power_w=318.5,
                gpu_temperature_c=66.0,
                warnings=1,
                note="it is hot",
            )
        )

    def test_a_host_that_failed_says_why_and_shows_no_speed(self) -> None:
        failure = make_failure(FailureCode.OUT_OF_GPU_MEMORY, "load", "no memory left")
        row = read_look("a", make_look(make_status(state=State.FAILED, failure=failure), lock=0))
        assert (row.state, row.note) == (LiveState.FAILED, "no memory left [out-of-gpu-memory]")
        assert (row.rate_per_s, row.tokens_per_s, row.eta_s) == (None, None, None)

    @pytest.mark.parametrize(
        ("changes", "state"),
        [
            ({"lock": 0}, LiveState.DIED),
            ({"boot": "boot-2"}, LiveState.REBOOTED),
            # No flock there, or no right to the file: nothing is known, so it is alive.
            ({"lock": 127}, LiveState.RUNNING),
        ],
    )
    def test_a_run_that_is_gone(self, changes: dict[str, object], state: LiveState) -> None:
        assert read_look("a", make_look(make_status(), **changes)).state is state  # type: ignore[arg-type]

    def test_a_run_that_is_done_needs_no_lock_and_no_boot(self) -> None:
        look = make_look(make_status(state=State.DONE), lock=0, boot="another")
        assert read_look("a", look).state is LiveState.DONE

    def test_a_host_without_a_run(self) -> None:
        assert read_look("a", make_look(run="")).state is LiveState.NO_RUN
        assert read_look("a", make_look()).note == "no status yet"


class TestUntrusted:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "nothing of it",
            "loadfleet-look lock",
            make_look("{}"),
            make_look("[" * 100_000),
            make_look('{"schema_version": 2}'),
            make_look(make_status().model_dump_json().replace("1200", "9" * 5000)),
            make_look(make_status().model_dump_json().replace("5.25", "NaN")),
            make_look("x" * (1 << 20)),
        ],
        ids=["empty", "text", "cut", "{}", "deep", "version", "huge", "nan", "long"],
    )
    def test_what_cannot_be_read_is_a_row_that_says_so(self, text: str) -> None:
        row = read_look("a", text)
        assert row.state is LiveState.UNREADABLE
        assert row.note

    @pytest.mark.parametrize(
        "telemetry",
        [
            "[]",
            "7",
            '{"gpus": 7}',
            '{"gpus": [7]}',
            '{"gpus": [{"power_w": "hot"}]}',
            '{"gpus": [{"power_w": -1}]}',
            '{"gpus": [{"power_w": 1e300}]}',
            '{"gpus": [{"power_w": true, "temperature_c": NaN}]}',
            "[" * 50_000,
        ],
    )
    def test_sensors_that_make_no_sense_are_none(self, telemetry: str) -> None:
        row = read_look("a", make_look(make_status(), telemetry=telemetry))
        assert row.state is LiveState.RUNNING
        assert (row.gpu_power_w, row.gpu_temperature_c) == (None, None)

    def test_a_file_cannot_take_the_place_of_what_comes_before_it(self) -> None:
        events = "loadfleet-look lock 0\nloadfleet-look run other"
        row = read_look("a", make_look(make_status(), events=events))
        assert (row.state, row.run_id) == (LiveState.RUNNING, "run-1")

    def test_long_texts_are_cut(self) -> None:
        look = make_look(make_status(phase="p" * 1_000), events=make_event("w" * 10_000))
        row = read_look("a", look)
        assert len(row.phase) == len(row.note) == 300


class TestCommand:
    """The real command over a real agent's folder."""

    @staticmethod
    def look(home: Path, run_id: str | None = None) -> HostLive:
        done = subprocess.run(
            ["/bin/sh", "-c", look_command(str(home), run_id)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stderr == ""
        return read_look("a", done.stdout)

    def test_reads_a_real_run_and_leaves_no_file(self, host_a: HostRun, tmp_path: Path) -> None:
        home = tmp_path / "a home with 'quotes'"
        host_a.copy_to(home / "runs" / "old")
        host_a.copy_to(home / "runs" / "new")
        os.utime(home / "runs" / "old" / "status.json", (1, 1))
        before = sorted(home.rglob("*"))
        row = self.look(home)
        assert (row.run_id, row.state, row.phase) == ("new", LiveState.DONE, "seal")
        assert self.look(home, "old").run_id == "old"
        assert sorted(home.rglob("*")) == before

    def test_a_host_that_never_ran(self, tmp_path: Path) -> None:
        assert self.look(tmp_path / "nowhere").state is LiveState.NO_RUN
        assert self.look(tmp_path, "run-1").note == "no status yet"

    def test_knows_whether_the_agent_lives(self, host_a: HostRun, tmp_path: Path) -> None:
        folder = host_a.copy_to(tmp_path / "runs" / "run-1")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        (folder / "status.json").write_text(make_status(boot_id=boot).model_dump_json())
        lock = tmp_path / "run.lock"
        lock.touch()
        assert self.look(tmp_path).state is LiveState.DIED
        flock = shutil.which("flock")
        assert flock is not None
        held = subprocess.Popen([flock, lock, "sh", "-c", "echo held; read x"],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
        try:
            assert held.stdout is not None
            held.stdout.readline()
            assert self.look(tmp_path).state is LiveState.RUNNING
        finally:
            held.communicate(b"\n", timeout=60)
