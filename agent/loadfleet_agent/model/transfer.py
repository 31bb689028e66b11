"""Puts the files of a model into a hub cache, verified, wherever their bytes come from.

A file grows as ``blobs/<hash>.incomplete``, which a later attempt takes up, and becomes a blob when
its bytes have the hash. When all have, the snapshot is linked and the record is written.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from pathlib import Path
from typing import Literal, TypeVar

from ..contract.base import Frozen, Sha256, utc_now
from ..contract.files import write_model
from ..contract.status import FailureCode
from ..failure import RunFailure
from .hub_cache import (
    CHUNK_BYTES,
    HubFile,
    VerifiedFile,
    VerifiedModel,
    hash_file,
    is_commit,
    read_record,
    record_path,
    repository_folder,
    snapshot_folder,
)

FREE_MARGIN_BYTES = 1 << 30
"""So much of the disk is left free: a full disk stops more than this download."""
PARALLEL = 8
TELL_EVERY_S = 10.0

Tell = Callable[[str], None]
F = TypeVar("F")
T = TypeVar("T")


class ModelInCache(Frozen):
    """A model that is in the cache, whole and verified."""

    how: Literal["downloaded", "copied", "present"]
    repo: str
    revision: str
    folder: str
    files: int
    bytes: int
    verified_sha256: Sha256


class Stopped(Exception):
    """Another file has failed, or the user has interrupted: this one need not go on."""


class Progress:
    """How many bytes of which file are here; tells it on one line, at most every 10 s."""

    def __init__(self, files: Collection[HubFile], tell: Tell) -> None:
        self._files, self._tell = files, tell
        self._total = sum(item.size_bytes for item in files)
        self._at: dict[str, int] = {}
        self._ended = 0
        self._last_s, self._last_bytes = time.monotonic(), 0
        self._stop = threading.Event()

    def begin(self, doing: str, here: dict[str, int]) -> None:
        """The work begins; ``here`` are the bytes of each path that are done before it."""
        self._at = dict(here)
        self._last_s, self._last_bytes = time.monotonic(), self._done
        before = f", {self._done / 1e9:.2f} GB of it here already" if self._done else ""
        self._tell(f"{doing} {len(self._files)} files, {self._total / 1e9:.2f} GB{before}")

    def at(self, path: str, position: int) -> None:
        """A file has come so far. Raises Stopped if the work shall not go on."""
        self.check(position)
        self._at[path] = position

    def check(self, _: int) -> None:
        """Raises Stopped if the work shall not go on."""
        if self._stop.is_set():
            raise Stopped

    def ended(self) -> None:
        """A file is here and verified."""
        self._ended += 1

    def stop(self) -> None:
        """Ends every file at its next piece."""
        self._stop.set()

    @property
    def wait_s(self) -> float:
        """Seconds until there is something to tell."""
        return max(0.0, self._last_s + TELL_EVERY_S - time.monotonic())

    def tell_if_due(self) -> None:
        """Says how far it is, if that was not said in the last 10 s."""
        if self.wait_s > 0:
            return
        now, done = time.monotonic(), self._done
        rate = max(0, done - self._last_bytes) / (now - self._last_s)
        self._last_s, self._last_bytes = now, done
        left = f"{(self._total - done) / rate:.0f} s left" if rate else "waiting"
        self._tell(
            f"{self._ended} of {len(self._files)} files, {done / 1e9:.2f} of "
            f"{self._total / 1e9:.2f} GB, {rate / 1e6:.0f} MB/s, {left}"
        )

    @property
    def _done(self) -> int:
        return sum(list(self._at.values()))


class Partial(io.FileIO):
    """The unfinished file of a blob, at its end: who fills it need not know how far it was."""

    def __init__(self, path: Path, came: Callable[[int], None]) -> None:
        super().__init__(path, "ab")
        self._came = came

    def write(self, data: bytes) -> int:  # type: ignore[override]
        view = memoryview(data)
        try:
            while view:  # the last piece before a full disk is written in part
                view = view[super().write(view) :]
        except OSError as error:
            error.filename = str(self.name)  # says which disk is full
            raise
        self._came(self.tell())
        return len(data)


Read = Callable[[HubFile, Partial], None]
"""Appends what is missing of a file."""


@contextlib.contextmanager
def alone(folder: Path, tell: Tell) -> Iterator[None]:
    """One process at a time downloads into the folder. The lock ends with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".download.lock").open("ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f"another process downloads into {folder}: waiting for it")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def present(
    repository: Path, repo: str, commit: str, tell: Tell, *, rehash: bool = False
) -> ModelInCache | None:
    """The model if it is recorded and its files have their sizes; with ``rehash``, their bytes."""
    record = read_record(repository, commit)
    folder = snapshot_folder(repository, commit)
    if record is None or record.repo != repo or record.differing(folder):
        return None
    if rehash:
        _rehash(record, folder, repository, tell)
    return _answer(repository, record, "present")


