"""Which Parquet files of a dataset repository are a split: what its README.md says.

Format: https://huggingface.co/docs/hub/datasets-manual-configuration
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from ..contract.status import FailureCode
from ..failure import RunFailure

CARD = "README.md"


class _DataFiles(BaseModel):
    split: str
    path: str | list[str]


class _Config(BaseModel):
    config_name: str
    data_files: list[_DataFiles] | list[str] | str | None = None


class _Split(BaseModel):
    name: str
    num_examples: int | None = None


class _Info(BaseModel):
    config_name: str = "default"
    splits: list[_Split] = []


class _Card(BaseModel):
    """Of the metadata of a dataset card, what is needed here."""

    configs: list[_Config] = []
    dataset_info: list[_Info] | _Info = []


@dataclass(frozen=True)
class SplitFiles:
    """A split of a configuration."""

    files: tuple[str, ...]
    """Parquet files in their order, relative to the repository."""
    rows: int | None
    """How many the card says it has."""


def split_files(card: Path, paths: Iterable[str], config: str, split: str) -> SplitFiles:
    """The files of the repository's ``paths`` that are the split by its card.

    Raises RunFailure (dataset-invalid) if there are none, or if the card is malformed.
    """
    metadata = _read_card(card)
    files = _named_files(metadata, card, paths, config, split)

    infos = metadata.dataset_info
    rows = next(
        (
            entry.num_examples
            for info in (infos if isinstance(infos, list) else [infos])
            if info.config_name == config
            for entry in info.splits
            if entry.name == split
        ),
        None,
    )
    return SplitFiles(files, rows)


def all_files(
    card: Path, paths: Iterable[str], configs: Iterable[str], splits: Iterable[str]
) -> tuple[str, ...]:
    """The files of all these splits of all these configurations; raises as split_files."""
    metadata, there = _read_card(card), list(paths)
    return tuple(
        file
        for config in configs
        for split in splits
        for file in _named_files(metadata, card, there, config, split)
    )


def _named_files(
    metadata: _Card, card: Path, paths: Iterable[str], config: str, split: str
) -> tuple[str, ...]:
    patterns = [
        pattern
        for item in metadata.configs
        if item.config_name == config and isinstance(item.data_files, list)
        for entry in item.data_files
        if isinstance(entry, _DataFiles) and entry.split == split
        for pattern in ([entry.path] if isinstance(entry.path, str) else entry.path)
    ]
    files = sorted(
        path
        for path in paths
        if path.endswith(".parquet")
        and any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)
    )
    if not files:
        raise RunFailure(
            FailureCode.DATASET_INVALID,
            f"{card}: no Parquet file is its {split} split of {config}: "
            f"{' '.join(patterns) or 'none is named'}",
        )
    return tuple(files)


def _read_card(path: Path) -> _Card:
    from huggingface_hub import metadata_load

    try:
        return _Card.model_validate(metadata_load(path) or {})
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RunFailure(
            FailureCode.DATASET_INVALID, f"{path}: not there: no folder in the hub's format"
        ) from error
    except ValidationError as error:
        key = ".".join(map(str, error.errors()[0]["loc"]))
        raise RunFailure(
            FailureCode.DATASET_INVALID, f"{path}: its metadata is malformed: {key}"
        ) from error
    except Exception as error:  # of the YAML library, and for what is no text
        text = next(iter(str(error).splitlines()), type(error).__name__)
        raise RunFailure(
            FailureCode.DATASET_INVALID, f"{path}: its metadata cannot be read: {text}"
        ) from error
