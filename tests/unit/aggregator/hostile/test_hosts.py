"""One host of three is hostile: the report is written, the others are as they were, and the verdict
of the hostile one names the file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract.run_folder import (
    DETAIL_LOG,
    ENGINE_LOAD,
    HOST_FACTS,
    MANIFEST,
    PHASES,
    PLAN,
    RESULT,
    SAMPLES,
    STATUS,
    SUMMARY_LOG,
    TELEMETRY,
)
from loadfleet_aggregator.verdict import VerdictKind

from ..helpers import edit_json, rehash_phases, reseal
from .conftest import FILES, HOSTILE, Fleet
from .mutation import cover_up

Restore = Callable[[], Fleet]
DETAIL = f"{PHASES}/offline-performance/{DETAIL_LOG}"
SUMMARY = f"{PHASES}/offline-performance/{SUMMARY_LOG}"


def place(value: Any, *path: str | int) -> Callable[[Any], None]:
    """Puts a value at a place of a JSON document."""

    def change(document: Any) -> None:
        *way, last = path
        for key in way:
            document = document[key]
        document[last] = value

    return change


def told(fleet: Fleet, name: str, change: Callable[[Any], None]) -> None:
    edit_json(fleet.hostile / name, change)
    reseal(fleet.hostile)


def logged(fleet: Fleet, key: str, value: Any) -> None:
    """Another value of a key in both of LoadGen's logs, and in the result."""
    lines = []
    for line in (fleet.hostile / DETAIL).read_text("utf-8").splitlines():
        if f'"key": "{key}"' in line:
            entry = json.loads(line.removeprefix(":::MLLOG "))
            summary = (fleet.hostile / SUMMARY).read_text("utf-8")
            changed = summary.replace(f": {entry['value']}\n", f": {value}\n")
            (fleet.hostile / SUMMARY).write_text(changed, "utf-8")
            line = ":::MLLOG " + json.dumps(entry | {"value": value})
        lines.append(line)
    (fleet.hostile / DETAIL).write_text("\n".join(lines) + "\n", "utf-8")
    cover_up(fleet.hostile, "run-1")


def without_lines(fleet: Fleet, part: str) -> None:
    for name in (DETAIL, SUMMARY):
        text = (fleet.hostile / name).read_text("utf-8")
        kept = [line for line in text.splitlines() if part not in line]
        (fleet.hostile / name).write_text("\n".join(kept) + "\n", "utf-8")
    cover_up(fleet.hostile, "run-1")


def overwritten(fleet: Fleet, name: str, data: bytes) -> None:
    (fleet.hostile / name).write_bytes(data)
    if name == MANIFEST:
        return
    rehash_phases(fleet.hostile) if name != RESULT else None
    reseal(fleet.hostile)


def sent(fleet: Fleet, name: str, data: bytes) -> None:
    """A file of the Offline run that LoadGen has not written."""
    (fleet.hostile / PHASES / "offline-performance" / name).write_bytes(data)
    reseal(fleet.hostile)


