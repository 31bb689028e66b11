"""Reads MLPerf's cnn_eval.json: a JSON list of objects with input, tok_input and output."""

from __future__ import annotations

import json
from pathlib import Path

from ..contract.benchmark import PROMPT_TEMPLATE
from ..contract.dataset import DatasetFile
from ..contract.run_folder import file_sha256
from ..contract.status import FailureCode
from ..failure import RunFailure
from ..model.tokenizer import ModelTokenizer
from .source import Found, NotThere, Samples, Wanted

VERIFIED_SAMPLES = 32
"""So many samples are tokenised again to see that the file belongs to this tokenizer."""


def find_file(source: DatasetFile, wanted: Wanted) -> Found:
    """The file of a source. Raises NotThere; RunFailure (dataset-missing) if it is no file."""
    path = Path(source.path).expanduser()
    return Found(
        source,
        file_identity(path),
        lambda tokenizer: read_samples(path, source.sha256, wanted, tokenizer),
    )


def file_identity(path: Path) -> str:
    """Size and time of a file. Raises NotThere; RunFailure (dataset-missing) as find_file."""
    try:
        stat = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotThere(f"{path}: {error.strerror}") from error
    except OSError as error:
        raise RunFailure(FailureCode.DATASET_MISSING, f"{path}: {error.strerror}") from error
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def read_samples(
    path: Path, sha256: str | None, wanted: Wanted, tokenizer: ModelTokenizer
) -> Samples:
    """The first samples of the file, as many as are wanted.

    The token ids are the file's own (``tok_input``), as in MLPerf's reference. Raises RunFailure
    if the file is absent, has another hash than ``sha256``, is malformed, has too few samples (or
    in a run of official length too many), or was tokenised with another tokenizer.
    """
    try:
        found = file_sha256(path)
        if sha256 is not None and found != sha256:
            raise RunFailure(
                FailureCode.DATASET_INVALID, f"{path}: sha256 {found}, wanted {sha256}"
            )
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunFailure(FailureCode.DATASET_MISSING, f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise RunFailure(FailureCode.DATASET_INVALID, f"{path}: not JSON: {error}") from error
    if not isinstance(entries, list):
        raise RunFailure(FailureCode.DATASET_INVALID, f"{path}: no list of samples")
    wanted.require(len(entries), str(path))
    prompts, references, articles = [], [], []
    for index, entry in enumerate(entries[: wanted.samples]):
        try:
            article, ids, reference = entry["input"], entry["tok_input"], entry["output"]
        except (TypeError, KeyError) as error:
            raise RunFailure(
                FailureCode.DATASET_INVALID, f"{path}: sample {index} has no {error}"
            ) from error
        if not (
            isinstance(article, str)
            and isinstance(reference, str)
            and isinstance(ids, list)
            and ids
            and all(type(item) is int and item >= 0 for item in ids)
        ):
            raise RunFailure(
                FailureCode.DATASET_INVALID,
                f"{path}: sample {index}: input and output must be texts, tok_input token ids",
            )
        articles.append(article)
        prompts.append(ids)
        references.append(reference)
    _verify_tokens(path, articles[:VERIFIED_SAMPLES], prompts, tokenizer)
    return Samples(prompts, references, f"{path.name} sha256:{found}")


def _verify_tokens(
    path: Path, articles: list[str], prompts: list[list[int]], tokenizer: ModelTokenizer
) -> None:
    expected = tokenizer.encode([PROMPT_TEMPLATE.format(input=text) for text in articles])
    for index, ids in enumerate(expected):
        if ids != prompts[index]:
            raise RunFailure(
                FailureCode.DATASET_INVALID,
                f"{path}: sample {index}: tok_input is not what this model's tokenizer makes of "
                "the article in MLPerf's template",
            )
