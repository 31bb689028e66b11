"""Brings one split of a dataset from the Hugging Face hub, or a mirror of it, into a hub cache.

The layout is huggingface_hub's own (``datasets--org--name/snapshots/<commit>/``), so that other
Hugging Face libraries read it too; the record of the download is beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from huggingface_hub import hf_hub_url

from ...contract.base import digest, utc_now
from ...contract.dataset import RebuiltDataset
from ...contract.evaluation import MMLU_SPLITS, MMLU_SUBJECTS, HubMmlu
from ...contract.files import write_model
from ...contract.status import FailureCode
from ...failure import RunFailure
from ...http import TIMEOUT_S, checked_address, http_errors, not_as_expected, read_into
from ...model.download import HUB
from ...model.hub_api import download_headers, hub_api, listed_file
from ...model.hub_cache import HubFile, is_commit, snapshot_folder
from ...model.transfer import Partial, Tell, alone, bring, link_blob
from ..hub_layout import CARD, all_files, split_files
from ..origin import (
    FetchedDataset,
    HubDatasetFile,
    HubOrigin,
    dataset_repository,
    hub_record,
    read_hub_record,
)

Revision = RebuiltDataset | HubMmlu
"""A dataset repository at a commit."""
Choose = Callable[[Path, Iterable[str]], Sequence[str]]
"""From a card and the repository's paths to the files that are wanted; raises RunFailure."""


def fetch_hub(
    source: RebuiltDataset,
    cache: Path,
    *,
    endpoint: str = HUB,
    token: str | None = None,
    tell: Tell,
) -> FetchedDataset:
    """The source's split in the cache, as ``fetch_files`` brings it.

    Raises RunFailure too (bad-plan) for a source with a folder of its own.
    """
    if source.path is not None:
        raise RunFailure(FailureCode.BAD_PLAN, f"{source.path}: a folder needs no fetching")

    def choose(card: Path, paths: Iterable[str]) -> tuple[str, ...]:
        return split_files(card, paths, source.config, source.split).files

    return fetch_files(source, choose, cache, endpoint=endpoint, token=token, tell=tell)


def fetch_mmlu(
    source: HubMmlu, cache: Path, *, endpoint: str = HUB, token: str | None = None, tell: Tell
) -> FetchedDataset:
    """The splits of all 57 subjects in the cache, as ``fetch_files`` brings them."""

    def choose(card: Path, paths: Iterable[str]) -> tuple[str, ...]:
        return all_files(card, paths, MMLU_SUBJECTS, MMLU_SPLITS)

    return fetch_files(source, choose, cache, endpoint=endpoint, token=token, tell=tell)


def fetch_files(
    source: Revision, choose: Choose, cache: Path, *, endpoint: str, token: str | None, tell: Tell
) -> FetchedDataset:
    """Those files of a dataset that its card chooses, whole and verified against the hub's hashes.

    Only the card and these Parquet files are fetched. What is there with its record is not asked
    for again: sizes are checked here, hashes as it is used. Broken off, it goes on where it was.
    Raises RunFailure: dataset-missing, dataset-invalid, hub-access, hub-unreachable, no-space.
    """
    endpoint = checked_address(endpoint)
    repository = dataset_repository(cache, source.repo)
    with alone(repository, tell):
        record = read_hub_record(repository, source.repo, source.revision)
        if record is not None and _has_files(record, repository, choose):
            return _answer("present", repository, record)
        files = _list_files(source, endpoint, token)
        verified = _bring(source, files, [CARD], repository, endpoint, token, tell)
        card = snapshot_folder(repository, source.revision) / CARD
        wanted = choose(card, files)
        verified += _bring(source, files, wanted, repository, endpoint, token, tell)
        known = {item.path: item for item in (*(record.files if record else ()), *verified)}
        record = HubOrigin(
            repo=source.repo,
            revision=source.revision,
            endpoint=endpoint,
            fetched_utc=utc_now(),
            files=tuple(known[path] for path in sorted(known)),
        )
        write_model(hub_record(repository, source.revision), record)
        return _answer("downloaded", repository, record)


