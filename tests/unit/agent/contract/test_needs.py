"""What a profile needs is refused early, with the number that is short."""

from __future__ import annotations

import pytest
from loadfleet_agent.contract.host import GpuFacts
from loadfleet_agent.contract.needs import Needs, unmet_by_host, unmet_by_model
from loadfleet_agent.contract.roofline import Precision

A30 = GpuFacts(
    index=0, name="NVIDIA A30", uuid="GPU-1", memory_mib=24_576, compute_capability="8.0"
)
T4 = GpuFacts(
    index=1, name="Tesla T4", uuid="GPU-2", memory_mib=15_360, compute_capability="7.5"
)  # fmt: skip
NEEDS = Needs(compute_capability="8.0", memory_gib=22)


def test_gpus_that_have_it_pass() -> None:
    assert unmet_by_host(NEEDS, [A30, A30]) == ""
    assert unmet_by_host(Needs(), [T4]) == ""
    assert unmet_by_host(NEEDS, []) == ""


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        (NEEDS, "GPU 1 (Tesla T4) has 15.0 GiB, the profile needs 22 GiB"),
        (
            Needs(compute_capability="8.0"),
            "GPU 1 (Tesla T4) has compute capability 7.5, the profile needs 8.0",
        ),
        (Needs(compute_capability="10.0"), "GPU 0 (NVIDIA A30) has compute capability 8.0"),
    ],
)
def test_the_gpu_that_has_not_is_named_with_both_numbers(needs: Needs, words: str) -> None:
    assert unmet_by_host(needs, [A30, T4]).startswith(words)


def test_what_a_driver_does_not_tell_is_not_held_against_it() -> None:
    unknown = A30.model_copy(update={"compute_capability": None})
    assert unmet_by_host(NEEDS, [unknown]) == ""


def test_a_model_of_another_precision_is_refused() -> None:
    wanted = Needs(precision=Precision.W8A8)
    assert unmet_by_model(wanted, Precision.W8A8) == ""
    assert unmet_by_model(Needs(), None) == ""
    assert unmet_by_model(wanted, Precision.BF16) == (
        "the model's weights are in bf16, the profile needs w8a8"
    )
    assert "not known here" in unmet_by_model(wanted, None)
