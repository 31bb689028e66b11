"""The roofline against arithmetic by hand and against what was measured."""

from __future__ import annotations

import pytest
from loadfleet_agent.contract.roofline import (
    Geometry,
    Precision,
    Roofline,
    gpu_model,
    roofline,
)

MIB = 1 << 20
A30 = "NVIDIA A30"
H100 = "NVIDIA H100 80GB HBM3"


def of(
    name: str, mib: int, precision: Precision, *, sequences: int | None = None
) -> Roofline | None:
    gpu = gpu_model(name)
    assert gpu is not None
    return roofline(
        gpu, name, mib * MIB, precision,
        prompt_tokens=860, answer_tokens=128, max_sequences=sequences,
    )  # fmt: skip


def test_the_geometry_is_llamas() -> None:
    geometry = Geometry()
    norms = 65 * 4096
    assert geometry.layer_weights + 2 * geometry.head_weights + norms == 8_030_261_248
    assert geometry.kv_bytes(2) == 128 * 1024


@pytest.mark.parametrize(
    ("precision", "gib", "sequences"),
    [(Precision.BF16, 14.96, 49), (Precision.W8A8, 8.46, 103), (Precision.W4A16, 5.31, 129)],
)
def test_an_a30_holds_what_its_memory_leaves(
    precision: Precision, gib: float, sequences: int
) -> None:
    """24 GiB x 0.92 less weights and 1.2 GiB, at 128 KiB a token and 988 tokens a sample."""
    found = of(A30, 24_576, precision)
    assert found is not None
    assert found.weight_gib == pytest.approx(gib, abs=0.005)
    assert found.sequences == sequences
    by_hand = (24 * 0.92 - found.weight_gib - 1.2) * 2**30 / (128 * 1024)
    assert found.kv_tokens == pytest.approx(by_hand, abs=1)


def test_the_limits_of_an_a30_in_bfloat16_are_those_by_hand() -> None:
    found = of(A30, 24_576, Precision.BF16)
    assert found is not None
    # 988 tokens through 6.98 G weights, 128 through the output projection, attention on top.
    operations = 2 * (6_979_321_856 * 988 + 525_336_576 * 128) + 2 * 32 * 4096 * 988**2
    arithmetic_s = operations / 165e12
    batch = found.kv_tokens / (860 + 128 / 2)  # each sequence has half of its answer on average
    step_s = ((6_979_321_856 + 525_336_576) * 2 / batch + 131_072 * 924) / 933e9
    memory_s = 128 * step_s
    assert found.limit_samples_per_s == pytest.approx(1 / max(arithmetic_s, memory_s))
    assert found.serial_samples_per_s == pytest.approx(1 / (arithmetic_s + memory_s))
    assert found.decode_tokens_per_s == pytest.approx(1 / step_s)


@pytest.mark.parametrize(("precision", "measured"), [(Precision.BF16, 33.5), (Precision.FP8, 48.3)])
def test_what_was_measured_on_an_h100_is_within_what_is_expected(
    precision: Precision, measured: float
) -> None:
    """vLLM 0.26, 512 sequences, Llama-3.1-8B's geometry, prompts of 860 tokens on average."""
    found = of(H100, 81_559, precision, sequences=512)
    assert found is not None
    low, high = found.expected_samples_per_s
    assert low < measured < high < found.limit_samples_per_s


def test_a_precision_without_units_saves_memory_only() -> None:
    bf16, fp8, int8 = (of(A30, 24_576, p) for p in (Precision.BF16, Precision.FP8, Precision.W8A8))
    assert bf16
    assert fp8
    assert int8
    assert fp8.prefill_tokens_per_s == bf16.prefill_tokens_per_s
    assert int8.prefill_tokens_per_s == pytest.approx(2 * bf16.prefill_tokens_per_s)
    assert fp8.kv_tokens > bf16.kv_tokens


def test_a_gpu_that_cannot_hold_the_model_has_no_roofline() -> None:
    assert of("NVIDIA A10", 12_288, Precision.BF16) is None


@pytest.mark.parametrize(
    ("name", "gigabytes_per_s"),
    [
        (A30, 933),
        ("NVIDIA A100-SXM4-80GB", 2039),
        ("NVIDIA A100-PCIE-40GB", 1555),
        ("NVIDIA H100 PCIe", 2039),
        (H100, 3352),
        ("NVIDIA H200", 4800),
        ("NVIDIA L40S", 864),
        ("NVIDIA L4", 300),
    ],
)
def test_a_gpu_is_known_by_nvmls_name(name: str, gigabytes_per_s: float) -> None:
    gpu = gpu_model(name)
    assert gpu is not None
    assert gpu.memory_bytes_per_s == gigabytes_per_s * 1e9


def test_several_gpus_are_as_one_that_is_so_much_faster() -> None:
    gpu = gpu_model(H100)
    assert gpu is not None
    two = gpu.times(2)
    for precision in Precision:
        assert two.peak(precision) == 2 * gpu.peak(precision)
    assert two.memory_bytes_per_s == 2 * gpu.memory_bytes_per_s
    a30 = gpu_model(A30)
    assert a30 is not None
    assert a30.times(2).precisions == a30.precisions


def test_an_unknown_gpu_has_no_peaks() -> None:
    assert gpu_model("Quadro P400") is None
