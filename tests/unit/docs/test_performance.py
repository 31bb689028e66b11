"""The table of the A30's limits is what the code computes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from loadfleet_agent.contract.benchmark import MAX_OUTPUT_TOKENS, MEAN_INPUT_TOKENS
from loadfleet_agent.contract.profile import load_profile
from loadfleet_agent.contract.roofline import gpu_model, roofline

PAGE = Path(__file__).parents[3] / "docs" / "performance.md"
A30 = "NVIDIA A30"
A30_BYTES = 24_576 << 20


@pytest.mark.parametrize("name", ["a30-bf16", "a30-w8a8", "a30-w4a16"])
def test_the_limits_of_an_a30_profile_are_current(name: str) -> None:
    profile, gpu = load_profile(name), gpu_model(A30)
    assert gpu is not None
    assert profile.needs.precision is not None
    found = roofline(
        gpu,
        A30,
        A30_BYTES,
        profile.needs.precision,
        prompt_tokens=MEAN_INPUT_TOKENS,
        answer_tokens=MAX_OUTPUT_TOKENS,
        memory_share=profile.engine.gpu_memory_utilization,
        max_sequences=profile.engine.max_num_seqs,
    )
    assert found is not None
    low, high = found.expected_samples_per_s
    row = (
        f"| `{name}` | {found.weight_gib:.1f} | {found.kv_tokens:,} | {found.sequences} "
        f"| {found.prefill_tokens_per_s:,.0f} | {found.decode_tokens_per_s:,.0f} "
        f"| {found.limit_samples_per_s:.1f} | {found.serial_samples_per_s:.1f} "
        f"| {low:.1f} to {high:.1f} |"
    )
    assert row in PAGE.read_text("utf-8").splitlines()


def test_every_log_that_the_page_names_is_there() -> None:
    named = re.findall(r"\]\(\.\./(benchmarks/[^)]+)\)", PAGE.read_text("utf-8"))
    assert all((PAGE.parents[1] / name).exists() for name in named)
