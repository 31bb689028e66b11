"""Where the output of a run goes, that of native code and child processes too."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path


def log_to(path: Path) -> None:
    """All output to a file, that of native code and of child processes too."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """The log of a run, its processes' too, must not mix with a result in JSON."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
