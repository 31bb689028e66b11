"""MMLU on this host: the folder in the hub's own format, and what the questions in it are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contract.base import canonical_json
from ..contract.evaluation import HubMmlu, MmluData, MmluFolder
from ..contract.run_folder import file_sha256
from ..contract.status import FailureCode
from ..dataset.hub_layout import CARD
from ..dataset.origin import dataset_repository, read_hub_record
from ..failure import RunFailure
from ..model.hub_cache import snapshot_folder
from .made_questions import GENERATOR, made_folder, make_questions


@dataclass(frozen=True)
class MmluPlace:
    """A dataset of a configuration a subject, with the splits test, validation and dev."""

    folder: Path
    source: str
    label: str
    origin: str


def find_mmlu(data: MmluData, home: Path) -> MmluPlace:
    """The folder of the questions on this host; synthetic ones are made.

    Nothing is fetched. Raises RunFailure (evaluation-data) if it is not there, or if a file is not
    that which was fetched.
    """
    if isinstance(data, HubMmlu):
        return _hub_snapshot(data, home)
    if isinstance(data, MmluFolder):
        folder = Path(data.path).expanduser()
        if not (folder / CARD).is_file():
            raise RunFailure(
                FailureCode.EVALUATION_DATA,
                f"{folder / CARD}: not there: no folder in the hub's format",
            )
        return MmluPlace(folder.resolve(), "path", folder.name, str(folder))
    folder = made_folder(home, data)
    if not (folder / CARD).is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        make_questions(folder, data)
    origin = f"made-up sums, generator {GENERATOR}, seed {data.seed}"
    return MmluPlace(folder, "synthetic", "synthetic", origin)


def _hub_snapshot(data: HubMmlu, home: Path) -> MmluPlace:
    usual = os.environ.get("HF_HUB_CACHE") or str(
        Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser() / "hub"
    )
    caches = (home / "cache" / "hub", Path(usual))
    for cache in caches:
        repository = dataset_repository(cache, data.repo)
        folder = snapshot_folder(repository, data.revision)
        if not (folder / CARD).is_file():
            continue
        record = read_hub_record(repository, data.repo, data.revision)
        for item in record.files if record else ():
            found = file_sha256(folder / item.path) if (folder / item.path).is_file() else "none"
            if found != item.sha256:
                raise RunFailure(
                    FailureCode.EVALUATION_DATA,
                    f"{folder / item.path}: sha256 {found}, fetched was {item.sha256}",
                )
        origin = f"{data.repo} at {data.revision}"
        return MmluPlace(
            folder, "hub", data.repo, origin if record else f"{origin}, hashes not verified"
        )
    raise RunFailure(
        FailureCode.EVALUATION_DATA,
        f"{data.repo} at {data.revision} is not in the Hugging Face cache "
        + " or ".join(map(str, caches)),
    )


def questions_sha256(subjects: Mapping[str, Iterable[Mapping[str, Any]]]) -> str:
    """SHA-256 over the questions of each subject in order: subject, index, question, choices and
    the index of the right one, as canonical JSON, a line each."""
    total = hashlib.sha256()
    for subject in sorted(subjects):
        for index, row in enumerate(subjects[subject]):
            line = [subject, index, row["question"], list(row["choices"]), int(row["answer"])]
            total.update(f"{canonical_json(line)}\n".encode())
    return total.hexdigest()
