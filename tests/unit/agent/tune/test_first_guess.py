"""The second trial is where a hand would begin: small formats, a batch that fills the memory."""

from __future__ import annotations

from typing import Any

import pytest
from loadfleet_agent.contract.benchmark import Scenario
from loadfleet_agent.contract.host import GpuFacts
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.result import ModelFacts
from loadfleet_agent.contract.roofline import Geometry, Precision
from loadfleet_agent.tune.first_guess import likely_settings
from loadfleet_agent.tune.space import search_space

from ..helpers import make_plan

A30 = GpuFacts(
    index=0, name="NVIDIA A30", uuid="GPU-1", memory_mib=24_576, compute_capability="8.0"
)
H100 = GpuFacts(
    index=0,
    name="NVIDIA H100 80GB HBM3",
    uuid="GPU-2",
    memory_mib=81_559,
    compute_capability="9.0",
)


@pytest.fixture
def model(tiny_model: ModelFacts) -> ModelFacts:
    return tiny_model.model_copy(update={"precision": Precision.BF16, "geometry": Geometry()})


@pytest.fixture
def plan() -> RunPlan:
    path = {"source": "path", "path": "/models/llama"}
    return make_plan(profile="a30-bf16", model=path, generation={"max_tokens": 128})


def guess(
    plan: RunPlan, gpu: GpuFacts, model: ModelFacts, keep: tuple[str, ...] = ()
) -> dict[str, Any] | None:
    space = search_space(plan, Scenario.OFFLINE, [gpu], model, keep)
    return likely_settings(plan, space, [gpu], model, 860)


def test_of_an_h100_is_fp8_and_a_thousand_sequences(plan: RunPlan, model: ModelFacts) -> None:
    """79.6 GiB x 0.94 less 8.5 of weights and 1.2: 1.07 million tokens of 64 KiB, 1,086 samples."""
    found = guess(plan, H100, model)
    assert found is not None
    assert (found["quantization"], found["kv_cache_dtype"]) == ("fp8", "fp8")
    assert found["max_num_seqs"] == 1024
    assert found["gpu_memory_utilization"] == 0.94


def test_of_an_a30_in_bfloat16_is_as_many_as_its_memory_holds(
    plan: RunPlan, model: ModelFacts
) -> None:
    """53 samples: of the values that are tried, the last below."""
    found = guess(plan, A30, model, ("quantization",))
    assert found is not None
    assert found["max_num_seqs"] == 48


def test_what_is_kept_is_not_in_it(plan: RunPlan, model: ModelFacts) -> None:
    found = guess(plan, H100, model, ("quantization", "gpu_memory_utilization"))
    assert found is not None
    assert "quantization" not in found


def test_there_is_none_for_a_gpu_that_is_not_known(plan: RunPlan, model: ModelFacts) -> None:
    unknown = H100.model_copy(update={"name": "NVIDIA Z999"})
    assert guess(plan, unknown, model) is None


def test_nor_for_a_model_that_does_not_fit(plan: RunPlan, model: ModelFacts) -> None:
    large = model.model_copy(update={"geometry": Geometry(layers=320)})
    assert guess(plan, A30, large) is None
