"""What MLPerf Inference fixes for llama3.1-8b, each value with its source.

Sources: ``inference/mlperf.conf`` and ``tools/submission/submission_checker/constants.py``
of mlcommons/inference at b66003e1 (2026-08-20), and ``language/llama3.1-8b`` there.
"""

from __future__ import annotations

from enum import StrEnum

from .base import Frozen

LOADGEN_MODEL = "llama3_1-8b"
"""LoadGen's own name, with an underscore: with any other it applies no benchmark settings
and says nothing."""

DATASET_SAMPLES = 13_368
"""CNN/DailyMail 3.0.0, validation split."""

MAX_OUTPUT_TOKENS = 128
MIN_OUTPUT_TOKENS = 1
LONGEST_INPUT_TOKENS = 2_540
MEAN_INPUT_TOKENS = 860
"""Approximate; used to shape the synthetic dataset only."""

OFFICIAL_MIN_DURATION_MS = 600_000
EARLY_STOPPING_MIN_QUERIES = 459
"""Fewest queries with which LoadGen can confirm a 99th percentile (none over the limit)."""

PROMPT_TEMPLATE = (
    "Summarize the following news article in 128 tokens. Please output the summary only, "
    "without any other text.\n\nArticle:\n{input}\n\nSummary:"
)
"""The reference's instruction (``download_cnndm.py``); BOS is put before it, no chat template."""


class Scenario(StrEnum):
    OFFLINE = "Offline"
    SERVER = "Server"


class Mode(StrEnum):
    PERFORMANCE = "performance"
    ACCURACY = "accuracy"


class LatencyLimits(Frozen):
    """Server limits at the 99th percentile, in nanoseconds."""

    ttft_ns: int
    tpot_ns: int


SERVER_LIMITS = LatencyLimits(ttft_ns=2_000_000_000, tpot_ns=100_000_000)


class Seeds(Frozen):
    """LoadGen's three random seeds of a round."""

    qsl: int
    sample_index: int
    schedule: int


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
    """ROUGE references (times 100) and length of the datacenter benchmark.

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


ACCURACY_TARGET = AccuracyTarget(
    rouge1=38.7792,
    rouge2=15.9075,
    rougeL=24.4957,
    rougeLsum=35.793,
    gen_len=8_167_644,
    samples=DATASET_SAMPLES,
)


def round_of_seeds(seeds: Seeds) -> str | None:
    """The MLPerf round to which these seeds belong, or None if to none that we know."""
    return next((name for name, known in SEEDS_BY_ROUND.items() if known == seeds), None)
