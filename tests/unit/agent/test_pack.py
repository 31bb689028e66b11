"""The archive of a run is the same bytes whenever it is made."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from loadfleet_agent.pack import pack_run


def test_the_same_files_are_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two operators collect at once: the one's archive replaces that which the other fetches."""
    folder = tmp_path / "run"
    (folder / "phases").mkdir(parents=True)
    (folder / "phases" / "phase.json").write_text("{}")
    (folder / "result.json").write_text("{}" * 1000)
    target = tmp_path / "collected.tar.gz"
    pack_run(folder, target, accuracy_logs=False)
    first = target.read_bytes()
    later = time.time() + 3600
    monkeypatch.setattr(time, "time", lambda: later)
    pack_run(folder, target, accuracy_logs=False)
    assert target.read_bytes() == first
    assert sorted(path.name for path in tmp_path.glob("*.tmp")) == []