Way = Callable[[Fleet], None]
PHASE = ("phases", 0)
NAMED: dict[str, tuple[Way, str]] = {
    # Numbers.
    **{
        f"{label} in a mean": (
            lambda f, v=value: told(f, RESULT, place(v, *PHASE, "output_tokens", "mean")),
            f"{RESULT}: phases.0.output_tokens.mean: ",
        )
        for label, value in {
            "NaN": float("nan"),
            "infinity": float("inf"),
            "1e308": 1e308,
            "text": "many",
            "null": None,
            "an integer of 4000 digits": 10**4000,
        }.items()
    },
    **{
        f"{label} as a count": (
            lambda f, v=value: told(f, RESULT, place(v, *PHASE, "samples")),
            f"{RESULT}: phases.0.samples: ",
        )
        for label, value in {"-1": -1, "2**63": 2**63, "1.5": 1.5, "10**400": 10**400}.items()
    },
    "a negative number of tokens": (
        lambda f: told(f, RESULT, place(-5.0, *PHASE, "input_tokens", "mean")),
        f"{RESULT}: phases.0.input_tokens: ",
    ),
    "an endless throughput in both logs": (
        lambda f: logged(f, "result_tokens_per_second", 1e308),
        f"{DETAIL}: not a whole LoadGen log: tokens_per_second: ",
    ),
    "a throughput just above nothing": (
        lambda f: logged(f, "result_tokens_per_second", 5e-324),
        f"{DETAIL}: not a whole LoadGen log: tokens_per_second: ",
    ),
    "NaN in both logs": (
        lambda f: logged(f, "result_samples_per_second", float("nan")),
        f"{DETAIL}: ",
    ),
    "a latency of 400 digits in both logs": (
        lambda f: logged(f, "result_99.00_percentile_latency_ns", 10**400),
        f"{DETAIL}: ",
    ),
    # Shapes.
    "a key more": (lambda f: told(f, RESULT, place(1, "surprise")), f"{RESULT}: surprise: "),
    "a key less": (lambda f: told(f, RESULT, lambda r: r.pop("labels")), f"{RESULT}: labels: "),
    "another schema": (
        lambda f: told(f, RESULT, place(2, "schema_version")),
        f"{RESULT}: schema_version: ",
    ),
    "a phase twice": (
        lambda f: told(f, RESULT, lambda r: r["phases"].append(r["phases"][0])),
        f"{RESULT}: : Value error, phases: one is told twice",
    ),
    "a phase under another name": (
        lambda f: told(f, RESULT, place("../../gpu-a", *PHASE, "name")),
        f"{RESULT}: phases.0: Value error, name is not offline-performance",
    ),
    "10,000 warnings": (
        lambda f: told(f, RESULT, place(["no"] * 10_000, "warnings")),
        f"{RESULT}: warnings: ",
    ),
    "10,000 settings": (
        lambda f: told(
            f, RESULT, place(dict.fromkeys(map(str, range(10_000)), 1), "engine", "settings")
        ),
        f"{RESULT}: engine.settings: ",
    ),
    "1,000 GPUs": (
        lambda f: told(
            f,
            HOST_FACTS,
            lambda h: h.update(gpus=[h["gpus"][0] | {"index": index} for index in range(1000)]),
        ),
        f"{HOST_FACTS}: gpus: ",
    ),
    "a GPU twice": (
        lambda f: told(f, HOST_FACTS, lambda h: h["gpus"].append(h["gpus"][0])),
        f"{HOST_FACTS}: : Value error, gpus: an index is told twice",
    ),
    "a package's version of two lines": (
        lambda f: told(f, HOST_FACTS, place("1\nevil==6", "packages", "torch")),
        f"{HOST_FACTS}: packages.torch: ",
    ),
    "a name of a megabyte": (
        lambda f: told(f, HOST_FACTS, place("x" * 1_000_000, "cpu_model")),
        f"{HOST_FACTS}: cpu_model: ",
    ),
    "a key of a megabyte": (
        lambda f: told(f, HOST_FACTS, place(1, "x" * 1_000_000)),
        f"{HOST_FACTS}: xxx",
    ),
    "a status that is none": (lambda f: overwritten(f, STATUS, b"{"), f"{STATUS}: "),
    # Times.
    **{
        f"a start at {time or 'no time'}": (
            lambda f, t=time: told(f, RESULT, place(t, *PHASE, "started_utc")),
            f"{RESULT}: phases.0.started_utc: ",
        )
        for time in (
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "2026-08-01T12:00:00",
            "",
        )
    },
    "an end before the start": (
        lambda f: told(f, RESULT, place("2026-07-01T12:00:00Z", *PHASE, "ended_utc")),
        f"{RESULT}: phases.0: Value error, ended_utc is before started_utc",
    ),
    "a run of 200 years": (
        lambda f: told(f, RESULT, place("2199-01-01T00:00:00Z", *PHASE, "ended_utc")),
        f"{RESULT}: phases.0: Value error, ended_utc is more than 366 days after started_utc",
    ),
    # Bytes.
    **{
        f"{label} for {name}": (
            lambda f, n=name, d=data: overwritten(f, n, d),
            f"{name}: ",
        )
        for name in (RESULT, HOST_FACTS, PLAN, MANIFEST, DETAIL)
        for label, data in {
            "nothing": b"",
            "half of it": b'{"schema_version": 1, "run_',
            "no UTF-8": b"\xff\xfe{}",
            "a lone surrogate": b'{"run_id": "\\ud800"}',
            "deep nesting": b"[" * 200_000,
            "null": b"null",
            "zeros": bytes(1000),
            "too much": b" " * (17 << 20),
        }.items()
    },
    "a nest in LoadGen's log": (
        lambda f: overwritten(f, DETAIL, b':::MLLOG {"key": ' + b"[" * 200_000),
        f"{DETAIL}:1: not a LoadGen line: ",
    ),
    "a line of spaces in LoadGen's summary": (
        lambda f: overwritten(f, SUMMARY, b" " * 1_000_000 + b"\n"),
        f"{DETAIL}: ",
    ),
    "no 99th percentile in the logs": (
        lambda f: without_lines(f, "99.00"),
        f"{DETAIL}: not a whole LoadGen log: : Value error, has no 99.00 percentile",
    ),
    # Files.
    "a manifest that lists itself": (
        lambda f: edit_json(
            f.hostile / MANIFEST, lambda m: m["files"].update({MANIFEST: m["files"][PLAN]})
        ),
        f"{MANIFEST}: checksum differs",
    ),
    "a manifest of 100,000 files": (
        lambda f: edit_json(
            f.hostile / MANIFEST,
            lambda m: m["files"].update({f"f{i}": m["files"][PLAN] for i in range(20_000)}),
        ),
        f"{MANIFEST}: files: ",
    ),
    "a link to a file of another host": (
        lambda f: (
            (f.hostile / RESULT).unlink(),
            (f.hostile / RESULT).symlink_to(f.hostile.with_name("gpu-a") / RESULT),
        ),
        f"{RESULT}: ",
    ),
    "a pipe for the result": (
        lambda f: ((f.hostile / RESULT).unlink(), os.mkfifo(f.hostile / RESULT)),
        f"{RESULT}: ",
    ),
    "a pipe for a log": (
        lambda f: ((f.hostile / DETAIL).unlink(), os.mkfifo(f.hostile / DETAIL)),
        f"{DETAIL}: ",
    ),
    "a folder for the result": (
        lambda f: ((f.hostile / RESULT).unlink(), (f.hostile / RESULT).mkdir()),
        f"{RESULT}: ",
    ),
    "a name that is no UTF-8": (
        lambda f: Path(os.fsdecode(os.fsencode(f.hostile) + b"/\xff\xfe")).write_bytes(b"x"),
        r"\udcff\udcfe: not in the manifest",
    ),
    "a name with a tag and a colour": (
        lambda f: (f.hostile / "<b>\x1b[31m").write_bytes(b"x"),
        r"<b>\x1b[31m: not in the manifest",
    ),
    "the folder of another host": (
        lambda f: told(f, RESULT, place("gpu-a", "host")),
        f"{RESULT}: host is gpu-a, planned was {HOSTILE}",
    ),
}
"""What a host does, and with what its verdict's reason goes on."""


