"""What a host's files tell of single samples stands in the report, or why it does not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loadfleet_agent.contract.evaluation import Shard
from loadfleet_agent.contract.run_folder import (
    ANSWERS,
    ENGINE_LOAD,
    PHASES,
    RESULT,
    SAMPLES,
    file_sha256,
)
from loadfleet_aggregator.fleet.record import CONTROLLER, HOSTS
from loadfleet_aggregator.report.build import build_report
from loadfleet_aggregator.report.model import FleetReport, HostReport, PhaseReport
from loadfleet_aggregator.verdict import VerdictKind

from ..evaluation.files import EVALUATION, with_evaluation, written
from ..helpers import HostRun, edit_json, make_note, make_run, rehash_phases, reseal

CHANGED = "server-performance"


def host_of(report: FleetReport, name: str = "host-b") -> HostReport:
    (found,) = (host for host in report.hosts if host.name == name)
    return found


def phase_of(host: HostReport, name: str = CHANGED) -> PhaseReport:
    (found,) = (phase for phase in host.phases if phase.name == name)
    return found


def forge(fleet: Path, change: Callable[[Path], object], phase: str = CHANGED) -> HostReport:
    """The report of host-b, which changed a phase's samples.parquet and sealed it again."""
    folder = fleet / HOSTS / "host-b"
    change(folder / PHASES / phase / SAMPLES)
    rehash_phases(folder)
    reseal(folder)
    report = build_report(fleet)
    assert host_of(report, "host-a").warnings == ()
    return host_of(report)


def set_column(path: Path, name: str, value: int) -> None:
    """Replaces the first value of a column."""
    table = pq.read_table(path)
    values = np.array(table[name].to_pylist())
    values[0] = value
    index = table.schema.get_field_index(name)
    pq.write_table(
        table.set_column(index, name, pa.array(values, table.schema.field(name).type)), path
    )


def test_every_performance_run_has_its_curves(fleet: Path) -> None:
    host = host_of(build_report(fleet))
    assert {p.name: [c.metric for c in p.curves] for p in host.phases} == {
        "offline-performance": ["latency"],
        "offline-accuracy": [],
        "server-performance": ["latency", "ttft", "tpot"],
        "server-accuracy": [],
    }
    assert {phase.no_curves for phase in host.phases} == {""}


def test_hosts_with_one_model_agree(fleet: Path) -> None:
    found = build_report(fleet).agreement
    assert [(item.scenario.value, item.samples, item.identical) for item in found] == [
        ("Offline", 16, 1.0),
        ("Server", 16, 1.0),
    ]


def test_an_answer_that_differs_is_told(fleet: Path) -> None:
    asked: list[int] = []

    def answer_otherwise(path: Path) -> None:
        table = pq.read_table(path)
        asked.append(table["sample_index"][5].as_py())
        answers = table["output_sha256"].to_pylist()
        answers[5] = bytes(32)
        index = table.schema.get_field_index("output_sha256")
        changed = pa.array(answers, pa.binary(32))
        pq.write_table(table.set_column(index, "output_sha256", changed), path)

    forge(fleet, answer_otherwise, "offline-accuracy")
    offline, server = build_report(fleet).agreement
    assert (offline.identical, server.identical) == (15 / 16, 1.0)
    assert [sample.sample_index for sample in offline.differing] == asked


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (cut, "not a Parquet file"),
        (lambda path: path.write_bytes(b""), "not a Parquet file"),
        (lambda path: pq.write_table(pq.read_table(path).slice(1), path), "rows, but the run had"),
        (lambda path: set_column(path, "output_tokens", 99), "output tokens"),
        (lambda path: set_column(path, "issue_ns", 0), "latency in ns"),
        (lambda path: set_column(path, "last_token_ns", 0), "no clock tells"),
    ],
    ids=["cut", "empty", "a row less", "other tokens", "an earlier issue", "an end before"],
)
def test_records_that_are_not_the_runs_are_named_and_nothing_else_is_lost(
    fleet: Path, change: Callable[[Path], object], words: str
) -> None:
    host = forge(fleet, change)
    phase = phase_of(host)
    assert phase.curves == ()
    assert words in phase.no_curves
    assert phase.tokens_per_second is not None
    (warning,) = host.warnings
    assert warning == f"{CHANGED}: {SAMPLES} is not usable: {phase.no_curves}"
    assert phase_of(host, "offline-performance").curves
    assert host.timeline is not None


def test_accuracy_records_that_are_not_usable_leave_the_host_out_of_the_agreement(
    fleet: Path,
) -> None:
    def answer_twice(path: Path) -> None:
        set_column(path, "sample_index", pq.read_table(path)["sample_index"][1].as_py())

    host = forge(fleet, answer_twice, "offline-accuracy")
    assert "two answers" in phase_of(host, "offline-accuracy").no_curves
    assert [item.scenario.value for item in build_report(fleet).agreement] == ["Server"]


