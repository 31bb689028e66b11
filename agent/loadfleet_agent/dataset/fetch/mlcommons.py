"""Brings MLPerf's preprocessed file from MLCommons, the way its own downloader does.

That is mlcommons/r2-downloader: ``<name>.uri`` holds the address of a folder in a bucket,
``<name>.md5`` beside it lists the folder's files with their MD5. A redirect asks for a login.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import quote, urlsplit

from ...contract.base import utc_now
from ...contract.benchmark import Suite
from ...contract.dataset import DATASET_FILES
from ...contract.files import write_model
from ...contract.status import FailureCode
from ...failure import RunFailure
from ...http import (
    checked_address,
    content_length,
    get_text,
    http_errors,
    not_as_expected,
    read_into,
)
from ...model.transfer import TELL_EVERY_S, Partial, Tell, alone, require_space
from ..origin import (
    FetchedDataset,
    MlcommonsOrigin,
    md5_and_sha256,
    mlcommons_record,
    read_mlcommons_record,
)

MLCOMMONS = "https://inference.mlcommons-storage.org/metadata"
NAMES = {
    Suite.DATACENTER: "llama3-1-8b-cnn-eval",
    Suite.EDGE: "llama3-1-8b-sample-cnn-eval-5000",
}
"""MLCommons' names of the suites' files, without .uri and .md5."""


def fetch_mlcommons(
    suite: Suite, folder: Path, *, base_url: str = MLCOMMONS, tell: Tell
) -> FetchedDataset:
    """MLPerf's file of the suite in ``folder`` with the record of its origin; fetched if need be.

    ``base_url`` is the folder of the .uri and .md5 files. A file that is there with its record is
    not asked for again, but hashed. Broken off, it goes on where it was. Raises RunFailure:
    bad-plan, dataset-missing (not there, or behind a login), dataset-invalid (another MD5; what
    came is removed), hub-unreachable, no-space.
    """
    base_url = checked_address(base_url)
    path = folder / DATASET_FILES[suite]
    with alone(folder, tell):
        record = read_mlcommons_record(path)
        if record is not None and _is_whole(path, record, tell):
            return _answer("present", path, record)
        url, md5 = _locate(base_url, NAMES[suite], path.name)
        how: Literal["downloaded", "present"] = "present"
        found, sha256 = md5_and_sha256(path) if path.is_file() else ("", "")
        if found != md5:
            how = "downloaded"
            partial = path.with_name(f"{path.name}.incomplete")
            sha256 = _download(url, partial, md5, tell)
            partial.replace(path)
        record = MlcommonsOrigin(
            file=path.name,
            url=url,
            md5=md5,
            sha256=sha256,
            size_bytes=path.stat().st_size,
            fetched_utc=utc_now(),
        )
        write_model(mlcommons_record(path), record)
        return _answer(how, path, record)


def _is_whole(path: Path, record: MlcommonsOrigin, tell: Tell) -> bool:
    if not path.is_file():
        return False
    if md5_and_sha256(path) == (record.md5, record.sha256):
        return True
    tell(f"{path}: it is no longer what was fetched, and is fetched anew")
    return False


def _answer(
    how: Literal["downloaded", "present"], path: Path, record: MlcommonsOrigin
) -> FetchedDataset:
    return FetchedDataset(
        how=how,
        source="mlcommons",
        path=str(path),
        origin=record.url,
        files=1,
        bytes=record.size_bytes,
        sha256=record.sha256,
    )


def _locate(base_url: str, name: str, file: str) -> tuple[str, str]:
    """Address and MD5 of the file, from what MLCommons publishes of it."""
    uri, sums = f"{base_url}/{name}.uri", f"{base_url}/{name}.md5"
    bucket = get_text(uri).strip()
    try:
        usable = not re.search(r"[\s@]", bucket) and urlsplit(bucket).hostname
        scheme = urlsplit(bucket).scheme
    except ValueError:
        usable, scheme = None, ""
    # What was asked for safely must not come from just anyone.
    if not usable or scheme not in {"https", urlsplit(base_url).scheme}:
        raise not_as_expected(uri, f"no address of a bucket: {bucket[:100]!r}")
    for line in get_text(sums).splitlines():
        listed = re.fullmatch(r"([0-9a-f]{32})\s+\*?(?:\./)?(\S.*)", line.strip())
        if listed and PurePosixPath(listed[2]).name == file:
            return f"{bucket.rstrip('/')}/{quote(listed[2])}", listed[1]
    raise not_as_expected(sums, f"it lists no {file}")


def _download(url: str, partial: Path, md5: str, tell: Tell) -> str:
    """SHA-256 of ``partial``, filled up and verified."""
    size = content_length(url)
    while True:
        here = partial.stat().st_size if partial.is_file() else 0
        if size is not None and here > size:
            partial.unlink()
            here = 0
        require_space(partial.parent, (size or 0) - here)
        meter = _Meter(size, here, tell)
        with http_errors(url), Partial(partial, meter.at) as stream:
            read_into(url, stream, size)
            os.fsync(stream.fileno())
        found, sha256 = md5_and_sha256(partial)
        if found == md5:
            return sha256
        partial.unlink()
        if not here:
            raise RunFailure(
                FailureCode.DATASET_INVALID,
                f"{url}: its MD5 is {found}, {md5} is right; what came is removed",
            )
        tell("what was here of it before is not of this file: it is fetched anew")


class _Meter:
    """Tells how far a file is, at most every 10 s."""

    def __init__(self, size: int | None, here: int, tell: Tell) -> None:
        self._of = f" of {size / 1e6:.0f}" if size is not None else ""
        self._tell = tell
        self._last_s = time.monotonic()
        before = f", {here / 1e6:.0f} MB of it here already" if here else ""
        total = f"{size / 1e6:.0f} MB" if size is not None else "a file of unknown size"
        tell(f"fetching {total}{before}")

    def at(self, position: int) -> None:
        now = time.monotonic()
        if now - self._last_s >= TELL_EVERY_S:
            self._last_s = now
            self._tell(f"{position / 1e6:.0f}{self._of} MB")