def _rehash(record: VerifiedModel, folder: Path, repository: Path, tell: Tell) -> None:
    progress = Progress(record.files, tell)
    progress.begin("hashing", {})
    start_s = time.monotonic()

    def work(file: VerifiedFile) -> None:
        path = (folder / file.path).resolve()
        _verify(path, file, lambda position: progress.at(file.path, position))
        progress.ended()

    try:
        _in_parallel(work, record.files, progress)
    except RunFailure:
        with contextlib.suppress(OSError):  # a shared cache may be read-only
            record_path(repository, record.revision).unlink()
        raise
    rate = record.size_bytes / 1e6 / (time.monotonic() - start_s)
    tell(f"hashed {record.size_bytes / 1e9:.2f} GB at {rate:.0f} MB/s: all as recorded")


def bring(
    repository: Path, files: Sequence[HubFile], read: Read, tell: Tell
) -> tuple[VerifiedFile, ...]:
    """Every file of these in ``blobs/``, read if it is not there, and verified.

    Raises RunFailure: no-space before anything is read; model-corrupt, with the bad file removed;
    and what ``read`` raises.
    """
    blobs = repository / "blobs"
    blobs.mkdir(exist_ok=True)
    # Files of equal bytes are one blob. The largest first: it should not be the last to begin.
    unique = sorted({item.blob: item for item in files}.values(), key=lambda item: -item.size_bytes)
    here = {item.path: _size_here(blobs / item.blob, item.size_bytes) for item in unique}
    missing = sum(item.size_bytes - here[item.path] for item in unique)
    require_space(blobs, missing)
    progress = Progress(unique, tell)
    progress.begin("fetching", here)
    hashes = _in_parallel(
        lambda item: _bring_blob(blobs / item.blob, item, read, progress), unique, progress
    )
    sha256 = {item.blob: value for item, value in zip(unique, hashes, strict=True)}
    return tuple(
        VerifiedFile(
            path=item.path, size_bytes=item.size_bytes, blob=item.blob, sha256=sha256[item.blob]
        )
        for item in files
    )


def require_space(folder: Path, missing: int) -> None:
    """Raises RunFailure (no-space) unless so many bytes find room and a margin stays free."""
    free = shutil.disk_usage(folder).free
    if missing > 0 and free < missing + FREE_MARGIN_BYTES:
        raise RunFailure(
            FailureCode.NO_SPACE,
            f"{folder}: {missing / 1e9:.2f} GB are to come and {FREE_MARGIN_BYTES / 1e9:.2f} GB "
            f"must stay free, but {free / 1e9:.2f} GB are free",
        )


def _bring_blob(blob: Path, file: HubFile, read: Read, progress: Progress) -> str:
    """SHA-256 of the blob, which then has the content of its name and is on the disk."""
    if _size(blob) == file.size_bytes:
        digest = _verify(blob, file, progress.check)
        progress.ended()
        return digest
    partial = _partial(blob)
    if _size(partial) > file.size_bytes:
        partial.unlink()
    with Partial(partial, lambda position: progress.at(file.path, position)) as stream:
        read(file, stream)
        os.fsync(stream.fileno())
    if (size := _size(partial)) != file.size_bytes:
        partial.unlink()
        raise RunFailure(
            FailureCode.MODEL_CORRUPT,
            f"{file.path}: {size} bytes came, {file.size_bytes} are right; removed",
        )
    digest = _verify(partial, file, progress.check)
    partial.replace(blob)
    progress.ended()
    return digest


def _verify(path: Path, file: HubFile, read: Callable[[int], None]) -> str:
    """SHA-256 of ``path``; if it has not the hub's hash, it is removed."""
    sha256, found = hash_file(path, file.blob, read)
    if found == file.blob:
        return sha256
    with contextlib.suppress(OSError):  # a shared cache may be read-only
        path.unlink()
    left = "still there" if path.exists() else "removed"
    raise RunFailure(
        FailureCode.MODEL_CORRUPT,
        f"{file.path}: its hash is {found}, {file.blob} is right; {path} is {left}",
    )


