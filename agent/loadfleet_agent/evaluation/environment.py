"""Where lm_eval and datasets find a task's data, and whether they may ask a network for it.

Environment variables, which must be set before lm_eval or a library of Hugging Face is imported.
"""

from __future__ import annotations

from pathlib import Path


def offline_environment(home: Path) -> dict[str, str]:
    """Of a run: nothing is asked, and no progress is drawn."""
    return {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_EVALUATE_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(datasets_cache(home)),
        "TQDM_DISABLE": "1",
        "TOKENIZERS_PARALLELISM": "true",
    }


def online_environment(home: Path, endpoint: str) -> dict[str, str]:
    """Of who brings the data here, from the hub or a mirror of it."""
    return {
        "HF_ENDPOINT": endpoint,
        "HF_DATASETS_CACHE": str(datasets_cache(home)),
        "HF_HUB_CACHE": str(datasets_cache(home).with_name("hub")),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "0",
        "HF_DATASETS_OFFLINE": "0",
    }


def datasets_cache(home: Path) -> Path:
    """What datasets makes of the files of a dataset."""
    return home / "cache" / "evaluations" / "datasets"
