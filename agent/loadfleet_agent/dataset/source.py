"""What every source of samples has in common: what is wanted of it, what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..contract.benchmark import Suite, dataset_samples
from ..contract.dataset import DatasetSource
from ..contract.plan import RunPlan
from ..contract.status import FailureCode
from ..failure import RunFailure
from ..model.tokenizer import ModelTokenizer


class NotThere(Exception):
    """A source of a chain is not on this host; the text says what was looked for."""


@dataclass(frozen=True)
class Wanted:
    """The samples that a plan needs."""

    suite: Suite
    samples: int
    official: bool
    """A run of official length, which takes all samples of the suite and no others."""

    @classmethod
    def of(cls, plan: RunPlan) -> Wanted:
        return cls(plan.suite, plan.samples, plan.length.kind == "official")

    def require(self, found: int, where: str) -> None:
        """Raises RunFailure (dataset-invalid) if a source of ``found`` samples does not do."""
        all_of_them = dataset_samples(self.suite)
        if self.official and found != all_of_them:
            raise RunFailure(
                FailureCode.DATASET_INVALID,
                f"{where}: {found} samples, MLPerf's {self.suite} suite has {all_of_them}",
            )
        if found < self.samples:
            raise RunFailure(
                FailureCode.DATASET_INVALID,
                f"{where}: {found} samples, {self.samples} are needed",
            )


@dataclass(frozen=True)
class Samples:
    """Prompts as token ids and their references; index i is LoadGen's sample i."""

    prompts: list[list[int]]
    references: list[str]
    origin: str
    """File and its hash, or the generator and its seed."""


@dataclass(frozen=True)
class Found:
    """A source that is on this host, not read yet."""

    source: DatasetSource
    identity: str
    """Changes when the content does; found without reading it whole."""
    read: Callable[[ModelTokenizer], Samples]
    """Raises RunFailure if what is there is not what it should be."""