def dataset_commit(
    repo: str, revision: str, *, endpoint: str = HUB, token: str | None = None
) -> str:
    """The commit that a branch or tag of a dataset repository is now. Raises RunFailure."""
    return _ask(repo, revision, checked_address(endpoint), token)[0]


def _has_files(record: HubOrigin, repository: Path, choose: Choose) -> bool:
    """Whether the card and what it chooses are here as recorded, by their sizes."""
    folder = snapshot_folder(repository, record.revision)
    for item in record.files:
        path = folder / item.path
        if not path.is_file() or path.stat().st_size != item.size_bytes:
            return False
    try:
        choose(folder / CARD, [item.path for item in record.files])
    except RunFailure:  # of another split of the same commit
        return False
    return True


def _list_files(source: Revision, endpoint: str, token: str | None) -> dict[str, HubFile]:
    """The files of the repository at the commit, by their path in it."""
    commit, files = _ask(source.repo, source.revision, endpoint, token)
    if commit != source.revision:
        raise not_as_expected(endpoint, f"asked for {source.revision}, it answered for {commit}")
    if CARD not in files:
        raise RunFailure(
            FailureCode.DATASET_INVALID, f"{source.repo} at {commit} on {endpoint} has no {CARD}"
        )
    return files


def _ask(
    repo: str, revision: str, endpoint: str, token: str | None
) -> tuple[str, dict[str, HubFile]]:
    api = hub_api(endpoint, token)
    where = f"{endpoint}: dataset {repo} at {revision}"
    with http_errors(where, token):
        info = api.dataset_info(repo, revision=revision, files_metadata=True, timeout=TIMEOUT_S)
        commit = str(info.sha)
        files = {
            # A HubFile is for the top of a repository.
            item.rfilename: listed_file(item, item.rfilename.replace("/", "--"))
            for item in info.siblings or ()
            if _is_safe(item.rfilename)
        }
    if not is_commit(commit):
        raise not_as_expected(where, "it names no commit")
    return commit, files


def _is_safe(path: str) -> bool:
    """No path out of the folder, and nothing hidden."""
    return all(re.fullmatch(r"[\w-][\w.+-]*", part) for part in path.split("/"))


def _bring(
    source: Revision,
    files: Mapping[str, HubFile],
    wanted: Sequence[str],
    repository: Path,
    endpoint: str,
    token: str | None,
    tell: Tell,
) -> list[HubDatasetFile]:
    """These files as blobs, verified, with a link to each in the snapshot."""
    headers = download_headers(token)
    paths = {files[path].path: path for path in wanted}

    def read(file: HubFile, partial: Partial) -> None:
        path = paths[file.path]
        url = hf_hub_url(
            source.repo, path, repo_type="dataset", revision=source.revision, endpoint=endpoint
        )
        with http_errors(f"{endpoint}: {source.repo}/{path}", token):
            read_into(url, partial, file.size_bytes, headers)

    try:
        verified = bring(repository, [files[path] for path in wanted], read, tell)
    except RunFailure as error:
        if error.code is FailureCode.MODEL_CORRUPT:
            raise RunFailure(FailureCode.DATASET_INVALID, error.message) from None
        raise
    snapshot = snapshot_folder(repository, source.revision)
    for item in verified:
        link_blob(snapshot / paths[item.path], repository / "blobs" / item.blob)
    return [
        HubDatasetFile(path=paths[item.path], size_bytes=item.size_bytes, sha256=item.sha256)
        for item in verified
    ]


def _answer(
    how: Literal["downloaded", "present"], repository: Path, record: HubOrigin
) -> FetchedDataset:
    return FetchedDataset(
        how=how,
        source="hub",
        path=str(snapshot_folder(repository, record.revision)),
        origin=f"{record.endpoint}/datasets/{record.repo} at {record.revision}",
        files=len(record.files),
        bytes=sum(item.size_bytes for item in record.files),
        sha256=digest({item.path: [item.size_bytes, item.sha256] for item in record.files}),
    )
