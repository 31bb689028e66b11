"""A way to one host that commands go through, and the one to this machine."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Protocol

CHUNK = 1 << 16
STEP_S = 0.5


class LinkError(RuntimeError):
    """A host is not reached, or the link broke; one line that says what and what to do."""


@dataclass(frozen=True)
class Piece:
    """Bytes that a command wrote, or (the last piece) its exit code."""

    data: bytes = b""
    is_error: bool = False
    code: int | None = None


class Link(Protocol):
    """A way to one host."""

    def stream(self, command: str, given: bytes, limit_s: float | None) -> Iterator[Piece]:
        """Runs a command; what it writes, as it comes, then its exit code.

        ``given``: its standard input. Raises LinkError, also after ``limit_s`` seconds.
        """

    def close(self) -> None: ...


@dataclass
class Deadline:
    limit_s: float | None

    def __post_init__(self) -> None:
        self._until = None if self.limit_s is None else time.monotonic() + self.limit_s

    def step_s(self) -> float:
        """How long to wait now. Raises LinkError when the time is over."""
        if self._until is None:
            return STEP_S
        left = self._until - time.monotonic()
        if left <= 0:
            raise LinkError(f"no end of the command in {self.limit_s:.0f} s")
        return min(left, STEP_S)


class LocalLink:
    """This machine, for hosts with ``ansible_connection: local``."""

    def __init__(self) -> None:
        self._processes: set[subprocess.Popen[bytes]] = set()

    def stream(self, command: str, given: bytes, limit_s: float | None) -> Iterator[Piece]:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is for this program alone
        )
        self._processes.add(process)
        try:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(given)
                process.stdin.close()
            yield from _read_process(process, Deadline(limit_s))
        finally:
            self._processes.discard(process)
            end_process(process)

    def close(self) -> None:
        for process in list(self._processes):
            end_process(process)


def _read_process(process: subprocess.Popen[bytes], deadline: Deadline) -> Iterator[Piece]:
    assert process.stdout is not None
    assert process.stderr is not None
    streams: list[IO[bytes]] = [process.stdout, process.stderr]
    while streams:
        ready, _, _ = select.select(streams, [], [], deadline.step_s())
        for stream in ready:
            if data := os.read(stream.fileno(), CHUNK):
                yield Piece(data, is_error=stream is process.stderr)
            else:
                streams.remove(stream)
        deadline.step_s()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            yield Piece(code=process.wait(timeout=deadline.step_s()))
            return


def end_process(process: subprocess.Popen[bytes]) -> None:
    """Ends it and all that it started; it has a session of its own."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, 15)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=2)
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, 9)
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
