"""A mirror of the hub that has a task's data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..dataset.hub_dataset import DatasetMirror, write_card, write_parquet

GSM8K = "openai/gsm8k"


@pytest.fixture
def gsm8k_mirror(tmp_path: Path) -> Iterator[DatasetMirror]:
    """gsm8k, with a dozen of its questions."""
    folder = tmp_path / "hub" / GSM8K
    rows = [
        {"question": f"What is {number} and {number}?", "answer": f"Twice.\n#### {2 * number}"}
        for number in range(12)
    ]
    files = []
    for split in ("train", "test"):
        write_parquet(folder / "main" / f"{split}-00000-of-00001.parquet", rows)
        files.append({"split": split, "path": f"main/{split}-*"})
    write_card(folder, {"configs": [{"config_name": "main", "data_files": files}]})
    with DatasetMirror(tmp_path / "hub") as served:
        yield served
