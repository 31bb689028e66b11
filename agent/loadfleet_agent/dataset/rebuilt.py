"""MLPerf's samples made anew from CNN/DailyMail in the hub's own format, and proved.

The recipe is that of the reference, ``language/llama3.1-8b/download_cnndm.py`` of
mlcommons/inference at b66003e1: all rows of the split in their order, or for the edge suite the
first 5,000 after a shuffle with seed 42; the article in the template, encoded with BOS and never
truncated; the highlights as they are. That MLCommons' own files hold the same is not known, so
these samples are never labelled as MLPerf's. Nothing here asks the network.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contract.base import digest
from ..contract.benchmark import EDGE_SAMPLES, PROMPT_TEMPLATE, Suite, dataset_samples
from ..contract.dataset import RebuiltDataset
from ..contract.run_folder import file_sha256
from ..contract.status import FailureCode
from ..failure import RunFailure
from ..model.hub_cache import snapshot_folder
from ..model.tokenizer import ModelTokenizer
from .hub_layout import CARD, SplitFiles, split_files
from .origin import HubOrigin, dataset_repository, read_hub_record
from .source import Found, NotThere, Samples, Wanted

ARTICLE, HIGHLIGHTS = "article", "highlights"
SHUFFLE_SEED = 42


@dataclass(frozen=True)
class _Place:
    """The repository's files on this host."""

    folder: Path
    record: HubOrigin | None
    """Of the download; None for a folder that the plan names."""


def hub_cache(home: Path) -> Path:
    """The Hugging Face hub cache of a data folder."""
    return home / "cache" / "hub"


def find_rebuilt(source: RebuiltDataset, wanted: Wanted, home: Path, scratch: Path) -> Found:
    """The dataset in the hub's format; ``scratch`` is a folder for what datasets makes of it.

    Raises NotThere; RunFailure (dataset-invalid) if its files are not those of the split.
    """
    place = _locate(source, home)
    paths = [
        path.relative_to(place.folder).as_posix()
        for path in place.folder.rglob("*")
        if path.is_file()
    ]
    files = split_files(place.folder / CARD, paths, source.config, source.split)
    stats = {name: (place.folder / name).stat() for name in (CARD, *files.files)}
    identity = digest({name: [item.st_size, item.st_mtime_ns] for name, item in stats.items()})

    def read(tokenizer: ModelTokenizer) -> Samples:
        hashes = {name: file_sha256(place.folder / name) for name in files.files}
        _verify_record(place, hashes)
        articles, highlights, rows = _load(source, place.folder, files, wanted, scratch)
        prompts = encode_articles(articles, tokenizer)
        whole = hashes.popitem()[1] if len(hashes) == 1 else digest(hashes)
        where = source.path or f"{source.repo} at {source.revision}"
        taken = f"{len(prompts)} of its {rows} rows"
        return Samples(
            prompts,
            highlights,
            f"{where}, {source.config} {source.split}, Parquet sha256:{whole}, {taken}",
        )

    return Found(source, identity, read)


def _locate(source: RebuiltDataset, home: Path) -> _Place:
    if source.path is not None:
        folder = Path(source.path).expanduser()
        if not folder.exists():
            raise NotThere(f"{folder}: No such file or directory")
        return _Place(folder, None)
    repository = dataset_repository(hub_cache(home), source.repo)
    record = read_hub_record(repository, source.repo, source.revision)
    folder = snapshot_folder(repository, source.revision)
    if record is None or not folder.is_dir():
        raise NotThere(f"{folder}: not fetched")
    return _Place(folder, record)


def _verify_record(place: _Place, hashes: dict[str, str]) -> None:
    """The hub's hashes, which the download verified, still hold."""
    if place.record is None:
        return
    known = {item.path: item.sha256 for item in place.record.files}
    for name, found in hashes.items():
        if known.get(name) != found:
            raise RunFailure(
                FailureCode.DATASET_INVALID,
                f"{place.folder / name}: sha256 {found}, fetched was {known.get(name)}",
            )


