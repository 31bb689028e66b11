"""A Hugging Face hub cache on disk, and the record that a verified download leaves in it.

The layout is huggingface_hub's own, which every Hugging Face library reads:
``models--org--name/`` with ``blobs/<hash>``, ``snapshots/<commit>/<file>`` (links to blobs) and
``refs/<branch>``. The record is ``models--org--name/verified-<commit>.json``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from ..contract.base import Document, Frozen, Sha256, UtcTime, digest

CHUNK_BYTES = 4 << 20

FileName = Annotated[str, Field(pattern=r"^[\w-][\w.+-]*$")]
"""A file at the top of the repository: no folder, no leading dot."""
BlobId = Annotated[str, Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]
"""SHA-256 of a large file, git's own SHA-1 of a small one: the hub's ETag and the blob's name."""
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


def is_commit(revision: str) -> bool:
    """Whether a revision is a commit in full, which never moves."""
    return re.fullmatch(r"[0-9a-f]{40}", revision) is not None


class HubFile(Frozen):
    """A file of a repository as the hub describes it."""

    path: FileName
    size_bytes: int = Field(ge=0)
    blob: BlobId


class VerifiedFile(HubFile):
    """A file whose bytes on this disk had the hub's hash."""

    sha256: Sha256


class VerifiedModel(Document):
    """``verified-<commit>.json``: all files of a model were here with the hashes of the hub."""

    repo: str
    revision: Commit
    endpoint: str = Field(description="the hub or the mirror that gave names and hashes")
    verified_utc: UtcTime
    files: tuple[VerifiedFile, ...]

    @property
    def sha256(self) -> str:
        """Over names, sizes and hashes: equal on every host that has the same model."""
        return digest({item.path: [item.size_bytes, item.sha256] for item in self.files})

    @property
    def size_bytes(self) -> int:
        return sum(item.size_bytes for item in self.files)

    def differing(self, folder: Path) -> str | None:
        """The first file in ``folder`` that is gone or has another size, in words; else None."""
        for item in self.files:
            path = folder / item.path
            size = path.stat().st_size if path.is_file() else None
            if size != item.size_bytes:
                found = "not there" if size is None else f"{size} bytes"
                return f"{path}: {found}, verified were {item.size_bytes} bytes"
        return None


def repository_folder(cache: Path, repo: str) -> Path:
    """Where a cache holds the model repository ``org/name``."""
    return cache / f"models--{repo.replace('/', '--')}"


def snapshot_folder(repository: Path, commit: str) -> Path:
    """The folder that is the model at a commit."""
    return repository / "snapshots" / commit


def record_path(repository: Path, commit: str) -> Path:
    """Where the record of a verified download is."""
    return repository / f"verified-{commit}.json"


def read_record(repository: Path, commit: str) -> VerifiedModel | None:
    """The record of a verified download; None if there is none that can be read."""
    try:
        found = VerifiedModel.model_validate_json(record_path(repository, commit).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None
    return found if found.revision == commit else None


def hash_file(path: Path, blob: str, read: Callable[[int], None]) -> tuple[str, str]:
    """SHA-256 of a file, and what its name as a blob should be (see BlobId) by its content.

    ``read`` is told how many bytes have been hashed so far; what it raises ends the work.
    """
    small = hashlib.sha1(usedforsecurity=False) if len(blob) == 40 else None
    if small is not None:
        small.update(b"blob %d\0" % path.stat().st_size)
    sha256 = hashlib.sha256()
    done = 0
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            sha256.update(chunk)
            if small is not None:
                small.update(chunk)
            done += len(chunk)
            read(done)
    return sha256.hexdigest(), (small or sha256).hexdigest()
