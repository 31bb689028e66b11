"""One moment for all hosts of a run, agreed on by the processes that watch them.

Each host is watched by a process of its own on the controller, over its own connection. The
processes agree through files in a folder of this attempt at the run, so that what a killed playbook
has left misleads nobody:

    hosts/<host>.json   where the host is, replaced by its watcher at each change
    hosts/<host>.lock   held by its watcher for as long as that lives
    <phase>.lock        held by the one watcher that looks at all hosts for this phase
    <phase>.json        the moment, made once and never changed

All times are the controller's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import IO

from loadfleet_agent.contract.base import Document, Frozen, UtcTime, utc_now
from loadfleet_agent.contract.files import private_folder, write_model
from pydantic import Field, ValidationError

STARTS = "starts"
"""Folder in the run's on the controller: <phase>/<host>.json, a HostStart."""
LEAD_S = 12.0
"""From the decision to the moment: a command on each host, which may be busy, and LoadGen made
ready there. A host that is told too late spoils the common start; some seconds cost nothing."""
LEAD_PER_HOST_S = 0.1
"""A small controller opens so many connections one after the other."""
LOOK_S = 0.2
LOOK_PER_HOST_S = 0.002


class Where(Frozen):
    """hosts/<host>.json: what a watcher knows of its host."""

    barrier: str | None = Field(description="the phase that it is ready to start")
    ahead: tuple[str, ...] | None = Field(description="phases it will wait before; None: unknown")
    since_s: float = Field(description="of the controller's monotonic clock, when it came there")
    round_trip_s: float = Field(description="of a command on the host")
    ended: str = Field(default="", description="how its run ended, or ''")


class CommonStart(Document):
    """<phase>.json: which hosts start at which moment."""

    phase: str
    at_utc: UtcTime
    hosts: tuple[str, ...]
    without: dict[str, str] = Field(description="hosts that take no part, and why")


class HostStart(Document):
    """What a host was told for one phase."""

    host: str
    phase: str
    at_utc: UtcTime | None = Field(description="the common moment; None: it started by itself")
    reason: str = Field(description="why it started by itself, or ''")


class Rendezvous:
    """One host's part in the agreement. ``close`` it when the host is watched no more."""

    def __init__(self, folder: Path, host: str, participants: Sequence[str], wait_s: float) -> None:
        """``participants``: all hosts whose run was started. ``wait_s``: those that are ready
        wait so long for the others, from the first one on."""
        self._folder, self._host, self._participants = folder, host, tuple(participants)
        self._wait_s = wait_s
        self._hosts = folder / "hosts"
        private_folder(self._hosts)
        self._alive = _locked(self._hosts / f"{host}.lock")
        self._looking: dict[str, IO[str]] = {}
        self._looked_s = float("-inf")
        self._where: Where | None = None

    def tell(self, barrier: str | None, ahead: Sequence[str] | None, round_trip_s: float) -> None:
        """Where the host is now."""
        coming = None if ahead is None else tuple(ahead)
        before = self._where
        if before is not None and (before.barrier, before.ahead) == (barrier, coming):
            return
        self._write(
            Where(
                barrier=barrier,
                ahead=coming,
                since_s=time.monotonic(),
                round_trip_s=round_trip_s,
            )
        )
        for phase in [name for name in self._looking if name != barrier]:
            self._looking.pop(phase).close()

    def leave(self, why: str) -> None:
        """The host's run has ended, however it did."""
        self._write(
            Where(barrier=None, ahead=(), since_s=time.monotonic(), round_trip_s=0.0, ended=why)
        )

    def close(self) -> None:
        for stream in (*self._looking.values(), self._alive):
            stream.close()
        self._looking.clear()

    def decided(self, phase: str) -> CommonStart | None:
        """The moment of a phase that the host is ready for, as soon as there is one.

        Cheap while there is none: of all watchers one looks at the hosts.
        """
        if (made := self._read_decision(phase)) is not None:
            return made
        interval = LOOK_S + LOOK_PER_HOST_S * len(self._participants)
        if time.monotonic() - self._looked_s < interval or not self._looks(phase):
            return None
        self._looked_s = time.monotonic()
        if (start := self._decide(phase)) is not None:
            self._make(start)
        return self._read_decision(phase)

    # Deciding.

    def _looks(self, phase: str) -> bool:
        """Whether this watcher is the one that looks at all hosts for the phase."""
        if phase not in self._looking:
            stream = (self._folder / f"{phase}.lock").open("w")
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                stream.close()
                return False
            self._looking[phase] = stream
        return True

    def _decide(self, phase: str) -> CommonStart | None:
        ready: dict[str, Where] = {}
        without: dict[str, str] = {}
        awaited: list[str] = []
        for name in self._participants:
            where = self._read(name)
            if where is not None and where.barrier == phase:
                ready[name] = where
            elif where is not None and where.ended:
                without[name] = where.ended
            elif where is not None and not self._is_watched(name):
                without[name] = "its watch on the controller has ended"
            elif where is None or where.ahead is None or phase in where.ahead:
                awaited.append(name)
            # Any other has this phase behind it, or not in its plan.
        if not ready:
            return None
        waited_s = time.monotonic() - min(where.since_s for where in ready.values())
        if awaited and waited_s < self._wait_s:
            return None
        without |= dict.fromkeys(awaited, f"not ready {waited_s:.0f} s after the first host")
        slowest_s = max(where.round_trip_s for where in ready.values())
        lead_s = LEAD_S + 3 * slowest_s + LEAD_PER_HOST_S * len(ready)
        return CommonStart(
            phase=phase,
            at_utc=utc_now() + timedelta(seconds=lead_s),
            hosts=tuple(ready),
            without=without,
        )

    def _make(self, start: CommonStart) -> None:
        """Whole and once: a second one, of whoever, changes nothing."""
        path = self._folder / f"{start.phase}.json"
        temporary = path.with_name(f".{start.phase}.{self._host}.tmp")
        temporary.write_text(start.model_dump_json(indent=2) + "\n", encoding="utf-8")
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
        temporary.unlink()

    # Files.

    def _write(self, where: Where) -> None:
        self._where = where
        write_model(self._hosts / f"{self._host}.json", where)

    def _read(self, host: str) -> Where | None:
        try:
            return Where.model_validate_json((self._hosts / f"{host}.json").read_bytes())
        except (OSError, ValidationError):
            return None

    def _read_decision(self, phase: str) -> CommonStart | None:
        try:
            return CommonStart.model_validate_json((self._folder / f"{phase}.json").read_bytes())
        except (OSError, ValidationError):
            return None

    def _is_watched(self, host: str) -> bool:
        """Whether its watcher lives: the lock is the kernel's, so it cannot be stale."""
        with (self._hosts / f"{host}.lock").open() as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False


def note_start(folder: Path, start: HostStart) -> None:
    """Keeps in the run's folder what a host was told."""
    path = _start_path(folder, start.phase, start.host)
    private_folder(path.parent)
    write_model(path, start)


def read_start(folder: Path, phase: str, host: str) -> HostStart | None:
    """What the host was told at last, or None."""
    try:
        return HostStart.model_validate_json(_start_path(folder, phase, host).read_bytes())
    except (OSError, ValidationError):
        return None


def _start_path(folder: Path, phase: str, host: str) -> Path:
    return folder / STARTS / phase / f"{host}.json"


def _locked(path: Path) -> IO[str]:
    """A file of this name that is locked from its first moment on."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    stream = temporary.open("w")
    fcntl.flock(stream, fcntl.LOCK_EX)
    temporary.rename(path)
    return stream
