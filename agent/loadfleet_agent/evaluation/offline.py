"""What keeps lm_eval and datasets from asking a network, and quiet."""

from __future__ import annotations

from pathlib import Path


def offline_environment(home: Path) -> dict[str, str]:
    """Environment variables; they must be set before any of these libraries is imported."""
    return {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_EVALUATE_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(datasets_cache(home)),
        "TQDM_DISABLE": "1",
        "TOKENIZERS_PARALLELISM": "true",
    }


def datasets_cache(home: Path) -> Path:
    """What datasets makes of the files of a dataset."""
    return home / "cache" / "evaluations" / "datasets"
