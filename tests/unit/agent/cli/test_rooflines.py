"""The physical limits that inspect shows."""

from __future__ import annotations

import pytest
from loadfleet_agent.cli.rooflines import GpuLimits, host_limits, limits_lines
from loadfleet_agent.contract.host import GpuFacts


def gpu(index: int, name: str = "NVIDIA A30", mib: int = 24_576, *, mig: bool = False) -> GpuFacts:
    return GpuFacts(index=index, name=name, uuid=f"GPU-{index}", memory_mib=mib, mig_enabled=mig)


def precisions(found: GpuLimits) -> list[str]:
    return [limits.precision.value for limits in found.limits]


def test_gpus_of_one_kind_have_one_table() -> None:
    found = host_limits([gpu(0), gpu(1, "NVIDIA H100 80GB HBM3", 81_559), gpu(2)])
    assert [(kind.name, kind.gpus) for kind in found] == [
        ("NVIDIA A30", (0, 2)),
        ("NVIDIA H100 80GB HBM3", (1,)),
    ]
    text = "\n".join(limits_lines(found))
    assert "each of GPUs 0, 2 (NVIDIA A30):" in text
    assert text.count("prefill tokens/s") == 2
    assert text.count("One GPU, Llama-3.1-8B") == 1


def test_a_gpu_has_the_precisions_that_it_has_units_for() -> None:
    a30, h100 = host_limits([gpu(0), gpu(1, "NVIDIA H100 80GB HBM3", 81_559)])
    assert precisions(a30) == ["bf16", "w8a8", "w4a16"]
    assert precisions(h100) == ["bf16", "fp8", "w8a8", "w4a16"]


def test_the_table_has_the_numbers_of_the_json_aligned() -> None:
    (found,) = host_limits([gpu(0)])
    _, _, head, *rows = limits_lines([found])[:6]
    assert {len(row) for row in rows} == {len(head)}
    for row, limits in zip(rows, found.model_dump(mode="json")["limits"], strict=True):
        best, (low, high) = limits["roofline"], limits["expected_samples_per_s"]
        assert row.replace(",", "").split() == [
            limits["precision"],
            f"{best['prefill_tokens_per_s']:.0f}",
            f"{best['decode_tokens_per_s']:.0f}",
            str(best["kv_tokens"]),
            str(best["sequences"]),
            f"{best['limit_samples_per_s']:.1f}",
            f"{low:.1f}",
            "to",
            f"{high:.1f}",
        ]


def test_a_precision_in_which_the_model_does_not_fit_says_so() -> None:
    (found,) = host_limits([gpu(0, "NVIDIA A10", 12_288)])
    assert [limits.roofline is None for limits in found.limits] == [True, False, False]
    (row,) = (line for line in limits_lines([found]) if line.startswith("bf16"))
    assert row.split(maxsplit=1)[1] == "does not fit"


@pytest.mark.parametrize(
    ("unusable", "words"),
    [(gpu(0, "Quadro P400", 2048), "not in the table"), (gpu(0, mig=True), "MIG mode")],
    ids=["unknown", "mig"],
)
def test_a_gpu_without_limits_says_why(unusable: GpuFacts, words: str) -> None:
    found = host_limits([unusable])
    _, line = limits_lines(found)
    assert line.startswith(f"GPU 0 ({unusable.name}): ")
    assert words in line


def test_without_gpus_there_is_no_table() -> None:
    assert limits_lines(host_limits([])) == []
