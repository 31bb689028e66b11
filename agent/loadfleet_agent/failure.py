"""The one exception by which a phase ends a run with a reason."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from .contract.status import FailureCode


class RunFailure(Exception):
    """A run cannot go on. ``code`` is stable; the text says what and where."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


FULL_BYTES = 1 << 16
"""A disk with less free space is full: what writes in larger pieces has failed already."""


def explain_os_error(error: OSError, where: Path) -> tuple[FailureCode, str]:
    """Code and text of an operating system's error; ``where`` if it names no file itself."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    code = FailureCode.NO_SPACE if full else FailureCode.INTERNAL
    return code, f"{error.filename or where}: {error.strerror or error}"


def require_space(folder: Path) -> None:
    """Raises RunFailure (no-space) if the disk is full.

    To be asked where a file is not whole that another wrote: LoadGen does not tell such errors.
    """
    if shutil.disk_usage(folder).free < FULL_BYTES:
        raise RunFailure(FailureCode.NO_SPACE, f"{folder}: {os.strerror(errno.ENOSPC)}")