@pytest.mark.parametrize("way", NAMED)
def test_a_bad_file_is_named_and_harms_no_other_host(way: str, restore: Restore) -> None:
    fleet = restore()
    change, said = NAMED[way]
    change(fleet)
    report = fleet.report()
    fleet.assert_others_unharmed(report)
    verdict = fleet.host(report).verdict
    assert verdict.kind is VerdictKind.FAILED
    assert verdict.reason.removeprefix("its files are not as it sealed them: ").startswith(said)
    assert verdict.reason.isprintable()
    assert len(verdict.reason) < 500
    assert fleet.host(report).phases == ()


@pytest.mark.parametrize("name", [STATUS, HOST_FACTS])
def test_a_bad_file_of_a_run_that_has_not_ended_is_named_too(name: str, restore: Restore) -> None:
    fleet = restore()
    for other in (MANIFEST, RESULT):
        (fleet.hostile / other).unlink()
    (fleet.hostile / name).write_text("[]", encoding="utf-8")
    report = fleet.report()
    fleet.assert_others_unharmed(report)
    assert str(fleet.host(report).verdict).startswith(
        f"failed at collect because its files cannot be read: {name}: : Input should be an object"
    )


HARMLESS: dict[str, Way] = {
    "words of a page": lambda f: told(
        f, RESULT, place(["<script>alert(1)</script>\x1b[31m\u202e"], "warnings")
    ),
    "a warning of a megabyte": lambda f: told(f, RESULT, place(["x" * 1_000_000], "warnings")),
    "telemetry of no use": lambda f: overwritten(f, TELEMETRY, b"\xff\0{}[[\n" * 10_000),
    "telemetry without time zones": lambda f: overwritten(
        f, TELEMETRY, b'{"at_utc": "2026-08-01T12:10:00", "gpus": [{"power_w": 1}]}\n' * 100
    ),
    "a telemetry of a million GPUs": lambda f: overwritten(
        f, TELEMETRY, b'{"at_utc":"2026-08-01T12:10:00Z","gpus":[' + b"{}," * 15_000 + b"{}]}\n"
    ),
    "samples of no use": lambda f: sent(f, SAMPLES, b"PAR1" + bytes(1000) + b"PAR1"),
    "samples that are a log": lambda f: sent(f, SAMPLES, (f.hostile / DETAIL).read_bytes()),
    "an engine's load of no use": lambda f: sent(f, ENGINE_LOAD, b"[[[[\n{}\n\xff" * 10_000),
    "a GPU without a name": lambda f: told(f, HOST_FACTS, place("", "gpus", 0, "uuid")),
    "settings that make no sense": lambda f: told(
        f,
        RESULT,
        place({"kv_cache_blocks": 2**63 - 1, "kv_cache_block_size": 2**63 - 1,
               "max_num_seqs": 2**63 - 1, "tensor_parallel_size": 1, "dtype": "torch.bfloat16",
               "quantization": None, "kv_cache_dtype": "auto"}, "engine", "settings"),
    ),
    "an energy beyond the sun's": lambda f: told(
        f, RESULT, place(1e18, "energy", 0, "gpus", 0, "joules")
    ),
    "another host's machine": lambda f: told(f, HOST_FACTS, place("gpu-a-machine", "machine_id")),
}  # fmt: skip


