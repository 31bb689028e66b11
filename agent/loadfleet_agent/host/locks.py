"""Locks that keep a second run off the same data folder and the same GPUs.

A lock is held by a file descriptor and ends with the process, however that ends: no pid
file can go stale. The file's text says who holds it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import IO

GPU_LOCKS = Path("/run/lock")
PROBE_S = 2.0
"""A probe (see holder) may hold the lock for an instant; only who holds it longer is a run."""


class Busy(RuntimeError):
    """Someone else holds the lock; the text says who."""


class RunLocks:
    """All locks of one run: its data folder and every GPU. Held until close()."""

    def __init__(self, home: Path, gpu_uuids: tuple[str, ...], owner: dict[str, str]) -> None:
        self._held: list[IO[str]] = []
        paths = [home / "run.lock"]
        paths += [GPU_LOCKS / f"loadfleet-{uuid}.lock" for uuid in gpu_uuids]
        try:
            for path in paths:
                self._held.append(_acquire(path, owner))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for stream in self._held:
            stream.close()
        self._held.clear()


def holder(home: Path) -> dict[str, str] | None:
    """Who runs in this data folder now, or None if nobody does."""
    try:
        with (home / "run.lock").open(encoding="utf-8") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _owner(stream)
    except FileNotFoundError:
        pass
    return None


def _acquire(path: Path, owner: dict[str, str]) -> IO[str]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    stream = os.fdopen(descriptor, "r+", encoding="utf-8")
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


def _owner(stream: IO[str]) -> dict[str, str]:
    stream.seek(0)
    try:
        value = json.load(stream)
    except ValueError:
        return {}
    return {str(key): str(item) for key, item in value.items()} if isinstance(value, dict) else {}
