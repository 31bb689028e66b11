"""Locks that keep a second run off the same data folder and the same GPUs.

A lock is held by a file descriptor and ends with the process, however that ends: no pid
file can go stale. The file's text says who holds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

GPU_LOCKS = Path("/run/lock/loadfleet")
"""A folder of its own, so that it can be mounted into a container alone. Root on the host, the
container's user and anyone else lock the same files in it: the folder is 1777, the files 0666."""
PROBE_S = 2.0
"""A probe (see holder) may hold the lock for an instant; only who holds it longer is a run."""


class Busy(RuntimeError):
    """Someone else holds the lock; the text says who."""


class RunLocks:
    """All locks of one run: its data folder and every GPU. Held until close()."""

    def __init__(self, home: Path, gpu_uuids: tuple[str, ...], owner: dict[str, str]) -> None:
        self._held: list[IO[str]] = []
        try:
            self._held.append(_acquire(run_lock(home), owner, 0o644))
            for uuid in gpu_uuids:
                self._held.append(_acquire(gpu_locks() / f"{uuid}.lock", owner, 0o666))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for stream in self._held:
            stream.close()
        self._held.clear()


def make_run_lock(home: Path) -> Path:
    """The file that is locked, which all may read: who watches sees by it whether a run lives."""
    path = run_lock(home)
    os.close(_open(path, 0o644))
    return path


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Waits until nobody else has locked the folder itself, so that no file is left for it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def starting(home: Path) -> Iterator[None]:
    """One start at a time: of two operators the second finds what the first has started."""
    home.mkdir(parents=True, exist_ok=True)
    with locked_folder(home):
        yield


def run_lock(home: Path) -> Path:
    """The file that who runs in this data folder has locked."""
    return home / "run.lock"


def holder(home: Path) -> dict[str, str] | None:
    """Who runs in this data folder now, or None if nobody does."""
    try:
        with run_lock(home).open(encoding="utf-8") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _owner(stream)
    except FileNotFoundError:
        pass
    return None


def gpu_locks() -> Path:
    """The folder of the GPUs' locks, made if need be."""
    with contextlib.suppress(FileExistsError):
        GPU_LOCKS.mkdir(parents=True)
        GPU_LOCKS.chmod(0o1777)
    return GPU_LOCKS


def _acquire(path: Path, owner: dict[str, str], mode: int) -> IO[str]:
    stream = os.fdopen(_open(path, mode), "r+", encoding="utf-8")
    deadline = time.monotonic() + PROBE_S
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError as error:
            if time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            who = _owner(stream)
            stream.close()
            raise Busy(
                f"busy: run {who.get('run_id', '?')}, since {who.get('since', '?')} ({path})"
            ) from error
    stream.truncate(0)
    stream.seek(0)
    json.dump(owner, stream)
    stream.flush()
    return stream


def _open(path: Path, mode: int) -> int:
    """Opens the file, or makes it.

    Not both in one call: in a folder where all may write, the kernel (fs.protected_regular)
    refuses O_CREAT on another user's file, also to root. And no link is followed there.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW
    while True:
        with contextlib.suppress(FileNotFoundError):
            return os.open(path, flags)
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, mode)
            os.fchmod(descriptor, mode)  # whatever the umask is
            return descriptor


def _owner(stream: IO[str]) -> dict[str, str]:
    stream.seek(0)
    try:
        value = json.load(stream)
    except ValueError:
        return {}
    return {str(key): str(item) for key, item in value.items()} if isinstance(value, dict) else {}
