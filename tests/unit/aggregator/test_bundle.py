"""A host's folder is believed only where it is whole and agrees with itself and the plan."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract.evaluation import Shard
from loadfleet_agent.contract.run_folder import (
    ACCURACY_LOG,
    ANSWERS,
    DETAIL_LOG,
    HOST_FACTS,
    MANIFEST,
    PHASES,
    PLAN,
    RESULT,
    STATUS,
    SUMMARY_LOG,
)
from loadfleet_agent.pack import pack_run
from loadfleet_aggregator import bundle as bundle_module
from loadfleet_aggregator.bundle import BundleError, unpack

from .evaluation.files import EVALUATION, with_evaluation
from .helpers import (
    HostRun,
    edit_json,
    edit_text,
    logged_value,
    make_plan,
    rehash_phases,
    reseal,
    snapshot,
)

DETAIL = f"{PHASES}/server-performance/{DETAIL_LOG}"
SUMMARY = f"{PHASES}/server-performance/{SUMMARY_LOG}"
OTHER_HASH = "0" * 64


def change_logged(folder: Path, key: str, name: str = DETAIL) -> None:
    """Raises one number of LoadGen's detail log by one."""
    value = logged_value(folder / name, key)
    edit_text(folder / name, f'"key": "{key}", "value": {value}', _entry(key, value + 1))


def _entry(key: str, value: object) -> str:
    return f'"key": "{key}", "value": {value}'


