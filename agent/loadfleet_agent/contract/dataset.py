"""Where a run's samples may come from: one source, or several of which the first that is there."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from .base import Frozen, Line, Sha256, Text
from .benchmark import Suite

DatasetLabel = Literal["mlperf-dataset", "rebuilt", "synthetic"]
"""What samples are: MLPerf's own file, the same made anew by MLPerf's recipe, or made up."""

DATASET_FILES = {
    Suite.DATACENTER: "cnn_eval.json",
    Suite.EDGE: "sample_cnn_eval_5000.json",
}
"""MLPerf's file of each suite, as MLCommons' downloader names it."""

CNN_DAILYMAIL_COMMIT = "96df5e686bee6baa90b8bee7c28b81fa3fa6223d"
"""Of abisee/cnn_dailymail on the Hugging Face hub; pinned, for a branch may move."""


class MlcommonsDataset(Frozen):
    """MLPerf's preprocessed file of the suite, fetched from MLCommons before the run."""

    source: Literal["mlcommons"] = "mlcommons"
    folder: str | None = Field(
        default=None,
        description="folder on the host that holds the file and the record of its origin; "
        "default: <home>/datasets",
    )

    @property
    def label(self) -> DatasetLabel:
        return "mlperf-dataset"


class DatasetFile(Frozen):
    """MLPerf's file from elsewhere: a list of objects with ``input``, ``tok_input``, ``output``."""

    source: Literal["file"] = "file"
    path: str
    sha256: Sha256 | None = Field(default=None, description="refuse a file with another hash")

    @property
    def label(self) -> DatasetLabel:
        return "mlperf-dataset"


class RebuiltDataset(Frozen):
    """MLPerf's samples made anew from CNN/DailyMail, with MLPerf's template and the model's
    tokenizer, as the reference's ``download_cnndm.py`` does."""

    source: Literal["rebuilt"] = "rebuilt"
    repo: str = Field(default="abisee/cnn_dailymail", pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str = Field(
        default=CNN_DAILYMAIL_COMMIT, pattern=r"^[0-9a-f]{40}$", description="commit"
    )
    config: str = Field(default="3.0.0", pattern=r"^[\w][\w.-]*$")
    split: str = Field(default="validation", pattern=r"^\w+$")
    path: str | None = Field(
        default=None,
        description="folder on the host in the hub's own format (README.md and Parquet files); "
        "default: that of repo and revision in <home>/cache/hub, fetched before the run",
    )

    @property
    def label(self) -> DatasetLabel:
        return "rebuilt"


class SyntheticDataset(Frozen):
    """Made-up news articles in MLPerf's template, seeded; never an MLPerf result."""

    source: Literal["synthetic"] = "synthetic"
    seed: int = 0

    @property
    def label(self) -> DatasetLabel:
        return "synthetic"


DatasetSource = Annotated[
    MlcommonsDataset | DatasetFile | RebuiltDataset | SyntheticDataset,
    Field(discriminator="source"),
]


def _as_chain(value: Any) -> Any:
    """A source that stands alone is a chain of one."""
    return value if isinstance(value, (list, tuple)) else (value,)


def _checked(chain: tuple[DatasetSource, ...]) -> tuple[DatasetSource, ...]:
    if not chain:
        raise ValueError("name at least one source")
    for index, source in enumerate(chain):
        if source in chain[:index]:
            raise ValueError(f"the source {source.source} is named twice")
        if source.source == "synthetic" and source is not chain[-1]:
            raise ValueError("synthetic is always there: what stands after it is never used")
    return chain


DatasetChain = Annotated[
    tuple[DatasetSource, ...],
    BeforeValidator(_as_chain, json_schema_input_type=DatasetSource | list[DatasetSource]),
    AfterValidator(_checked),
]
"""Sources in their order. The first that is there is used; one that is there but wrong ends the
run. A source alone may be given without a list."""


class SkippedDataset(Frozen):
    """A source of the chain that was not there."""

    source: Line
    reason: Text


_LABELS: dict[DatasetLabel, str] = {
    "rebuilt": "rebuilt-dataset",
    "synthetic": "synthetic-dataset",
}


def not_mlperf(label: DatasetLabel) -> str | None:
    """What keeps a result on such samples from counting as MLPerf, or None if nothing does."""
    return _LABELS.get(label)