def _load(
    source: RebuiltDataset, folder: Path, files: SplitFiles, wanted: Wanted, scratch: Path
) -> tuple[list[str], list[str], int]:
    """Articles and highlights in the order of the samples, and the rows of the whole split."""
    where = f"{folder}: {source.config} {source.split}"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix=".rebuilding-") as cache:
        dataset = _load_dataset(source, folder, files, cache, where)
        rows = len(dataset)
        if files.rows is not None and rows != files.rows:
            raise RunFailure(
                FailureCode.DATASET_INVALID, f"{where}: {rows} rows, its card says {files.rows}"
            )
        # The edge suite's samples are a choice from all of them.
        all_of_them = dataset_samples(Suite.DATACENTER)
        if wanted.official and rows != all_of_them:
            raise RunFailure(
                FailureCode.DATASET_INVALID, f"{where}: {rows} rows, MLPerf takes {all_of_them}"
            )
        if wanted.suite is Suite.EDGE:
            dataset = dataset.shuffle(seed=SHUFFLE_SEED)
            dataset = dataset.take(min(EDGE_SAMPLES, rows))
        if len(dataset) < wanted.samples:
            raise RunFailure(
                FailureCode.DATASET_INVALID,
                f"{where}: {len(dataset)} rows, {wanted.samples} are needed",
            )
        columns = dataset.take(wanted.samples)[:]
    for name in (ARTICLE, HIGHLIGHTS):
        empty = next((i for i, text in enumerate(columns[name]) if text is None), None)
        if empty is not None:
            raise RunFailure(FailureCode.DATASET_INVALID, f"{where}: row {empty} has no {name}")
    return columns[ARTICLE], columns[HIGHLIGHTS], rows


def _load_dataset(
    source: RebuiltDataset, folder: Path, files: SplitFiles, cache: str, where: str
) -> Any:
    """A ``datasets.Dataset`` of the split with its two columns of text."""
    import datasets  # heavy, and needed only here

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    try:
        dataset = datasets.load_dataset(
            str(folder),
            name=source.config,
            # Named, for the other splits are not fetched; for the same reason their sizes, which
            # the card says, cannot be verified by the library.
            data_files={source.split: list(files.files)},
            split=source.split,
            cache_dir=cache,
            verification_mode="no_checks",
        )
    except Exception as error:  # of the library and of all that it reads with
        text = next(iter(str(error).splitlines()), "")[:200]
        raise RunFailure(
            FailureCode.DATASET_INVALID,
            f"{where}: datasets cannot load it: {type(error).__name__}: {text}",
        ) from error
    for name in (ARTICLE, HIGHLIGHTS):
        kind = getattr(dataset.features.get(name), "dtype", "nothing")
        if kind not in ("string", "large_string"):
            raise RunFailure(FailureCode.DATASET_INVALID, f"{where}: {name} is {kind}, not string")
    return dataset.select_columns([ARTICLE, HIGHLIGHTS])


def encode_articles(articles: list[str], tokenizer: ModelTokenizer) -> list[list[int]]:
    """``tok_input`` of each article, proved: BOS once, then all tokens of the filled template.

    Raises RunFailure (dataset-invalid) for a tokenizer that puts anything else around a text.
    """
    texts = [PROMPT_TEMPLATE.format(input=article) for article in articles]
    prompts = tokenizer.encode(texts)
    (frame,) = tokenizer.encode([""])
    if len(frame) != 1:
        raise RunFailure(
            FailureCode.DATASET_INVALID,
            f"this model's tokenizer puts {len(frame)} special tokens around a text, not BOS alone",
        )
    plain = tokenizer.encode(texts, special_tokens=False)
    for index, (prompt, tokens) in enumerate(zip(prompts, plain, strict=True)):
        if prompt != frame + tokens:
            raise RunFailure(
                FailureCode.DATASET_INVALID,
                f"sample {index}: its {len(prompt)} tokens are not BOS and the {len(tokens)} of "
                "the article in MLPerf's template",
            )
    return prompts