def test_the_load_of_the_engine_is_on_the_axis(fleet: Path) -> None:
    folder = fleet / HOSTS / "host-b"
    report = build_report(fleet)
    started = phase_of(host_of(report), "offline-performance").started_utc
    line = f'{{"at_utc":"{started.isoformat()}","running":7,"waiting":3,"kv_cache":0.5}}\n'
    path = folder / PHASES / "offline-performance" / ENGINE_LOAD
    path.write_text(line, encoding="utf-8")
    reseal(folder)
    timeline = host_of(build_report(fleet)).timeline
    assert timeline is not None
    assert set(timeline.running) - {None} == {7.0}
    assert set(timeline.waiting) - {None} == {3.0}
    assert set(timeline.kv_cache) - {None} == {0.5}


def test_a_clock_that_the_controller_measured_is_put_right(fleet: Path) -> None:
    plain = build_report(fleet)
    for name in ("host-a", "host-b"):
        note = make_note(name).model_copy(update={"clock_offset_s": 3600.0, "clock_error_s": 0.01})
        (fleet / CONTROLLER).mkdir(exist_ok=True)
        path = fleet / CONTROLLER / f"{name}.json"
        path.write_text(note.model_dump_json(), encoding="utf-8")
    report = build_report(fleet)
    assert (host_of(report).clock_offset_s, host_of(report).clock_error_s) == (3600.0, 0.01)
    assert report.axis is not None
    assert plain.axis is not None
    assert (plain.axis.start_utc - report.axis.start_utc).total_seconds() == 3600
    assert host_of(report).timeline == host_of(plain).timeline


class TestEvaluation:
    @pytest.fixture
    def evaluated(self, host_b: HostRun, host_c: HostRun, tmp_path: Path) -> Path:
        """host-c was asked MMLU, host-b was not."""
        run = with_evaluation(host_c, tmp_path / "host-c")
        return make_run(tmp_path / "results", [host_b, run])

    def test_is_in_the_report(self, evaluated: Path) -> None:
        report = build_report(evaluated)
        assert host_of(report, "host-c").verdict.kind is VerdictKind.OK
        (item,) = report.evaluations
        assert [part.host for part in item.hosts] == ["host-c"]
        assert [(one.answer, one.response) for one in item.wrong] == [
            ("", "no idea"),
            ("D", "So it is D"),
        ]

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda path: written(path, "ABCDDBCD"), "4 of 4 right in its answers, 3 of 4 in its"),
            (cut, "not a Parquet file"),
            (lambda path: path.unlink(), "No such file"),
            (lambda path: spoil_text(path, "subject"), "Invalid UTF8"),
            (lambda path: spoil_text(path, "prompt"), "Invalid UTF8"),
        ],
        ids=["other answers", "cut", "missing", "a subject of bytes", "a prompt of bytes"],
    )
    def test_that_its_answers_refute_fails_its_host_and_no_other(
        self, evaluated: Path, change: Callable[[Path], object], words: str
    ) -> None:
        folder = evaluated / HOSTS / "host-c"
        path = folder / PHASES / EVALUATION / ANSWERS
        change(path)
        files = {ANSWERS: file_sha256(path)} if path.exists() else {}
        edit_json(folder / RESULT, lambda r: r["evaluations"][0].update(files=files))
        reseal(folder)
        report = build_report(evaluated)
        host = host_of(report, "host-c")
        assert host.verdict.kind is VerdictKind.FAILED
        assert f"{EVALUATION}: {ANSWERS}: " in host.verdict.reason
        assert words in host.verdict.reason
        assert host.verdict.reason.isprintable()
        assert (host.phases, report.evaluations) == ((), ())
        assert host_of(report, "host-b").verdict.kind is VerdictKind.OK

    def test_of_a_shard_that_was_not_planned_fails_its_host(
        self, host_c: HostRun, tmp_path: Path
    ) -> None:
        """The controller's plan counts, not the one that the host sent."""
        run = with_evaluation(host_c, tmp_path / "host-c", Shard(index=0, of=2))
        other = with_evaluation(host_c, tmp_path / "other", Shard(index=1, of=2))
        fleet = make_run(tmp_path / "results", [run])
        assert host_of(build_report(fleet), "host-c").verdict.kind is VerdictKind.OK
        shutil.rmtree(fleet / HOSTS / "host-c")
        other.copy_to(fleet / HOSTS / "host-c")
        verdict = host_of(build_report(fleet), "host-c").verdict
        assert verdict.kind is VerdictKind.FAILED
        assert "of shard 2 of 2, planned was 1 of 2" in verdict.reason


def spoil_text(path: Path, name: str) -> None:
    """A column of texts whose bytes are none."""
    table = pq.read_table(path)
    bad = pa.array([b"\xff\xfe"] * table.num_rows, pa.binary()).view(pa.string())
    pq.write_table(table.set_column(table.schema.get_field_index(name), name, bad), path)
