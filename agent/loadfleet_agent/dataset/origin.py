"""The record that a verified download leaves beside its files: where they came from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from ..contract.base import Document, Frozen, Sha256, UtcTime

CHUNK_BYTES = 4 << 20
Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class MlcommonsOrigin(Document):
    """``<file>.origin.json``: the file was here with the MD5 that MLCommons publishes."""

    source: Literal["mlcommons"] = "mlcommons"
    file: str
    url: str
    md5: Md5 = Field(description="as MLCommons' list has it, and as the file had it")
    sha256: Sha256
    size_bytes: int = Field(ge=0)
    fetched_utc: UtcTime


class HubDatasetFile(Frozen):
    """A file of a dataset repository, with the hub's hash verified."""

    path: str = Field(description="in the repository")
    size_bytes: int = Field(ge=0)
    sha256: Sha256


class HubOrigin(Document):
    """``origin-<commit>.json``: the files of a dataset were here with the hashes of the hub."""

    source: Literal["hub"] = "hub"
    repo: str
    revision: str
    endpoint: str
    fetched_utc: UtcTime
    files: tuple[HubDatasetFile, ...]


class FetchedDataset(Frozen):
    """A dataset that is on this host, whole and verified."""

    how: Literal["downloaded", "present"]
    source: Literal["mlcommons", "hub"]
    path: str
    origin: str
    files: int
    bytes: int
    sha256: Sha256


def mlcommons_record(path: Path) -> Path:
    """Where the record of a file from MLCommons is."""
    return path.with_name(f"{path.name}.origin.json")


def read_mlcommons_record(path: Path) -> MlcommonsOrigin | None:
    """The record of the file at ``path``; None if there is none that can be read."""
    try:
        found = MlcommonsOrigin.model_validate_json(mlcommons_record(path).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None
    return found if found.file == path.name else None


def dataset_repository(cache: Path, repo: str) -> Path:
    """Where a Hugging Face hub cache holds the dataset repository ``org/name``."""
    return cache / f"datasets--{repo.replace('/', '--')}"


def hub_record(repository: Path, commit: str) -> Path:
    """Where the record of a dataset from the hub is."""
    return repository / f"origin-{commit}.json"


def read_hub_record(repository: Path, repo: str, commit: str) -> HubOrigin | None:
    """The record of a dataset from the hub; None if there is none that can be read."""
    try:
        found = HubOrigin.model_validate_json(hub_record(repository, commit).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None
    return found if (found.repo, found.revision) == (repo, commit) else None


def md5_and_sha256(path: Path) -> tuple[str, str]:
    """Both hashes (hex) of a file, read once."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            md5.update(chunk)
            sha256.update(chunk)
    return md5.hexdigest(), sha256.hexdigest()
