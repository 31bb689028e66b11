"""What MLPerf Inference fixes for llama3.1-8b, each value with its source.

Sources: ``inference/mlperf.conf`` and ``tools/submission/submission_checker/constants.py``
of mlcommons/inference at b66003e1 (2026-08-20), and ``language/llama3.1-8b`` there.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .base import Frozen

DATASET_SAMPLES = 13_368
"""CNN/DailyMail 3.0.0, validation split."""
EDGE_SAMPLES = 5_000
"""Of these, in MLPerf's own selection."""

MAX_OUTPUT_TOKENS = 128
MIN_OUTPUT_TOKENS = 1
LONGEST_INPUT_TOKENS = 2_540
MEAN_INPUT_TOKENS = 860
"""Approximate; shapes the synthetic dataset, and limits that are told before a run."""

OFFICIAL_MIN_DURATION_MS = 600_000
EARLY_STOPPING_MIN_QUERIES = 459
"""Fewest queries with which LoadGen can confirm a 99th percentile (none over the limit)."""

PROMPT_TEMPLATE = (
    "Summarize the following news article in 128 tokens. Please output the summary only, "
    "without any other text.\n\nArticle:\n{input}\n\nSummary:"
)
"""The reference's instruction (``download_cnndm.py``); BOS is put before it, no chat template."""


class Suite(StrEnum):
    """MLPerf's two suites; each is a benchmark of its own with its samples and targets."""

    DATACENTER = "datacenter"
    EDGE = "edge"


class Scenario(StrEnum):
    OFFLINE = "Offline"
    SERVER = "Server"
    INTERACTIVE = "Interactive"
    """LoadGen's Server scenario under limits of its own."""
    SINGLE_STREAM = "SingleStream"

    @property
    def streams(self) -> bool:
        """Whether LoadGen is told of each first token."""
        return self is not Scenario.OFFLINE

    @property
    def paced(self) -> bool:
        """Whether LoadGen sends queries at a rate, which latency limits bound."""
        return self in LATENCY_LIMITS

    @property
    def loadgen(self) -> str:
        """LoadGen's own name of it: it knows no Interactive, and takes the word in silence."""
        return "Server" if self is Scenario.INTERACTIVE else self.value


class Mode(StrEnum):
    PERFORMANCE = "performance"
    ACCURACY = "accuracy"
    TEST06 = "test06"
    """MLPerf's compliance test of tokens: a short performance run with a full log of some."""


class LatencyLimits(Frozen):
    """Limits at the 99th percentile, in nanoseconds."""

    ttft_ns: int
    tpot_ns: int


LATENCY_LIMITS = {
    Scenario.SERVER: LatencyLimits(ttft_ns=2_000_000_000, tpot_ns=100_000_000),
    Scenario.INTERACTIVE: LatencyLimits(ttft_ns=500_000_000, tpot_ns=30_000_000),
}

SCENARIOS = {
    Suite.DATACENTER: (Scenario.OFFLINE, Scenario.SERVER, Scenario.INTERACTIVE),
    Suite.EDGE: (Scenario.SINGLE_STREAM, Scenario.OFFLINE),
}
"""What each suite has. Closed datacenter asks for Offline with Server or Interactive, edge for
both (``inference_policies`` at ac93e89c)."""


def loadgen_model(suite: Suite, scenario: Scenario) -> str:
    """LoadGen's name of the benchmark, with an underscore: with any other it applies no
    settings of the benchmark and says nothing."""
    if suite is Suite.EDGE:
        return "llama3_1-8b-edge"
    return "llama3_1-8b-interactive" if scenario is Scenario.INTERACTIVE else "llama3_1-8b"


class AuditSettings(Frozen):
    """TEST06's audit.config (``compliance/TEST06`` of mlcommons/inference)."""

    accuracy_log_rng_seed: int = 720381539243781796
    accuracy_log_sampling_target: int = 100
    min_query_count: int = 100
    min_duration_ms: int = 0


TEST06 = AuditSettings()


Seed = Annotated[int, Field(ge=0, lt=2**64)]


class Seeds(Frozen):
    """LoadGen's three random seeds of a round."""

    qsl: Seed
    sample_index: Seed
    schedule: Seed


SEEDS_BY_ROUND = {
    "v5.0": Seeds(
        qsl=6023615788873153749,
        sample_index=15036839855038426416,
        schedule=9933818062894767841,
    ),
    "v5.1": Seeds(
        qsl=1780908523862526354,
        sample_index=14771362308971278857,
        schedule=18209322760996052031,
    ),
    "v6.0": Seeds(
        qsl=2465351861681999779,
        sample_index=14276810075590677512,
        schedule=3936089224930324775,
    ),
    "v6.1": Seeds(
        qsl=2085463073848966840,
        sample_index=2747215439041700203,
        schedule=16159082839903944936,
    ),
}


class AccuracyTarget(Frozen):
    """ROUGE references (times 100) and length of a benchmark.

    A result passes at 99 % of each ROUGE reference and within 90 % to 110 % of
    ``gen_len``, which counts characters, not tokens (``evaluation.py`` sums
    ``len(text)``).
    """

    rouge1: float
    rouge2: float
    rougeL: float  # noqa: N815 - the metric's own name
    rougeLsum: float  # noqa: N815
    gen_len: int
    samples: int

    @property
    def rouge_minimum(self) -> dict[str, float]:
        """Metric name to the least value that passes."""
        return {
            name: round(0.99 * getattr(self, name), 6)
            for name in ("rouge1", "rouge2", "rougeL", "rougeLsum")
        }

    @property
    def gen_len_range(self) -> tuple[float, float]:
        return round(0.9 * self.gen_len, 1), round(1.1 * self.gen_len, 1)


ACCURACY_TARGETS = {
    Suite.DATACENTER: AccuracyTarget(
        rouge1=38.7792,
        rouge2=15.9075,
        rougeL=24.4957,
        rougeLsum=35.793,
        gen_len=8_167_644,
        samples=DATASET_SAMPLES,
    ),
    Suite.EDGE: AccuracyTarget(
        rouge1=39.06,
        rouge2=16.1147,
        rougeL=24.6375,
        rougeLsum=36.124,
        gen_len=3_051_113,
        samples=EDGE_SAMPLES,
    ),
}


def dataset_samples(suite: Suite) -> int:
    """How many samples a run of official length uses."""
    return ACCURACY_TARGETS[suite].samples


def round_of_seeds(seeds: Seeds) -> str | None:
    """The MLPerf round to which these seeds belong, or None if to none that we know."""
    return next((name for name, known in SEEDS_BY_ROUND.items() if known == seeds), None)
