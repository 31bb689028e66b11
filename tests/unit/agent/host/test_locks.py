"""Locks keep runs apart, also those of other users and of containers."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from loadfleet_agent.host import locks
from loadfleet_agent.host.locks import Busy, RunLocks, holder, make_run_lock, run_lock
from waiting import LONG_S

NOBODY = 65534
OWNER = {"run_id": "first", "since": "2026-01-01T00:00:00Z", "pid": "1", "unit": ""}
AS_ANOTHER = """
import os, sys
from pathlib import Path
from loadfleet_agent.host import locks
from loadfleet_agent.host.locks import Busy, RunLocks
os.setgroups([]); os.setgid({user}); os.setuid({user})
locks.GPU_LOCKS = Path(sys.argv[2])
try:
    held = RunLocks(Path(sys.argv[1]), ("GPU-1", "GPU-2"), {{"run_id": "other"}})
except Busy as error:
    sys.exit(str(error))
print("held", flush=True)
sys.stdin.read()
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that every user can enter; its ``locks`` is where the locks of GPUs are."""
    made = Path(tempfile.mkdtemp(prefix="loadfleet-"))
    made.chmod(0o777)
    monkeypatch.setattr(locks, "GPU_LOCKS", made / "locks")
    yield made
    shutil.rmtree(made)


def _home(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    made.chmod(0o777)
    return made


def _another_user(folder: Path, home: Path) -> subprocess.Popen[str]:
    """A process of another user that takes the same GPUs and holds them until its input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", AS_ANOTHER.format(user=NOBODY), home, folder / "locks"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_who_holds_the_lock_is_told(folder: Path) -> None:
    assert holder(folder) is None
    held = RunLocks(folder, (), OWNER)
    assert holder(folder) == OWNER
    held.close()
    assert holder(folder) is None
    assert json.loads(run_lock(folder).read_text()) == OWNER


def test_a_second_data_folder_does_not_get_the_same_gpu(folder: Path) -> None:
    held = RunLocks(_home(folder, "a"), ("GPU-1",), OWNER)
    with pytest.raises(Busy, match="busy: run first, since 2026"):
        RunLocks(_home(folder, "b"), ("GPU-2", "GPU-1"), {"run_id": "second"})
    # What it had got before is free again.
    assert holder(folder / "b") is None
    RunLocks(_home(folder, "c"), ("GPU-2",), OWNER).close()
    held.close()
    RunLocks(folder / "b", ("GPU-2", "GPU-1"), OWNER).close()


@needs_root
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_root_and_another_user_lock_the_same_files(folder: Path, mask: int) -> None:
    """In turn, whoever made them; where fs.protected_regular is on, the kernel watches too."""
    before = os.umask(mask)
    try:
        held = RunLocks(_home(folder, "root"), ("GPU-1",), OWNER)
    finally:
        os.umask(before)
    assert (folder / "locks").stat().st_mode & 0o7777 == 0o1777
    home = _home(folder, "other")
    refused = _another_user(folder, home)
    _, errors = refused.communicate(timeout=LONG_S)
    assert errors.startswith("busy: run first"), errors
    held.close()

    other = _another_user(folder, home)
    assert other.stdin is not None
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    assert (folder / "locks" / "GPU-2.lock").stat().st_uid == NOBODY
    assert holder(home) == {"run_id": "other"}
    with pytest.raises(Busy, match="busy: run other"):
        RunLocks(folder / "root", ("GPU-2",), OWNER)
    other.stdin.close()
    assert other.wait(timeout=LONG_S) == 0
    RunLocks(folder / "root", ("GPU-1", "GPU-2"), OWNER).close()


def test_a_link_that_another_user_has_put_there_is_not_followed(folder: Path) -> None:
    precious = folder / "precious"
    precious.write_text("kept")
    (folder / "locks").mkdir()
    (folder / "locks" / "GPU-1.lock").symlink_to(precious)
    with pytest.raises(OSError, match="symbolic links"):
        RunLocks(folder, ("GPU-1",), OWNER)
    assert precious.read_text() == "kept"
    assert holder(folder) is None


def test_whoever_watches_may_read_the_lock_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        assert make_run_lock(tmp_path) == run_lock(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(run_lock(tmp_path).stat().st_mode) == 0o644
