"""What a host could send instead: files of real runs, changed in all the ways that come to mind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from loadfleet_agent.contract.loadgen_log import LoadgenLogError, read_loadgen_logs
from loadfleet_agent.contract.run_folder import DETAIL_LOG, MANIFEST, PHASES, RESULT, SUMMARY_LOG

from ..helpers import rehash_phases, reseal

Path_ = tuple[str | int, ...]

NUMBERS = (0, -0.0, -1, 1, 63, 64, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1,
           5e-324, 1e-9, 1e12, 1e18, 1e308, -1e308, float("nan"), float("inf"), -float("inf"),
           10**400, 10**4000)  # fmt: skip
TEXTS = ("", " ", "\0", "\x1b[31mred\x1b[0m", "\u202egnp.exe", "\u2028", "\N{GRINNING FACE}",
         "<script>alert(1)</script>", "\"'><img src=x onerror=alert(1)>", "{{ 7 * 7 }}", "</style>",
         "=cmd|' /C calc'!A0", "../../etc/passwd", "a\nb", "a\r\nb", "|", "`", "[a](http://x)",
         "@everyone", "NaN", "1e999", "99.00", "x" * 5_000, "é" * 300)  # fmt: skip
TIMES = ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z",
         "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00",
         "2026-08-01T12:00:00", "2026-08-02T12:00:00+00:00", "2026-02-30T00:00:00Z",
         "2199-12-31T23:59:59Z", 1e18, -1)  # fmt: skip
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [[]], {"": ""}, [0] * 300,
                           {str(number): number for number in range(300)})  # fmt: skip


def values() -> st.SearchStrategy[Any]:
    """Values that a field may not, or only just, bear."""
    return st.one_of(
        st.sampled_from(NUMBERS),
        st.sampled_from(TEXTS),
        st.sampled_from(TIMES),
        st.sampled_from(OTHERS),
        st.text(max_size=20).filter(str.isascii),
        st.integers(),
        st.floats(),
    )


def places(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Every place in a JSON value, the whole one aside."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    for key, item in inner:
        yield (*path, key)
        yield from places(item, (*path, key))


@st.composite
def changes(draw: st.DrawFn, document: Any) -> Any:
    """The document with one to three places replaced, removed, doubled or renamed."""
    changed = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        known = list(places(changed))
        if not known:
            break
        *way, last = draw(st.sampled_from(known))
        inside = changed
        for key in way:
            inside = inside[key]
        match draw(st.sampled_from(("replace", "replace", "replace", "remove", "double", "add"))):
            case "replace":
                inside[last] = deepcopy(draw(values()))
            case "remove":
                del inside[last]
            case "double" if isinstance(inside, list):
                inside.append(deepcopy(inside[last]))
            case _ if isinstance(inside, dict):
                inside[draw(st.sampled_from(TEXTS))] = deepcopy(inside[last])
    return changed


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes cut, flipped, moved, doubled or overwritten."""
    start = draw(st.integers(0, max(0, len(data) - 1)))
    length = draw(st.integers(0, min(len(data), 4096)))
    match draw(st.sampled_from(("cut", "flip", "remove", "double", "write"))):
        case "cut":
            return data[:start]
        case "flip":
            flipped = bytearray(data)
            for _ in range(draw(st.integers(1, 8))):
                if flipped:
                    flipped[draw(st.integers(0, len(flipped) - 1))] ^= draw(st.integers(1, 255))
            return bytes(flipped)
        case "remove":
            return data[:start] + data[start + length :]
        case "double":
            return data[: start + length] + data[start:]
        case _:
            return data[:start] + draw(st.binary(max_size=64)) + data[start + length :]


@st.composite
def changed_logs(draw: st.DrawFn, detail: str, summary: str) -> tuple[str, str]:
    """LoadGen's two logs with the same wrong value in both, where both have it."""
    lines = detail.splitlines()
    marked = [index for index, line in enumerate(lines) if line.startswith(":::MLLOG ")]
    for _ in range(draw(st.integers(1, 3))):
        index = draw(st.sampled_from(marked))
        entry = json.loads(lines[index].removeprefix(":::MLLOG "))
        old, new = entry["value"], draw(values())
        entry["value"] = new
        if draw(st.booleans()):
            summary = summary.replace(f": {old}\n", f": {new}\n")
        lines[index] = ":::MLLOG " + json.dumps(entry)
    return "\n".join(lines) + "\n", summary


def write_logs(folder: Path, phase: str, logs: tuple[str, str]) -> None:
    for name, text in zip((DETAIL_LOG, SUMMARY_LOG), logs, strict=True):
        (folder / PHASES / phase / name).write_bytes(text.encode("utf-8", "replace"))


def write_json(path: Path, value: Any) -> None:
    """As a host may write it: also with NaN, and with integers of any length."""
    path.write_text(_dumped(value), encoding="utf-8")


def _dumped(value: Any) -> str:
    # json itself refuses to print integers of more than 4,300 digits; ours have fewer.
    return json.dumps(value)


def cover_up(folder: Path, run_id: str) -> None:
    """Makes result and manifest agree with the files again, as a host does that wants to be
    believed."""
    try:
        result = json.loads((folder / RESULT).read_bytes())
        for phase in result["phases"]:
            try:
                logged = read_loadgen_logs(folder / PHASES / phase["name"])
            except LoadgenLogError:
                continue
            phase["loadgen"] = logged.model_dump(mode="json")
        write_json(folder / RESULT, result)
        rehash_phases(folder)
    except (ValueError, KeyError, TypeError, OSError):
        pass  # the result is no result any more
    (folder / MANIFEST).unlink(missing_ok=True)
    reseal(folder, run_id)
