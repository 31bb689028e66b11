"""Reads MLPerf's cnn_eval.json: a JSON list of objects with input, tok_input and output."""

from __future__ import annotations

import json
from pathlib import Path

from ..contract.benchmark import PROMPT_TEMPLATE
from ..contract.plan import DatasetFile
from ..contract.run_folder import file_sha256
from ..contract.status import FailureCode
from ..failure import RunFailure
from ..model.tokenizer import ModelTokenizer

VERIFIED_SAMPLES = 32
"""So many samples are tokenised again to see that the file belongs to this tokenizer."""


def read_samples(
    source: DatasetFile, samples: int, tokenizer: ModelTokenizer
) -> tuple[list[list[int]], list[str], str]:
    """Prompts, references and origin of the first ``samples`` samples of the file.

    The token ids are the file's own (``tok_input``), as in MLPerf's reference. Raises RunFailure
    if the file is absent, another one than the plan's hash says, malformed, too short, or was
    tokenised with another tokenizer.
    """
    path = Path(source.path).expanduser()
    try:
        sha256 = file_sha256(path)
        if source.sha256 is not None and sha256 != source.sha256:
            raise RunFailure(
                FailureCode.DATASET_INVALID, f"{path}: sha256 {sha256}, wanted {source.sha256}"
            )
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunFailure(FailureCode.DATASET_MISSING, f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise RunFailure(FailureCode.DATASET_INVALID, f"{path}: not JSON: {error}") from error
    if not isinstance(entries, list) or len(entries) < samples:
        found = len(entries) if isinstance(entries, list) else "no list of"
        raise RunFailure(
            FailureCode.DATASET_INVALID, f"{path}: {found} samples, {samples} are needed"
        )
    prompts, references, articles = [], [], []
    for index, entry in enumerate(entries[:samples]):
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
    return prompts, references, f"{path.name} sha256:{sha256}"


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
