"""Finds the model of a plan on this host, or makes it, and says what it is."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..contract.base import digest
from ..contract.model import DummyModel, HubModel, ModelSource, TinyModel
from ..contract.result import ModelFacts
from ..contract.run_folder import file_sha256
from ..contract.status import FailureCode
from ..failure import RunFailure
from .config import read_geometry, read_precision
from .dummy_llama import make_dummy_llama
from .hub_cache import read_record, repository_folder, snapshot_folder
from .tiny_llama import TOKENIZER_CONFIG, make_tiny_llama

WEIGHT_SUFFIXES = (".safetensors",)
HASH_WEIGHTS_UP_TO_BYTES = 2 << 30
"""Larger weights are not hashed again at every run: reading 15 GiB takes minutes."""


def resolve_model(source: ModelSource, home: Path) -> tuple[Path, str]:
    """Folder and display name of the model.

    Raises RunFailure (model-missing) if it is not on this host.
    """
    if isinstance(source, TinyModel):
        folder = home / "cache" / "models" / f"tiny-llama-2-seed{source.seed}"
        if not (folder / "model.safetensors").is_file():
            folder.parent.mkdir(parents=True, exist_ok=True)
            make_tiny_llama(folder, source.seed)
        return folder, f"tiny-llama (random weights, seed {source.seed})"
    if isinstance(source, DummyModel):
        folder = home / "cache" / "models" / "dummy-llama-3.1-8b"
        if not (folder / TOKENIZER_CONFIG).is_file():
            folder.parent.mkdir(parents=True, exist_ok=True)
            make_dummy_llama(folder)
        return folder, "Llama-3.1-8B geometry (random weights)"
    if isinstance(source, HubModel):
        return _hub_snapshot(source, home), source.repo
    folder = Path(source.path).expanduser()
    _require_model_folder(folder)
    return folder, folder.name


def model_facts(folder: Path, name: str) -> ModelFacts:
    """What identifies the model: hashes of its configuration, tokenizer and weights.

    The hashes of large weights are those that ``loadfleet-agent download`` verified when it wrote
    them (``verified-<commit>.json`` beside the snapshot): that bytes have changed on the disk
    since, at the same size, is not seen here but by ``download --rehash``. Weights that came
    another way have none.

    Raises RunFailure: model-missing if a file of it is absent or unreadable, model-corrupt if a
    weight file no longer has the size that was verified.
    """
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        generation_path = folder / "generation_config.json"
        generation = (
            json.loads(generation_path.read_text("utf-8")) if generation_path.is_file() else {}
        )
        stop = generation.get("eos_token_id", config.get("eos_token_id"))
        stop_ids = tuple(stop) if isinstance(stop, list) else (stop,)
        weights = sorted(path for path in folder.iterdir() if path.suffix in WEIGHT_SUFFIXES)
        sizes = {path.name: path.stat().st_size for path in weights}
        whole = sum(sizes.values()) <= HASH_WEIGHTS_UP_TO_BYTES
        identity = (
            {path.name: file_sha256(path) for path in weights}
            if whole
            else _verified_weights(folder, sizes)
        )
        return ModelFacts(
            name=name,
            path=str(folder),
            config_sha256=file_sha256(folder / "config.json"),
            tokenizer_sha256=file_sha256(folder / "tokenizer.json"),
            weights_sha256=digest(identity) if identity else None,
            vocabulary=int(config["vocab_size"]),
            stop_token_ids=stop_ids,
            precision=read_precision(config),
            geometry=read_geometry(config),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunFailure(
            FailureCode.MODEL_MISSING, f"{folder}: not a whole model folder: {error!r}"
        ) from error


def _verified_weights(folder: Path, sizes: dict[str, int]) -> dict[str, str] | None:
    """The recorded hashes of just these weights, or None where no download recorded them."""
    record = read_record(folder.parent.parent, folder.name)
    known = [item for item in record.files if item.path.endswith(WEIGHT_SUFFIXES)] if record else []
    if not known or set(sizes) - {item.path for item in known}:
        return None
    for item in known:
        if sizes.get(item.path) != item.size_bytes:
            raise RunFailure(
                FailureCode.MODEL_CORRUPT,
                f"{folder / item.path}: {sizes.get(item.path, 'no')} bytes, "
                f"verified were {item.size_bytes} bytes",
            )
    return {item.path: item.sha256 for item in known}


def _hub_snapshot(source: HubModel, home: Path) -> Path:
    usual = Path(
        os.environ.get("HF_HUB_CACHE")
        or Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser() / "hub"
    )
    caches = [Path(source.cache).expanduser()] if source.cache else [home / "cache" / "hub", usual]
    for cache in caches:
        repository = repository_folder(cache, source.repo)
        reference = repository / "refs" / source.revision
        commit = reference.read_text("utf-8").strip() if reference.is_file() else source.revision
        folder = snapshot_folder(repository, commit)
        if folder.is_dir():
            _require_model_folder(folder)
            return folder
    raise RunFailure(
        FailureCode.MODEL_MISSING,
        f"{source.repo} at {source.revision} is not in the Hugging Face cache "
        + " or ".join(map(str, caches)),
    )


def _require_model_folder(folder: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise RunFailure(FailureCode.MODEL_MISSING, f"{folder / name}: no such file")
    if not any(path.suffix in WEIGHT_SUFFIXES for path in folder.iterdir()):
        raise RunFailure(FailureCode.MODEL_MISSING, f"{folder}: no .safetensors weights in it")
