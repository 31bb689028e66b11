"""Writing files so that a reader sees the old or the new one, and reading those of others."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel


def write_atomic(path: Path, data: str | bytes) -> None:
    """Replaces ``path``; after a power loss too, it holds the old or the new content."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    content = data.encode() if isinstance(data, str) else data
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def write_model(path: Path, model: BaseModel) -> None:
    """A model as JSON, two spaces deep, replaced atomically."""
    write_atomic(path, model.model_dump_json(indent=2) + "\n")


def open_plain(path: Path) -> BinaryIO:
    """A plain file, opened for reading. Raises OSError for any other: a link, a pipe, a device.

    Asked of what was opened, so that nobody can put something else there in between; a pipe is
    not waited for.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "a link", str(path)) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return os.fdopen(descriptor, "rb")


def read_plain(path: Path, most_bytes: int) -> bytes:
    """All of a plain file. Raises OSError as above, and where it has more bytes, also while it
    grows under our eyes."""
    with open_plain(path) as stream:
        data = stream.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise OSError(errno.EFBIG, f"larger than {most_bytes:,} bytes", str(path))
    return data