@pytest.mark.parametrize("way", HARMLESS)
def test_what_is_not_wrong_by_itself_is_shown_and_harms_no_other_host(
    way: str, restore: Restore
) -> None:
    fleet = restore()
    HARMLESS[way](fleet)
    report = fleet.report()
    fleet.assert_others_unharmed(report)
    assert fleet.host(report).verdict.kind is VerdictKind.OK
    page = (fleet.folder / "report.html").read_text("utf-8")
    assert "<script>alert" not in page.lower()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    for name in FILES[1:]:
        text = (fleet.folder / name).read_text("utf-8")
        assert not {"\x1b", "\u202e", "\0"} & set(text)
        assert len(text) < 1_000_000


def test_a_host_cannot_take_labels_off_its_numbers(restore: Restore) -> None:
    fleet = restore()
    told(fleet, RESULT, lambda r: (r.update(labels=[]), r["dataset"].update(label="synthetic")))
    report = fleet.report()
    assert fleet.host(report).labels == ("synthetic-dataset",)
    assert report.statement.startswith("None of these numbers is an MLPerf result")


class TestClocks:
    @staticmethod
    def shift(fleet: Fleet, by: timedelta) -> None:
        """The host's clock is wrong by so much, in all that it tells."""

        def move(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: _moved(key, item, by) or move(item) for key, item in value.items()}
            return [move(item) for item in value] if isinstance(value, list) else value

        path = fleet.hostile / RESULT
        path.write_text(json.dumps(move(json.loads(path.read_bytes()))), encoding="utf-8")
        lines = (fleet.hostile / TELEMETRY).read_text("utf-8").splitlines()
        samples = [json.loads(line) for line in lines]
        text = "".join(
            json.dumps(item | {"at_utc": _moved("at_utc", item["at_utc"], by)}) + "\n"
            for item in samples
        )
        (fleet.hostile / TELEMETRY).write_text(text, encoding="utf-8")
        reseal(fleet.hostile)

    @pytest.mark.parametrize(
        "by",
        [
            timedelta(days=-1),
            timedelta(days=1),
            timedelta(days=-50 * 365),
            timedelta(days=150 * 365),
        ],
        ids=["a day behind", "a day ahead", "1976", "2176"],
    )
    def test_a_wrong_clock_is_flagged_and_changes_no_number(
        self, by: timedelta, restore: Restore, collected: None
    ) -> None:
        fleet = restore()
        self.shift(fleet, by)
        report = fleet.report()
        fleet.assert_others_unharmed(report)
        before = fleet.host(fleet.honest)
        after = fleet.host(report)
        assert after.verdict.kind is VerdictKind.OK
        for was, now in zip(before.phases, after.phases, strict=True):
            assert now.started_utc - was.started_utc == by
            untimed = {"started_utc": was.started_utc, "ended_utc": was.ended_utc}
            assert now.model_copy(update=untimed) == was
        assert report.ended_utc == fleet.honest.ended_utc
        assert report.scenarios == fleet.honest.scenarios
        (flag,) = report.flags
        assert (flag.host, flag.kind, str(flag)) == (HOSTILE, "fault", "clock")
        (reason,) = flag.reasons
        # The run took an hour of the three between which the controller knows it to lie.
        off = abs(by.total_seconds())
        assert 0.999 * (off - 3 * 3600) <= float(reason.value) <= 1.001 * off

    def test_a_clock_that_is_right_is_not_flagged(self, restore: Restore, collected: None) -> None:
        report = restore().report()
        assert report.flags == ()
        assert report.ended_utc is not None


def _moved(key: str, value: Any, by: timedelta) -> str | None:
    if key.endswith("_utc") and isinstance(value, str):
        return (datetime.fromisoformat(value) + by).isoformat()
    return None
