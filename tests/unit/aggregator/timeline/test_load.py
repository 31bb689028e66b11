"""What an engine was busy with, from a file that anybody could have written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from loadfleet_aggregator.timeline import load
from loadfleet_aggregator.timeline.load import EngineLoads, read_engine_load

AT = "2026-08-01T12:00:00+00:00"


def read(path: Path, *lines: str) -> EngineLoads:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    found = read_engine_load(path)
    assert found is not None
    return found


def line(**told: object) -> str:
    return json.dumps({"at_utc": AT, "running": 1, "waiting": 2, "kv_cache": 0.5} | told)


def test_every_line_is_a_moment(tmp_path: Path) -> None:
    found = read(tmp_path / "f", line(), line(at_utc="2026-08-01T14:00:01+02:00", running=3))
    assert np.diff(found.at_s).tolist() == [1.0]
    assert found.running.tolist() == [1, 3]
    assert (found.waiting.tolist(), found.kv_cache.tolist()) == ([2, 2], [0.5, 0.5])


def test_lines_that_are_no_moments_are_left_out(tmp_path: Path) -> None:
    found = read(
        tmp_path / "f",
        "",
        "[]",
        "null",
        '{"running": 1}',
        line(at_utc=1),
        line(at_utc="2026-08-01T12:00:00"),
        "[" * 5000,
        line()[:-3],
        line(),
    )
    assert found.running.tolist() == [1]


def test_senseless_values_are_not_known(tmp_path: Path) -> None:
    found = read(
        tmp_path / "f",
        line(running=-1, waiting="many", kv_cache=1.5),
        line(running=True, waiting=1e300, kv_cache=None),
        f'{{"at_utc": "{AT}", "running": NaN, "waiting": 1{"0" * 400}, "kv_cache": []}}',
    )
    for values in (found.running, found.waiting, found.kv_cache):
        assert np.isnan(values).all()
        assert values.size == 3


def test_no_file_a_link_and_a_huge_file_are_none(tmp_path: Path) -> None:
    assert read_engine_load(tmp_path / "none") is None
    read(tmp_path / "f", line())
    (tmp_path / "link").symlink_to(tmp_path / "f")
    assert read_engine_load(tmp_path / "link") is None
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(load.MAX_BYTES + 1)
    assert read_engine_load(tmp_path / "huge") is None


@given(st.binary(max_size=300))
def test_no_content_breaks_it(tmp_path_factory: object, content: bytes) -> None:
    path = tmp_path_factory.mktemp("loads") / "f"  # type: ignore[attr-defined]
    path.write_bytes(content)
    found = read_engine_load(path)
    assert found is not None
    assert found.at_s.size == found.kv_cache.size
