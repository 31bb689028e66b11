"""Writing files so that a reader sees the old or the new one, and reading those of others."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, TextIO

from pydantic import BaseModel

FOR_ALL = 0o644
"""Mode of what a watcher reads without becoming root: how far a run is, never a text of it."""
FOLDER_FOR_ALL = 0o755
PASSABLE_FOLDER = 0o711
"""Mode of a folder with files of both kinds: one for all is read by who knows its name."""
PRIVATE = 0o600
"""Mode of what holds, or may hold, a prompt, an answer or a secret."""
PRIVATE_FOLDER = 0o700


def write_atomic(path: Path, data: str | bytes, *, mode: int | None = None) -> None:
    """Replaces ``path``; after a power loss too, it holds the old or the new content.

    ``mode``: of the file, whatever the umask is; None: as the umask says.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    content = data.encode() if isinstance(data, str) else data
    try:
        with temporary.open("wb") as stream:
            if mode is not None:
                os.fchmod(stream.fileno(), mode)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def write_model(path: Path, model: BaseModel, *, mode: int | None = None) -> None:
    """A model as JSON, two spaces deep, replaced atomically; ``mode`` as above."""
    write_atomic(path, model.model_dump_json(indent=2) + "\n", mode=mode)


def append_for_all(path: Path) -> TextIO:
    """Opened to append text that a watcher reads without becoming root, whatever the umask is."""
    stream = path.open("a", encoding="utf-8")
    if stat.S_IMODE(os.fstat(stream.fileno()).st_mode) != FOR_ALL:
        os.fchmod(stream.fileno(), FOR_ALL)
    return stream


def folder_for_all(path: Path) -> None:
    """Makes a folder that all may look into, whatever the umask is. One that is there is left."""
    _make(path, FOLDER_FOR_ALL)


def passable_folder(path: Path) -> None:
    """Makes a folder that others reach known files in, but see no names of. One there is left."""
    _make(path, PASSABLE_FOLDER)


def private_folder(path: Path) -> None:
    """Makes a folder that nobody else may look into. One that is there is left."""
    _make(path, PRIVATE_FOLDER)


def _make(path: Path, mode: int) -> None:
    missing = [part for part in (path, *path.parents) if not part.exists()]
    for part in reversed(missing):
        part.mkdir(exist_ok=True)
        part.chmod(mode)


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
