"""What is varied fits the host, the model and the scenario."""

from __future__ import annotations

from typing import Any

import pytest
from loadfleet_agent.contract.benchmark import Scenario
from loadfleet_agent.contract.host import GpuFacts
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.result import ModelFacts
from loadfleet_agent.contract.roofline import Precision
from loadfleet_agent.tune.space import (
    base_settings,
    search_space,
    why_senseless,
    with_settings,
)
from pydantic import ValidationError

from ..helpers import make_plan

A30 = GpuFacts(
    index=0, name="NVIDIA A30", uuid="GPU-1", memory_mib=24_576, compute_capability="8.0"
)
H100 = GpuFacts(
    index=0, name="NVIDIA H100", uuid="GPU-2", memory_mib=81_559, compute_capability="9.0"
)


@pytest.fixture
def model(tiny_model: ModelFacts) -> ModelFacts:
    return tiny_model.model_copy(update={"precision": Precision.BF16})


@pytest.fixture
def plan() -> RunPlan:
    return make_plan(profile="a30-bf16", model={"source": "path", "path": "/models/llama"})


def values(
    plan: RunPlan, gpu: GpuFacts, model: ModelFacts, scenario: Scenario = Scenario.OFFLINE
) -> dict[str, tuple[Any, ...]]:
    return {c.name: c.values for c in search_space(plan, scenario, [gpu], model)}


def test_fp8_is_tried_where_the_gpu_has_it(plan: RunPlan, model: ModelFacts) -> None:
    assert values(plan, H100, model)["quantization"] == (None, "fp8")
    assert values(plan, H100, model)["kv_cache_dtype"] == ("auto", "fp8")


def test_and_nowhere_else(plan: RunPlan, model: ModelFacts) -> None:
    assert "fp8" not in values(plan, A30, model)["quantization"]


def test_a_quantised_checkpoint_stays_as_it_is(plan: RunPlan, model: ModelFacts) -> None:
    quantised = model.model_copy(update={"precision": Precision.W8A8})
    assert "quantization" not in values(plan, A30, quantised)


def test_the_stream_interval_is_of_streams_alone(plan: RunPlan, model: ModelFacts) -> None:
    assert "stream_interval" not in values(plan, A30, model)
    assert 1 in values(plan, A30, model, Scenario.SERVER)["stream_interval"]


def test_prefix_caching_is_never_varied(plan: RunPlan, model: ModelFacts) -> None:
    assert "enable_prefix_caching" not in values(plan, A30, model)


def test_the_profiles_own_value_is_among_them_in_order(model: ModelFacts) -> None:
    odd = make_plan(
        profile="a30-bf16",
        model={"source": "path", "path": "/models/llama"},
        engine={"max_num_seqs": 77},
    )
    found = values(odd, A30, model)["max_num_seqs"]
    assert 77 in found
    assert list(found) == sorted(found)


def test_what_is_kept_is_not_varied(plan: RunPlan, model: ModelFacts) -> None:
    space = search_space(plan, Scenario.OFFLINE, [H100], model, ["quantization"])
    assert "quantization" not in base_settings(plan, space)


def test_a_kept_setting_that_is_none_is_refused(plan: RunPlan, model: ModelFacts) -> None:
    with pytest.raises(ValueError, match="seed is not varied here, only max_num_seqs"):
        search_space(plan, Scenario.OFFLINE, [H100], model, ["seed"])


def test_each_value_makes_a_valid_plan_of_its_own(plan: RunPlan, model: ModelFacts) -> None:
    space = search_space(plan, Scenario.SERVER, [H100], model)
    own = base_settings(plan, space)
    assert with_settings(plan, own) == plan
    for choice in space:
        plans = {with_settings(plan, own | {choice.name: v}).plan_hash for v in choice.values}
        assert len(plans) == len(choice.values)


def test_a_value_that_is_none_is_refused(plan: RunPlan) -> None:
    with pytest.raises(ValidationError):
        with_settings(plan, {"max_num_seqs": 0})


def test_fewer_tokens_than_sequences_in_a_step_make_no_sense(plan: RunPlan) -> None:
    assert "fewer than 2049" in why_senseless(
        {"max_num_seqs": 2049, "max_num_batched_tokens": 2048}, plan
    )
    assert not why_senseless({"max_num_seqs": 2048, "max_num_batched_tokens": 2048}, plan)
