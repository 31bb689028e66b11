"""Readers of files that hosts send raise nothing but their own errors, whatever the files hold."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loadfleet_agent.contract.loadgen_log import LoadgenLogError, read_loadgen_logs
from loadfleet_agent.contract.run_folder import (
    DETAIL_LOG,
    HOST_FACTS,
    MANIFEST,
    PHASES,
    PLAN,
    RESULT,
    STATUS,
    SUMMARY_LOG,
    TELEMETRY,
)
from loadfleet_agent.pack import pack_run
from loadfleet_aggregator.bundle import BundleError, unpack
from loadfleet_aggregator.compare.build import Incomparable, compare_runs
from loadfleet_aggregator.compare.render import render_markdown, render_text
from loadfleet_aggregator.history.build import build_history
from loadfleet_aggregator.history.render import render_text as render_history
from loadfleet_aggregator.report.read import ReportUnreadable, read_report_file
from loadfleet_aggregator.submission.build import build_submission, parse_request, write_template
from loadfleet_aggregator.submission.finding import SubmissionRefused
from loadfleet_aggregator.telemetry import phase_telemetry, read_telemetry
from loadfleet_aggregator.verdict import VerdictKind

from ..helpers import HostRun, snapshot
from .conftest import HOSTILE, Fleet
from .mutation import changed_logs, changes, cover_up, damaged, values, write_json, write_logs

DOCUMENTS = (RESULT, HOST_FACTS, PLAN, MANIFEST)
Restore = Callable[[], Fleet]


class TestFolder:
    """Each example is a whole report with all its renderings."""

    @given(data=st.data())
    def test_a_changed_document_fails_no_report(
        self, data: st.DataObject, restore: Restore
    ) -> None:
        fleet = restore()
        name = data.draw(st.sampled_from(DOCUMENTS))
        document = json.loads((fleet.hostile / name).read_bytes())
        write_json(fleet.hostile / name, data.draw(changes(document)))
        if name != MANIFEST:
            cover_up(fleet.hostile, "run-1")
        report = fleet.report()
        fleet.assert_others_unharmed(report)
        verdict = fleet.host(report).verdict
        assert verdict.kind.finished or ".json: " in verdict.reason or verdict.phase

    @given(data=st.data())
    def test_changed_logs_fail_no_report(self, data: st.DataObject, restore: Restore) -> None:
        fleet = restore()
        phase = data.draw(st.sampled_from(("offline-performance", "server-performance")))
        folder = fleet.hostile / PHASES / phase
        texts = [(folder / name).read_text("utf-8") for name in (DETAIL_LOG, SUMMARY_LOG)]
        write_logs(fleet.hostile, phase, data.draw(changed_logs(*texts)))
        cover_up(fleet.hostile, "run-1")
        report = fleet.report()
        fleet.assert_others_unharmed(report)
        verdict = fleet.host(report).verdict
        if verdict.kind is VerdictKind.FAILED:
            assert f"{phase}/{DETAIL_LOG}" in verdict.reason or phase in verdict.reason

    @given(data=st.data())
    def test_damaged_bytes_fail_no_report(self, data: st.DataObject, restore: Restore) -> None:
        fleet = restore()
        files = sorted(path for path in fleet.hostile.rglob("*") if path.is_file())
        path = data.draw(st.sampled_from(files))
        before = path.read_bytes()
        path.write_bytes(data.draw(damaged(before)))
        if data.draw(st.booleans()):
            cover_up(fleet.hostile, "run-1")
        elif path.read_bytes() != before:
            report = fleet.report()
            name = path.relative_to(fleet.hostile).as_posix()
            assert name in fleet.host(report).verdict.reason
        fleet.assert_others_unharmed(fleet.report())

    @given(data=st.data())
    def test_swapped_and_missing_files_fail_no_report(
        self, data: st.DataObject, restore: Restore
    ) -> None:
        fleet = restore()
        files = sorted(path for path in fleet.hostile.rglob("*") if path.is_file())
        one, other = data.draw(st.sampled_from(files)), data.draw(st.sampled_from(files))
        if one == other:
            one.unlink()
        else:
            content = one.read_bytes()
            one.write_bytes(other.read_bytes())
            other.write_bytes(content)
        cover_up(fleet.hostile, "run-1")
        fleet.assert_others_unharmed(fleet.report())

    @given(data=st.data())
    def test_no_submission_is_made_of_it_by_accident(
        self, data: st.DataObject, restore: Restore
    ) -> None:
        fleet = restore()
        name = data.draw(st.sampled_from(DOCUMENTS))
        document = json.loads((fleet.hostile / name).read_bytes())
        write_json(fleet.hostile / name, data.draw(changes(document)))
        cover_up(fleet.hostile, "run-1")
        output = fleet.folder.parent / "package"
        request = parse_request(
            folder=fleet.folder, output=output, submitter="Example", division="open", force=True
        )
        for make in (
            lambda: build_submission(request),
            lambda: write_template(request, fleet.folder.parent / "system.yaml"),
        ):
            with contextlib.suppress(SubmissionRefused):
                make()


@pytest.fixture(scope="module")
def archive(gpu_hosts: dict[str, HostRun], tmp_path_factory: Any) -> bytes:
    path = tmp_path_factory.mktemp("archive") / "whole.tar"
    pack_run(gpu_hosts[HOSTILE].folder, path, accuracy_logs=True)
    return path.read_bytes()


class TestArchive:
    @staticmethod
    def assert_whole_or_refused(data: bytes, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        target = folder / "hosts" / "gpu-b"
        target.mkdir(parents=True)
        (target / "earlier").write_text("earlier", encoding="utf-8")
        path = folder / "gpu-b.tar.gz"
        path.write_bytes(data)
        before = snapshot(folder)
        try:
            unpack(path, target)
        except BundleError as error:
            said = str(error)
        else:
            assert snapshot(folder).keys() - before.keys() == {
                f"hosts/gpu-b/{name}" for name in snapshot(target)
            }
            return
        assert said.isprintable()
        assert len(said) < 1000
        assert snapshot(folder) == before

    @given(data=st.data())
    def test_a_damaged_archive(self, data: st.DataObject, archive: bytes, tmp_path: Path) -> None:
        self.assert_whole_or_refused(data.draw(damaged(archive)), tmp_path / "run")

    @given(data=st.data())
    def test_a_damaged_tar_in_a_whole_gzip(
        self, data: st.DataObject, archive: bytes, tmp_path: Path
    ) -> None:
        plain = gzip.decompress(archive)[: 64 << 10]
        packed = gzip.compress(data.draw(damaged(plain)), 1)
        self.assert_whole_or_refused(packed, tmp_path / "run")

    @given(
        members=st.lists(
            st.tuples(
                st.one_of(
                    st.sampled_from((RESULT, "a/b", "../a", "/a", "a\n", ".", "", "a" * 300)),
                    st.text(max_size=12),
                ),
                st.sampled_from([*tarfile.SUPPORTED_TYPES, b"x", b"g", b"\0"]),
                st.integers(-1, 2000),
                st.dictionaries(
                    st.sampled_from(("path", "size", "mtime", "linkpath", "GNU.sparse.major",
                                     "GNU.sparse.map", "GNU.sparse.name", "hdrcharset")),
                    st.sampled_from(("1", "-1", "0,-5", "9" * 30, "x", "../up")),
                    max_size=3,
                ),
            ),
            max_size=6,
        )
    )  # fmt: skip
    def test_an_archive_of_any_members(
        self, members: list[tuple[str, bytes, int, dict[str, str]]], tmp_path: Path
    ) -> None:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
            for name, kind, size, headers in members:
                info = tarfile.TarInfo(name)
                info.type, info.size, info.pax_headers = kind, max(0, size), headers
                try:
                    archive.addfile(info, io.BytesIO(bytes(2000)))
                except (ValueError, OverflowError, UnicodeError):
                    continue  # a tar has no place for it
        self.assert_whole_or_refused(stream.getvalue(), tmp_path / "run")


class TestLoadgenLogs:
    @given(data=st.data())
    def test_changed_values(self, data: st.DataObject, mlperf_logs: Path, tmp_path: Path) -> None:
        real = data.draw(st.sampled_from(sorted(mlperf_logs.glob("*/*"))))
        texts = [(real / name).read_text("utf-8") for name in (DETAIL_LOG, SUMMARY_LOG)]
        self.read(
            tmp_path, *(t.encode("utf-8", "replace") for t in data.draw(changed_logs(*texts)))
        )

    @given(data=st.data())
    def test_damaged_bytes(self, data: st.DataObject, mlperf_logs: Path, tmp_path: Path) -> None:
        real = data.draw(st.sampled_from(sorted(mlperf_logs.glob("*/*"))))
        texts = [(real / name).read_bytes() for name in (DETAIL_LOG, SUMMARY_LOG)]
        self.read(tmp_path, *(data.draw(damaged(text)) for text in texts))

    @staticmethod
    def read(folder: Path, detail: bytes, summary: bytes) -> None:
        (folder / DETAIL_LOG).write_bytes(detail)
        (folder / SUMMARY_LOG).write_bytes(summary)
        try:
            result = read_loadgen_logs(folder)
        except LoadgenLogError as error:
            said = str(error)
        else:
            assert type(result).model_validate_json(result.model_dump_json()) == result
            return
        assert said.startswith(str(folder))


@given(data=st.data())
def test_telemetry(data: st.DataObject, three: Fleet, tmp_path: Path) -> None:
    lines = (three.folder / "hosts" / "gpu-a" / TELEMETRY).read_text("utf-8").splitlines()[:5]
    told = [json.dumps(data.draw(changes(json.loads(line)))) for line in lines]
    path = tmp_path / TELEMETRY
    path.write_bytes(data.draw(damaged("\n".join([*lines, *told, *lines]).encode())))
    found = read_telemetry(path)
    assert found is not None
    (phase, *_) = next(host for host in three.honest.hosts if host.name == "gpu-a").phases
    summed = phase_telemetry(found, phase.started_utc, phase.ended_utc)
    assert summed is None or type(summed).model_validate_json(summed.model_dump_json()) == summed


@given(data=st.data())
def test_a_report_that_somebody_gives(data: st.DataObject, three: Fleet, tmp_path: Path) -> None:
    document = three.honest.model_dump(mode="json")
    path = tmp_path / "report.json"
    write_json(path, data.draw(changes(document)))
    try:
        report = read_report_file(path)
    except ReportUnreadable as error:
        said: str | None = str(error)
    else:
        said = None
    if said is not None:
        assert said.startswith(str(path))
        return
    for old, new in ((three.honest, report), (report, three.honest), (report, report)):
        try:
            compared = compare_runs(old, new)
        except Incomparable:
            continue
        assert render_text(compared)
        assert render_markdown(compared)
    assert render_history(build_history([three.honest, report]))


def test_a_report_with_a_host_twice_is_refused(three: Fleet, tmp_path: Path) -> None:
    document = three.honest.model_dump(mode="json")
    document["hosts"].append(document["hosts"][0])
    write_json(tmp_path / "report.json", document)
    with pytest.raises(ReportUnreadable, match="hosts: one is told twice"):
        read_report_file(tmp_path / "report.json")


@given(value=values())
def test_every_value_is_written_as_the_json_that_it_is(value: Any, tmp_path: Path) -> None:
    """Of these tests themselves: what they mean to send is sent."""
    write_json(tmp_path / STATUS, {"value": value})
    read = json.loads((tmp_path / STATUS).read_bytes())["value"]
    assert json.dumps(read) == json.dumps(value)