def complete(
    repository: Path,
    repo: str,
    commit: str,
    endpoint: str,
    files: tuple[VerifiedFile, ...],
    how: Literal["downloaded", "copied"],
) -> ModelInCache:
    """Links the snapshot to the blobs, then says by the record that it is whole."""
    snapshot = snapshot_folder(repository, commit)
    # resolve_model takes a folder with config.json for a model: until that link, it is none.
    for file in sorted(files, key=lambda item: item.path == "config.json"):
        link_blob(snapshot / file.path, repository / "blobs" / file.blob)
    record = VerifiedModel(
        repo=repo, revision=commit, endpoint=endpoint, verified_utc=utc_now(), files=files
    )
    write_model(record_path(repository, commit), record)
    return _answer(repository, record, how)


def link_blob(link: Path, blob: Path) -> None:
    """A relative symbolic link to the blob, put in its place in one step."""
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(blob, link.parent))
    temporary.replace(link)


def copy_model(
    repo: str, revision: str, cache: Path, source: Path, *, rehash: bool = False, tell: Tell
) -> ModelInCache:
    """The model in ``cache``, taken from ``source``: a hub cache that another host has filled.

    ``source`` (or its folder ``models--org--name``) must hold the record of the verified download;
    every file is hashed against it here. On one file system blobs are hard links, no copies. If
    ``source`` is ``cache``, the model is only verified. Never asks the network. Raises RunFailure
    as download_model does.
    """
    if not is_commit(revision):
        raise RunFailure(FailureCode.BAD_PLAN, f"revision {revision} of {repo} is not a commit")
    repository = repository_folder(cache, repo)
    if found := present(repository, repo, revision, tell, rehash=rehash):
        return found
    origin = repository_folder(source, repo)
    if source.name == origin.name:
        origin = source
    record = read_record(origin, revision)
    if record is None or record.repo != repo:
        raise RunFailure(
            FailureCode.MODEL_MISSING,
            f"{record_path(origin, revision)}: no record of a verified download of {repo}",
        )
    folder = snapshot_folder(origin, revision)
    if problem := record.differing(folder):
        raise RunFailure(FailureCode.MODEL_CORRUPT, problem)

    def read(file: HubFile, partial: Partial) -> None:
        with (folder / file.path).open("rb") as stream:
            stream.seek(partial.tell())
            shutil.copyfileobj(stream, partial, CHUNK_BYTES)

    with alone(repository, tell):
        if found := present(repository, repo, revision, tell):
            return found
        _link_blobs(folder, repository / "blobs", record.files)
        verified = bring(repository, record.files, read, tell)
        return complete(repository, repo, revision, record.endpoint, verified, "copied")


def _answer(
    repository: Path, record: VerifiedModel, how: Literal["downloaded", "copied", "present"]
) -> ModelInCache:
    return ModelInCache(
        how=how,
        repo=record.repo,
        revision=record.revision,
        folder=str(snapshot_folder(repository, record.revision)),
        files=len(record.files),
        bytes=record.size_bytes,
        verified_sha256=record.sha256,
    )


def _link_blobs(folder: Path, blobs: Path, files: Sequence[HubFile]) -> None:
    """Hard-links what is missing in ``blobs`` as unfinished, to be verified, where it can be."""
    blobs.mkdir(exist_ok=True)
    if folder.stat().st_dev != blobs.stat().st_dev:
        return
    for file in files:
        if _size(blobs / file.blob) != file.size_bytes:
            partial = _partial(blobs / file.blob)
            partial.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # a file system without hard links
                partial.hardlink_to((folder / file.path).resolve())


def _partial(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}.incomplete")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _size_here(blob: Path, wanted: int) -> int:
    """Bytes of a blob that need not come again."""
    if _size(blob) == wanted:
        return wanted
    partial = _size(_partial(blob))
    return partial if 0 <= partial <= wanted else 0


def _in_parallel(work: Callable[[F], T], items: Sequence[F], progress: Progress) -> list[T]:
    """What ``work`` gives for each item. The first failure ends the others."""
    jobs = [(item, Future[T]()) for item in items]
    queue = iter(jobs)  # of a list: next() is atomic

    def serve() -> None:
        for item, future in queue:
            try:
                progress.check(0)
                future.set_result(work(item))
            except BaseException as error:
                future.set_exception(error)

    # Daemons, which no ThreadPoolExecutor has: an interrupted command must not wait for a server.
    threads = [threading.Thread(target=serve, daemon=True) for _ in range(PARALLEL)]
    for thread in threads:
        thread.start()
    try:
        pending = {future for _, future in jobs}
        while pending:
            done, pending = wait(pending, progress.wait_s, FIRST_EXCEPTION)
            for future in done:
                future.result()
            progress.tell_if_due()
    except BaseException as error:
        progress.stop()
        if isinstance(error, Exception):  # the same process may try again
            for thread in threads:
                thread.join()
        raise
    return [future.result() for _, future in jobs]