class TestReadBundle:
    def test_has_no_problems_with_a_whole_folder(self, host_a: HostRun) -> None:
        bundle = host_a.read(host_a.folder)
        assert bundle.problems == ()
        assert bundle.result is not None
        assert bundle.result.valid
        assert bundle.plan == host_a.plan
        assert bundle.status is not None
        assert bundle.facts is not None

    def test_applies_the_gate_to_every_phase(self, host_a: HostRun) -> None:
        assert host_a.read(host_a.folder).gate == {
            "offline-performance": (),
            "offline-accuracy": (),
            "server-performance": (),
            "server-accuracy": (),
        }

    def test_allows_accuracy_logs_to_stay_on_the_host(self, host_a: HostRun, folder: Path) -> None:
        logs = list(folder.rglob(ACCURACY_LOG))
        assert len(logs) == 4
        for log in logs:
            log.unlink()
        assert host_a.read(folder).problems == ()

    def test_finds_one_number_changed_in_a_log(self, host_a: HostRun, folder: Path) -> None:
        change_logged(folder, "result_99.00_percentile_latency_ns")
        problems = host_a.read(folder).problems
        assert f"{DETAIL}: checksum differs from the manifest's" in problems

    def test_finds_a_changed_log_behind_a_rewritten_manifest(
        self, host_a: HostRun, folder: Path
    ) -> None:
        mean = logged_value(folder / DETAIL, "result_mean_latency_ns")
        change_logged(folder, "result_mean_latency_ns")
        edit_text(folder / SUMMARY, f": {mean}\n", f": {mean + 1}\n")
        rehash_phases(folder)
        reseal(folder)
        assert host_a.read(folder).problems == (
            "server-performance: the result's numbers are not those of LoadGen's log",
        )

    def test_finds_logs_that_contradict_each_other(self, host_a: HostRun, folder: Path) -> None:
        value = logged_value(folder / DETAIL, "result_completed_tokens_per_second")
        key = "result_completed_tokens_per_second"
        edit_text(folder / DETAIL, _entry(key, value), _entry(key, 2 * value))
        rehash_phases(folder)
        reseal(folder)
        (problem,) = host_a.read(folder).problems
        assert problem.startswith(f"{DETAIL}: {key} is")
        assert "the summary says" in problem

    def test_finds_a_number_changed_in_both_logs(self, host_a: HostRun, folder: Path) -> None:
        key = "result_completed_tokens_per_second"
        value = logged_value(folder / DETAIL, key)
        edit_text(folder / DETAIL, _entry(key, value), _entry(key, 20000.5))
        printed = next(
            line.rpartition(": ")[2]
            for line in (folder / SUMMARY).read_text(encoding="utf-8").splitlines()
            if line.startswith("Completed tokens per second")
        )
        edit_text(folder / SUMMARY, f": {printed}", ": 20000.5")
        rehash_phases(folder)
        reseal(folder)
        assert host_a.read(folder).problems == (
            "server-performance: the result's numbers are not those of LoadGen's log",
        )

    def test_finds_a_log_that_is_not_as_loadgen_left_it(
        self, host_a: HostRun, folder: Path
    ) -> None:
        edit_text(folder / DETAIL, '"key": "generated_query_duration"', '"key": "another_key"')
        reseal(folder)
        problems = host_a.read(folder).problems
        assert problems
        assert "server-performance" in problems[0]
        assert DETAIL_LOG in problems[0]

    def test_finds_a_missing_file(self, host_a: HostRun, folder: Path) -> None:
        (folder / HOST_FACTS).unlink()
        assert host_a.read(folder).problems == (
            f"{HOST_FACTS}: in the manifest, but not collected",
        )

    def test_finds_a_missing_log(self, host_a: HostRun, folder: Path) -> None:
        (folder / DETAIL).unlink()
        problems = host_a.read(folder).problems
        assert f"{DETAIL}: in the manifest, but not collected" in problems

    @pytest.mark.parametrize("name", ["more.txt", "phases/offline-performance/more.txt"])
    def test_finds_an_extra_file(self, host_a: HostRun, folder: Path, name: str) -> None:
        (folder / name).write_text("more", encoding="utf-8")
        assert host_a.read(folder).problems == (f"{name}: not in the manifest",)

    @pytest.mark.parametrize(
        ("key", "value"), [("run_id", "another"), ("host", "another"), ("plan_hash", OTHER_HASH)]
    )
    def test_finds_a_result_of_another_run_host_or_plan(
        self, host_a: HostRun, folder: Path, key: str, value: str
    ) -> None:
        edit_json(folder / RESULT, lambda result: result.update({key: value}))
        reseal(folder)
        wanted = getattr(host_a.read(host_a.folder).result, key)
        assert host_a.read(folder).problems == (
            f"{RESULT}: {key} is {value}, planned was {wanted}",
        )

    def test_finds_a_folder_of_another_host(self, host_a: HostRun, host_b: HostRun) -> None:
        assert host_a.read(host_b.folder).problems == (
            f"{RESULT}: host is host-b, planned was host-a",
        )

    def test_finds_a_manifest_of_another_run(self, host_a: HostRun, folder: Path) -> None:
        reseal(folder, run_id="another")
        assert host_a.read(folder).problems == (f"{MANIFEST}: of run another",)

    def test_finds_another_plan(self, host_a: HostRun, folder: Path) -> None:
        other = make_plan("host-a", server_target_qps=499)
        (folder / PLAN).write_text(other.model_dump_json(), encoding="utf-8")
        reseal(folder)
        assert host_a.read(folder).problems == (
            f"{PLAN}: not the plan that was made for this host",
        )

    def test_finds_a_planned_phase_that_is_not_in_the_result(
        self, host_a: HostRun, folder: Path
    ) -> None:
        edit_json(folder / RESULT, lambda result: result["phases"].pop())
        reseal(folder)
        assert host_a.read(folder).problems == (f"{RESULT}: its phases are not the planned ones",)

    @pytest.mark.parametrize("name", [RESULT, MANIFEST, PLAN])
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"schema_version": 2}, "schema_version: Input should be less than or equal to 1"),
            ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
        ],
    )
    def test_finds_a_document_of_another_schema(
        self, host_a: HostRun, folder: Path, name: str, change: dict[str, Any], said: str
    ) -> None:
        edit_json(folder / name, lambda document: document.update(change))
        if name != MANIFEST:
            reseal(folder)
        assert f"{name}: {said}" in host_a.read(folder).problems

    @pytest.mark.parametrize("name", [RESULT, MANIFEST, PLAN])
    @pytest.mark.parametrize("content", [b"no JSON", b"", b"\xff\xfe", b"[" * 100_000])
    def test_finds_a_document_that_is_not_json(
        self, host_a: HostRun, folder: Path, name: str, content: bytes
    ) -> None:
        (folder / name).write_bytes(content)
        if name != MANIFEST:
            reseal(folder)
        assert any(text.startswith(f"{name}: ") for text in host_a.read(folder).problems)

    def test_refuses_an_oversized_document(
        self, host_a: HostRun, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        limit = (folder / RESULT).stat().st_size
        monkeypatch.setattr(bundle_module, "MAX_DOCUMENT_BYTES", limit)
        assert host_a.read(folder).problems == ()
        monkeypatch.setattr(bundle_module, "MAX_DOCUMENT_BYTES", limit - 1)
        bundle = host_a.read(folder)
        assert bundle.result is None
        assert bundle.problems[0].startswith(f"{RESULT}: larger than")

    @pytest.mark.parametrize("name", [RESULT, HOST_FACTS, DETAIL])
    def test_follows_no_link_to_a_file_outside(
        self, host_a: HostRun, folder: Path, name: str
    ) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(host_a.folder / name)
        assert any(text.startswith(f"{name}: ") for text in host_a.read(folder).problems)

    def test_follows_no_link_to_a_folder_outside(self, host_a: HostRun, folder: Path) -> None:
        (folder / PHASES).rename(folder.parent / "elsewhere")
        (folder / PHASES).symlink_to(folder.parent / "elsewhere")
        assert any(text.startswith(PHASES) for text in host_a.read(folder).problems)

    @pytest.mark.parametrize("target", ["/etc", "/etc/hostname", "nowhere"])
    def test_finds_an_extra_link(self, host_a: HostRun, folder: Path, target: str) -> None:
        (folder / "more").symlink_to(target)
        assert host_a.read(folder).problems == ("more: not in the manifest",)

    @pytest.mark.parametrize(
        "name", ["../host-a/host.json", "phases/../host.json", "/etc/hostname", ""]
    )
    def test_refuses_a_path_that_leaves_the_folder(
        self, host_a: HostRun, folder: Path, name: str
    ) -> None:
        edit_json(folder / MANIFEST, lambda m: m["files"].update({name: m["files"][PLAN]}))
        assert host_a.read(folder).problems == (
            f"{MANIFEST}: {name!r}: a path that leaves the folder",
        )

    @pytest.mark.parametrize(
        "name", ["a\0b", "a\nb", "\x1b[31m", "a b", "<b>", "é" * 200, "a" * 256, "a\\b", "a:b"]
    )
    def test_refuses_a_name_that_no_agent_gives(
        self, host_a: HostRun, folder: Path, name: str
    ) -> None:
        edit_json(folder / MANIFEST, lambda m: m["files"].update({name: m["files"][PLAN]}))
        (problem,) = host_a.read(folder).problems
        assert problem.startswith(f"{MANIFEST}: '")
        assert problem.endswith(": not a file's name that an agent gives")
        assert problem.isprintable()

    def test_bears_a_path_that_no_file_system_has(self, host_a: HostRun, folder: Path) -> None:
        name = "a" * 5000
        edit_json(folder / MANIFEST, lambda m: m["files"].update({name: m["files"][PLAN]}))
        assert any("a" * 50 in text for text in host_a.read(folder).problems)

    def test_bears_numbers_beyond_all_measure(self, host_a: HostRun, folder: Path) -> None:
        def change(result: Any) -> None:
            for phase in result["phases"]:
                phase["output_tokens"] |= {"mean": 1e308, "minimum": 1e308, "maximum": 1e308}

        edit_json(folder / RESULT, change)
        reseal(folder)
        bundle = host_a.read(folder)
        assert bundle.problems or any(bundle.gate.values())

    def test_judges_the_logs_and_not_what_the_host_says_of_them(
        self, host_a: HostRun, folder: Path
    ) -> None:
        key = "result_validity"
        edit_text(folder / DETAIL, _entry(key, '"VALID"'), _entry(key, '"INVALID"'))
        edit_text(folder / SUMMARY, "Result is : VALID", "Result is : INVALID")

        def change(result: Any) -> None:
            (phase,) = (p for p in result["phases"] if p["name"] == "server-performance")
            phase["loadgen"]["valid"] = False
            phase["gate"] = []

        edit_json(folder / RESULT, change)
        rehash_phases(folder)
        reseal(folder)
        bundle = host_a.read(folder)
        assert bundle.problems == ()
        assert [str(finding.rule) for finding in bundle.gate["server-performance"]] == [
            "loadgen-valid"
        ]

    def test_finds_no_damage_in_an_unfinished_run(self, host_a: HostRun, tmp_path: Path) -> None:
        (tmp_path / STATUS).write_bytes((host_a.folder / STATUS).read_bytes())
        bundle = host_a.read(tmp_path)
        assert bundle.problems == ()
        assert bundle.status is not None
        assert bundle.result is None

    def test_takes_a_result_without_a_manifest_for_no_result(
        self, host_a: HostRun, folder: Path
    ) -> None:
        (folder / MANIFEST).unlink()
        assert host_a.read(folder).result is None

    def test_finds_nothing_in_an_empty_folder(self, host_a: HostRun, tmp_path: Path) -> None:
        bundle = host_a.read(tmp_path)
        assert (bundle.status, bundle.plan, bundle.facts, bundle.result) == (None,) * 4
        assert bundle.problems == ()


class TestEvaluation:
    @pytest.fixture
    def run(self, host_c: HostRun, tmp_path: Path) -> HostRun:
        return with_evaluation(host_c, tmp_path / "host-c")

    @staticmethod
    def forge(run: HostRun, change: Callable[[Any], None]) -> tuple[str, ...]:
        """The problems of a run whose evaluation was changed in its result, and sealed again."""
        edit_json(run.folder / RESULT, lambda result: change(result["evaluations"][0]))
        reseal(run.folder)
        return run.read(run.folder).problems

    def test_is_no_problem_as_it_should_be(self, run: HostRun) -> None:
        bundle = run.read(run.folder)
        assert bundle.problems == ()
        assert bundle.result is not None
        assert [item.name for item in bundle.result.evaluations] == [EVALUATION]

    def test_is_missed_in_a_complete_result(self, run: HostRun) -> None:
        edit_json(run.folder / RESULT, lambda result: result.update(evaluations=[]))
        reseal(run.folder)
        assert run.read(run.folder).problems == (
            f"{RESULT}: its evaluations are not the planned ones",
        )

    def test_may_be_missing_in_a_result_that_is_not_complete(self, run: HostRun) -> None:
        edit_json(run.folder / RESULT, lambda r: r.update(evaluations=[], outcome="stopped"))
        reseal(run.folder)
        assert run.read(run.folder).problems == ()

    def test_is_of_the_plan_whatever_came_of_the_run(self, run: HostRun) -> None:
        def change(result: Any) -> None:
            result["outcome"] = "stopped"
            other = {"task": "mmlu_llama", "name": "evaluation-mmlu_llama", "files": {}}
            result["evaluations"][0] |= other

        edit_json(run.folder / RESULT, change)
        reseal(run.folder)
        assert run.read(run.folder).problems == (
            "evaluation-mmlu_llama: not planned for this host",
        )

    def test_is_of_the_plan_of_its_result(self, run: HostRun) -> None:
        assert self.forge(run, lambda item: item.update(plan_hash=OTHER_HASH)) == (
            f"{EVALUATION}: of another plan than its result",
        )

    def test_is_of_the_shard_that_was_planned(self, run: HostRun) -> None:
        assert self.forge(run, lambda item: item.update(shard={"index": 1, "of": 2})) == (
            f"{EVALUATION}: of shard 2 of 2, planned was 1 of 1",
        )

    def test_is_of_the_shard_that_the_controller_planned(
        self, host_c: HostRun, tmp_path: Path
    ) -> None:
        """Two hosts of one plan differ in nothing else, their hashes neither."""
        first, second = (
            with_evaluation(host_c, tmp_path / f"{index}", Shard(index=index, of=2))
            for index in range(2)
        )
        hashes = {"run_id": "run-1", "host": "host-c", "plan_hash": first.plan.plan_hash}
        for planned, problems in (
            (second.plan, ()),
            (first.plan, (f"{EVALUATION}: of shard 2 of 2, planned was 1 of 2",)),
        ):
            found = bundle_module.read_bundle(second.folder, planned=planned, **hashes)
            assert found.problems == problems

    def test_has_the_files_that_it_ended_with(self, run: HostRun) -> None:
        assert self.forge(run, lambda item: item["files"].update({ANSWERS: OTHER_HASH})) == (
            f"{PHASES}/{EVALUATION}/{ANSWERS}: not as it was when the evaluation ended",
        )

    @pytest.mark.parametrize("key", ["micro", "macro", "correct", "macro_interval"])
    def test_has_the_score_of_its_subjects(self, run: HostRun, key: str) -> None:
        def change(item: Any) -> None:
            value = {"low": 0, "high": 100} if key == "macro_interval" else item["score"][key] + 1
            item["score"][key] = value

        assert self.forge(run, change) == (f"{EVALUATION}: its score is not that of its subjects",)

    def test_has_a_score_at_all(self, run: HostRun) -> None:
        assert self.forge(run, lambda item: item.update(score=None)) == (
            f"{EVALUATION}: its score is not that of its subjects",
        )

    def test_has_subjects_where_it_is_of_mmlu(self, run: HostRun) -> None:
        assert self.forge(run, lambda item: item.update(score=None, subjects=[])) == (
            f"{EVALUATION}: no subject was asked of",
        )

    def test_bears_the_last_digits_of_another_python(self, run: HostRun) -> None:
        def change(item: Any) -> None:
            item["score"]["macro_interval"]["low"] *= 1 + 1e-14

        assert self.forge(run, change) == ()


def member(name: str, content: bytes = b"content", **changes: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in changes.items():
        setattr(info, key, value)
    return info, content if info.isreg() else b""


def write_archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return path


HOSTILE: dict[str, tuple[tarfile.TarInfo, bytes]] = {
    "escape": member("../escaped"),
    "escape in the middle": member("phases/../../escaped"),
    "absolute": member("/tmp/escaped-from-an-archive"),
    "the folder itself": member("."),
    "symbolic link": member("link", type=tarfile.SYMTYPE, linkname="/etc/passwd", size=0),
    "hard link": member("link", type=tarfile.LNKTYPE, linkname="plan.json", size=0),
    "character device": member("device", type=tarfile.CHRTYPE, devmajor=1, devminor=3, size=0),
    "block device": member("device", type=tarfile.BLKTYPE, devmajor=8, devminor=0, size=0),
    "pipe": member("pipe", type=tarfile.FIFOTYPE, size=0),
    "folder": member("folder", type=tarfile.DIRTYPE, size=0),
    "a name twice": member("first"),
    "a file for a folder": member("first/second"),
    "a sparse file": member(
        "sparse",
        b"1\n0\n1\n" + bytes(600),
        pax_headers={
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": "sparse",
            "GNU.sparse.realsize": "1",
        },
    ),
    "a name of two lines": member("two\nlines"),
    "a name that is no UTF-8": member("\udcff\udcfe"),
    "a name that looks like another": member("plan\u202e.nosj"),
    "a name with a colour": member("\x1b[31mred"),
    "a longer name than there can be": member("a" * 300),
    "a broken header": member(
        "sparse", pax_headers={"GNU.sparse.map": "x", "GNU.sparse.size": "1"}
    ),
}


class TestUnpack:
    @pytest.fixture
    def target(self, tmp_path: Path) -> Path:
        """An earlier collection of the host."""
        folder = tmp_path / "hosts" / "host-a"
        folder.mkdir(parents=True)
        (folder / "earlier.txt").write_text("earlier", encoding="utf-8")
        return folder

    @pytest.fixture
    def whole(self, host_a: HostRun, tmp_path: Path) -> Path:
        archive = tmp_path / "whole.tar.gz"
        pack_run(host_a.folder, archive, accuracy_logs=True)
        return archive

    @staticmethod
    def assert_refused(archive: Path, target: Path, said: str = "") -> None:
        """Refused in one line, and nothing is left anywhere."""
        before = snapshot(target.parent.parent)
        with pytest.raises(BundleError) as caught:
            unpack(archive, target)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
        assert snapshot(target.parent.parent) == before

    def test_replaces_the_folder_by_what_an_agent_packed(
        self, host_a: HostRun, whole: Path, target: Path
    ) -> None:
        unpack(whole, target)
        assert snapshot(target) == snapshot(host_a.folder)
        assert [path.name for path in target.parent.iterdir()] == [target.name]

    def test_makes_the_folder_if_there_is_none(
        self, host_a: HostRun, whole: Path, tmp_path: Path
    ) -> None:
        unpack(whole, tmp_path / "new" / "host-a")
        assert snapshot(tmp_path / "new" / "host-a") == snapshot(host_a.folder)

    @pytest.mark.parametrize("kind", HOSTILE)
    def test_refuses_what_no_agent_packs(self, kind: str, target: Path, tmp_path: Path) -> None:
        archive = write_archive(tmp_path / "a.tar.gz", member("first"), HOSTILE[kind])
        self.assert_refused(archive, target)
        assert not (tmp_path / "escaped").exists()
        assert not Path("/tmp/escaped-from-an-archive").exists()

    @pytest.mark.parametrize("limit", ["MAX_FILES", "MAX_FILE_BYTES", "MAX_TOTAL_BYTES"])
    def test_refuses_too_many_or_too_large_files(
        self, limit: str, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        archive = write_archive(
            tmp_path / "a.tar.gz", member("a", b"123"), member("b", b"45"), member("c", b"6")
        )
        monkeypatch.setattr(
            bundle_module, limit, {"MAX_FILES": 2, "MAX_FILE_BYTES": 2, "MAX_TOTAL_BYTES": 5}[limit]
        )
        self.assert_refused(archive, target, "too many or too large files")

    def test_refuses_a_header_that_fills_the_memory(self, target: Path, tmp_path: Path) -> None:
        headers = {"comment": "x" * (1 << 20)}
        archive = write_archive(tmp_path / "a.tar.gz", member("a", pax_headers=headers))
        assert archive.stat().st_size < 4000
        self.assert_refused(archive, target, "a header larger than 64 KiB")

    def test_refuses_headers_without_end(self, target: Path, tmp_path: Path) -> None:
        header = member("more", b"", type=tarfile.XHDTYPE)[0].tobuf()
        archive = tmp_path / "a.tar.gz"
        archive.write_bytes(gzip.compress(header * 100_000))
        self.assert_refused(archive, target)

    def test_refuses_a_file_that_comes_to_far_more_than_its_archive(
        self, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        archive = write_archive(tmp_path / "a.tar.gz", member("a", bytes(1_000_000)))
        monkeypatch.setattr(bundle_module, "SMALL_BYTES", 100_000)
        self.assert_refused(archive, target, "too many or too large files")
        monkeypatch.setattr(bundle_module, "MAX_RATIO", 2_000)
        unpack(archive, target)
        assert (target / "a").stat().st_size == 1_000_000

    def test_takes_what_a_day_of_sensors_comes_to(self, target: Path, tmp_path: Path) -> None:
        """The most repetitive file that an agent writes stays far below the greatest ratio."""
        gpu = {"power_w": 164.2, "sm_clock_mhz": 1440, "throttle_reasons": 4, "energy_mj": 0}
        lines = "".join(
            json.dumps({"at_utc": f"2026-08-01T12:00:00.{n:06}+00:00", "gpus": [gpu] * 8}) + "\n"
            for n in range(20_000)
        ).encode()
        archive = write_archive(tmp_path / "a.tar.gz", member("telemetry.jsonl", lines))
        assert len(lines) < bundle_module.MAX_RATIO * archive.stat().st_size
        unpack(archive, target)
        assert (target / "telemetry.jsonl").read_bytes() == lines

    @pytest.mark.parametrize("limit", ["MAX_FILES", "MAX_FILE_BYTES", "MAX_TOTAL_BYTES"])
    def test_takes_files_up_to_the_limits(
        self, limit: str, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        archive = write_archive(
            tmp_path / "a.tar.gz", member("a", b"123"), member("b", b"45"), member("c", b"6")
        )
        monkeypatch.setattr(
            bundle_module, limit, {"MAX_FILES": 3, "MAX_FILE_BYTES": 3, "MAX_TOTAL_BYTES": 6}[limit]
        )
        unpack(archive, target)
        assert snapshot(target) == {"a": b"123", "b": b"45", "c": b"6"}

    @pytest.mark.parametrize(
        "damage",
        [
            lambda data: data[: len(data) // 2],
            lambda data: data[: len(data) * 9 // 10],
            lambda data: data[:100] + bytes(50) + data[150:],
            lambda _: b"",
            lambda _: b"no archive at all",
        ],
        ids=["half", "no last tenth", "hole", "empty", "text"],
    )
    def test_refuses_a_damaged_archive(
        self, damage: Callable[[bytes], bytes], whole: Path, target: Path
    ) -> None:
        whole.write_bytes(damage(whole.read_bytes()))
        self.assert_refused(whole, target, "whole.tar.gz: not a whole archive")

    def test_leaves_nothing_of_an_unpacking_that_was_killed(
        self, host_a: HostRun, whole: Path, target: Path
    ) -> None:
        left = target.with_name(f".{target.name}.unpacking")
        left.mkdir()
        (left / "half").write_text("half", encoding="utf-8")
        unpack(whole, target)
        assert snapshot(target) == snapshot(host_a.folder)
        assert not left.exists()
