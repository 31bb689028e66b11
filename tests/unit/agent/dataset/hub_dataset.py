"""A small dataset in the hub's own format, as abisee/cnn_dailymail has it: a card and Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from hub_mirror import HubMirror
from loadfleet_agent.dataset.articles import write_articles

Row = dict[str, Any]
FEATURES = [{"name": name, "dtype": "string"} for name in ("article", "highlights", "id")]


def make_rows(count: int, seed: int = 3) -> list[Row]:
    """Rows of short articles, no two alike."""
    articles = write_articles([6] * count, seed)
    return [
        {"article": f"{index}. {item.text}", "highlights": item.highlights, "id": f"{index:040x}"}
        for index, item in enumerate(articles)
    ]


def make_card(rows: int, **changes: Any) -> dict[str, Any]:
    """Metadata of a card with two configurations and splits, most of which are not there."""
    splits = [{"name": "train", "num_examples": 287113, "num_bytes": 1}]
    validation = {"name": "validation", "num_examples": rows, "num_bytes": 1}
    return {
        "language": ["en"],
        "license": ["apache-2.0"],
        "dataset_info": [
            {"config_name": "1.0.0", "features": FEATURES, "splits": splits},
            {"config_name": "3.0.0", "features": FEATURES, "splits": [*splits, validation]},
        ],
        "configs": [
            {"config_name": name, "data_files": [_files(name, "train"), _files(name, "validation")]}
            for name in ("1.0.0", "3.0.0")
        ],
    } | changes


def _files(config: str, split: str) -> dict[str, str]:
    return {"split": split, "path": f"{config}/{split}-*"}


def write_card(folder: Path, metadata: dict[str, Any]) -> None:
    """README.md with this metadata, as the hub keeps it."""
    text = yaml.safe_dump(metadata, sort_keys=False)
    (folder / "README.md").write_text(f"---\n{text}---\n# Dataset Card\n", encoding="utf-8")


def write_parquet(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), path)


def write_hub_dataset(folder: Path, rows: Sequence[Row], shards: int = 1) -> Path:
    """The whole: card, and the validation split of 3.0.0 in so many files."""
    for index in range(shards):
        first, last = (len(rows) * step // shards for step in (index, index + 1))
        name = f"validation-{index:05d}-of-{shards:05d}.parquet"
        write_parquet(folder / "3.0.0" / name, rows[first:last])
    write_card(folder, make_card(len(rows)))
    return folder


class DatasetMirror(HubMirror):
    """The same repositories served as datasets, which the hub has under addresses of their own."""

    def __enter__(self) -> DatasetMirror:
        super().__enter__()
        server = self._servers[0]
        server.RequestHandlerClass = type("Handler", (_AsDatasets, server.RequestHandlerClass), {})
        return self


class _AsDatasets(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/api/datasets/"):
            self.path = self.path.replace("/datasets/", "/models/", 1)
        elif self.path.startswith("/datasets/"):
            self.path = self.path.removeprefix("/datasets")
        else:
            self.path = "/of-a-model"
        super().do_GET()  # type: ignore[misc]

    def do_HEAD(self) -> None:
        self.do_GET()
