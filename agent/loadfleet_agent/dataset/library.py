"""SampleLibrary: the prompts as token ids and the references, from any source, hashed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..contract.base import digest
from ..contract.plan import RunPlan
from ..contract.result import DatasetFacts, ModelFacts
from ..contract.status import FailureCode
from ..failure import RunFailure
from ..model.tokenizer import load_tokenizer
from ..statistics import distribution
from .chain import find_first
from .source import Found, Samples


@dataclass(frozen=True)
class SampleLibrary:
    """Samples in the order of their index; index i is LoadGen's sample i."""

    prompts: list[list[int]]
    references: list[str]
    facts: DatasetFacts


def build_library(plan: RunPlan, model: ModelFacts, home: Path) -> SampleLibrary:
    """The samples of a plan, from the first source of its chain that is on this host.

    ``home`` is the data folder. Tokenised once for a model, then read from its cache. Raises
    RunFailure if no source is there, if the first that is there is wrong, or if a prompt and its
    answer would not fit into the engine's context: nothing is ever truncated.
    """
    room = plan.engine.max_model_len - plan.generation.max_tokens
    folder = library_folder(home)
    try:
        found, skipped = find_first(plan, home, folder)
        path = folder / f"{_key(plan, model, found, room)[:24]}.parquet"
        library = _read(path)
        if library is None:
            samples = found.read(load_tokenizer(Path(model.path)))
            facts = _facts(found, samples)
            library = SampleLibrary(samples.prompts, samples.references, facts)
            folder.mkdir(parents=True, exist_ok=True)
            _write(path, library)
    except ImportError as error:
        raise RunFailure(FailureCode.PACKAGE_MISSING, str(error)) from error
    _require_fit(library, room, model.vocabulary)
    # What was passed over belongs to this run and not to the samples.
    facts = library.facts.model_copy(update={"skipped": skipped})
    return replace(library, facts=facts)


def library_folder(home: Path) -> Path:
    """Where tokenised samples are kept."""
    return home / "cache" / "datasets"


def _key(plan: RunPlan, model: ModelFacts, found: Found, room: int) -> str:
    return digest(
        {
            "dataset": found.source.model_dump(mode="json"),
            "identity": found.identity,
            "tokenizer": model.tokenizer_sha256,
            "suite": plan.suite,
            "length": plan.length.kind,
            "samples": plan.samples,
            "room": room if found.source.source == "synthetic" else None,
        }
    )


def _facts(found: Found, samples: Samples) -> DatasetFacts:
    return DatasetFacts(
        source=found.source.source,
        label=found.source.label,
        library_sha256=library_sha256(samples.prompts, samples.references),
        samples=len(samples.prompts),
        input_tokens=distribution([len(prompt) for prompt in samples.prompts]),
        origin=samples.origin,
    )


def library_sha256(prompts: Sequence[Sequence[int]], references: Sequence[str]) -> str:
    """SHA-256 over each sample in order: length and token ids (little-endian 32 bit) of the
    prompt, then length and bytes (UTF-8) of the reference."""
    total = hashlib.sha256()
    for prompt, reference in zip(prompts, references, strict=True):
        total.update(len(prompt).to_bytes(4, "little"))
        total.update(np.asarray(prompt, dtype="<u4").tobytes())
        text = reference.encode()
        total.update(len(text).to_bytes(4, "little"))
        total.update(text)
    return total.hexdigest()


def _require_fit(library: SampleLibrary, room: int, vocabulary: int) -> None:
    long = [index for index, prompt in enumerate(library.prompts) if len(prompt) > room]
    if long:
        longest = max(len(library.prompts[index]) for index in long)
        raise RunFailure(
            FailureCode.PROMPT_TOO_LONG,
            f"{len(long)} of {len(library.prompts)} prompts have more than {room} tokens "
            f"(the longest {longest}), the first is sample {long[0]}",
        )
    highest = max(max(prompt, default=0) for prompt in library.prompts)
    if highest >= vocabulary:
        raise RunFailure(
            FailureCode.DATASET_INVALID,
            f"token id {highest} is outside the model's vocabulary of {vocabulary}: "
            "the dataset was tokenised for another model",
        )


def _write(path: Path, library: SampleLibrary) -> None:
    table = pa.table(
        {
            "prompt": pa.array(library.prompts, type=pa.list_(pa.uint32())),
            "reference": pa.array(library.references, type=pa.string()),
        }
    ).replace_schema_metadata({"loadfleet": library.facts.model_dump_json()})
    temporary = path.with_suffix(".tmp")
    pq.write_table(table, temporary)
    temporary.replace(path)


def _read(path: Path) -> SampleLibrary | None:
    """The stored library, or None if there is none or its content is not what it says."""
    if not path.is_file():
        return None
    try:
        table = pq.read_table(path)
        facts = DatasetFacts.model_validate(json.loads((table.schema.metadata or {})[b"loadfleet"]))
        prompts = table["prompt"].to_pylist()
        references = table["reference"].to_pylist()
    except (pa.ArrowException, OSError, KeyError, ValueError):
        return None
    if library_sha256(prompts, references) != facts.library_sha256:
        return None
    return SampleLibrary(prompts, references, facts)
