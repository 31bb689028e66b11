"""The limit of a run is that of its own GPUs, precision, engine and lengths, or says why not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from loadfleet_agent.contract.benchmark import Mode, Scenario
from loadfleet_agent.contract.host import GpuFacts, HostFacts
from loadfleet_agent.contract.result import EngineFacts, ModelFacts, PhaseResult
from loadfleet_agent.contract.roofline import Geometry, Precision
from loadfleet_aggregator.report.limit import physical_limit
from loadfleet_aggregator.report.model import PhysicalLimit
from pydantic import ValidationError

from ..helpers import HostRun


@dataclass(frozen=True)
class Told:
    """What a host tells of a run."""

    phase: PhaseResult
    engine: EngineFacts
    model: ModelFacts
    facts: HostFacts

    def asked(self) -> tuple[PhysicalLimit | None, str]:
        return physical_limit(self.phase, self.engine, self.model, self.facts)

    def limit(self) -> PhysicalLimit:
        found, reason = self.asked()
        assert found is not None, reason
        return found

    def with_engine(self, **settings: Any) -> Told:
        changed = self.engine.model_copy(update={"settings": self.engine.settings | settings})
        return replace(self, engine=changed)

    def with_model(self, **changes: Any) -> Told:
        return replace(self, model=self.model.model_copy(update=changes))

    def with_phase(self, **changes: Any) -> Told:
        return replace(self, phase=self.phase.model_copy(update=changes))

    def with_gpus(self, *gpus: dict[str, Any]) -> Told:
        """These instead of the one, each with what is not as its own; the engine uses all."""
        one = self.facts.gpus[0]
        told: list[GpuFacts] = [
            one.model_copy(update={"index": index} | gpu) for index, gpu in enumerate(gpus)
        ]
        engine = self.engine.model_copy(update={"gpus": tuple(range(len(gpus)))})
        facts = self.facts.model_copy(update={"gpus": tuple(told)})
        return replace(self, facts=facts, engine=engine)


@pytest.fixture
def told(h100_host: HostRun) -> Told:
    bundle = h100_host.read(h100_host.folder)
    assert bundle.result
    assert bundle.result.engine
    assert bundle.result.model
    assert bundle.facts
    return Told(bundle.result.phases[0], bundle.result.engine, bundle.result.model, bundle.facts)


def test_it_is_the_one_by_hand_for_the_runs_own_lengths(told: Told) -> None:
    prompt, answer = told.phase.input_tokens.mean, told.phase.output_tokens.mean
    tokens = prompt + answer
    operations = 2 * (6_979_321_856 * tokens + 525_336_576 * answer) + 2 * 32 * 4096 * tokens**2
    samples_per_s = 989e12 / operations
    limit = told.limit()
    assert (limit.gpus, limit.replicas, limit.precision) == (1, 1, Precision.BF16)
    assert limit.limit_samples_per_second == pytest.approx(samples_per_s, rel=1e-6)
    assert limit.limit_tokens_per_second == pytest.approx(samples_per_s * answer, rel=1e-6)
    assert limit.bound_by == "arithmetic"
    measured = told.phase.loadgen.samples_per_second
    assert measured is not None
    assert limit.reached == pytest.approx(measured / samples_per_s, rel=1e-6)


def test_the_kv_cache_is_as_the_engine_measured_it(told: Told) -> None:
    limit = told.limit()
    tokens = told.phase.input_tokens.mean + told.phase.output_tokens.mean
    assert limit.kv_tokens == 28_000 * 16
    assert limit.sequences == int(28_000 * 16 / tokens)
    assert told.with_engine(max_num_seqs=64).limit().sequences == 64


def test_a_cache_that_the_engine_does_not_tell_is_what_memory_leaves(told: Told) -> None:
    untold = told.with_engine(kv_cache_blocks=None)
    sixteen_bit, fp8 = (untold.with_engine(kv_cache_dtype=d).limit() for d in ("auto", "fp8_e4m3"))
    assert sixteen_bit.kv_tokens == pytest.approx(467_915, rel=0.001)
    assert fp8.kv_tokens == pytest.approx(2 * sixteen_bit.kv_tokens, rel=0.001)


def test_few_sequences_are_bound_by_memory_traffic(told: Told) -> None:
    limit = told.with_engine(max_num_seqs=2).limit()
    assert limit.bound_by == "memory traffic"
    decode_s = told.phase.output_tokens.mean / limit.decode_tokens_per_second
    assert limit.limit_samples_per_second == pytest.approx(1 / decode_s)


@pytest.mark.parametrize(
    ("stored", "quantization", "precision"),
    [
        (Precision.BF16, None, Precision.BF16),
        (Precision.BF16, "fp8", Precision.FP8),
        (Precision.FP8, "compressed-tensors", Precision.FP8),
        (Precision.W8A8, "compressed-tensors", Precision.W8A8),
        (Precision.W4A16, "gptq_marlin", Precision.W4A16),
    ],
)
def test_the_precision_is_what_the_engine_computes_in(
    told: Told, stored: Precision, quantization: str | None, precision: Precision
) -> None:
    limit = told.with_model(precision=stored).with_engine(quantization=quantization).limit()
    assert limit.precision is precision
    factor = 1979 / 989 if precision in (Precision.FP8, Precision.W8A8) else 1
    once = told.limit().limit_samples_per_second
    assert limit.limit_samples_per_second == pytest.approx(factor * once, rel=1e-6)


def test_replicas_add_up(told: Told) -> None:
    one, four = told.limit(), told.with_gpus({}, {}, {}, {}).limit()
    assert (four.gpus, four.replicas) == (4, 4)
    assert four.limit_samples_per_second == pytest.approx(4 * one.limit_samples_per_second)
    assert four.reached == pytest.approx(one.reached / 4)
    assert four.sequences == one.sequences


def test_gpus_that_share_a_model_are_one_engine(told: Told) -> None:
    pairs = told.with_gpus({}, {}, {}, {}).with_engine(tensor_parallel_size=2).limit()
    assert (pairs.gpus, pairs.replicas) == (4, 2)
    once = told.limit().limit_samples_per_second
    assert pairs.limit_samples_per_second == pytest.approx(4 * once)
    untold = told.with_engine(kv_cache_blocks=None)
    two = untold.with_gpus({}, {}).with_engine(tensor_parallel_size=2).limit()
    assert two.kv_tokens > 2 * untold.limit().kv_tokens  # one copy of the weights, not two


def test_only_offline_has_an_expectation(told: Told) -> None:
    offline = told.limit().expected
    assert offline is not None
    assert 0.3 < offline[0] < offline[1] < 0.6
    assert told.with_phase(scenario=Scenario.SERVER).limit().expected is None


@pytest.mark.parametrize(
    "changes",
    [{"scenario": Scenario.SINGLE_STREAM}, {"mode": Mode.ACCURACY}],
    ids=["SingleStream", "accuracy"],
)
def test_other_runs_have_no_limit(told: Told, changes: dict[str, Any]) -> None:
    assert told.with_phase(**changes).asked() == (None, "")


def test_a_run_without_a_gpu_has_no_limit(told: Told) -> None:
    assert told.with_gpus().asked() == (None, "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.with_gpus({"name": "Quadro P400"}), "peaks of Quadro P400"),
        (lambda t: t.with_gpus({}, {"name": "NVIDIA A30"}), "not of one kind"),
        (lambda t: t.with_gpus({"mig_enabled": True}), "MIG mode"),
        (lambda t: t.with_gpus({"index": 7}), "does not tell of all GPUs"),
        (lambda t: t.with_gpus({}, {}, {}).with_engine(tensor_parallel_size=2), "whole engines"),
        (lambda t: t.with_model(precision=None), "form of the weights"),
        (lambda t: t.with_model(geometry=None), "shape of the model"),
        (lambda t: t.with_engine(quantization="bitsandbytes"), "quantization bitsandbytes"),
        (lambda t: t.with_engine(dtype="torch.float32"), "dtype float32"),
        (lambda t: t.with_engine(kv_cache_dtype="int4"), "KV cache of int4"),
        (lambda t: t.with_engine(kv_cache_blocks=2), "does not fit"),
        (
            lambda t: t.with_engine(kv_cache_blocks=None, gpu_memory_utilization=None),
            "share of the memory",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_known_is_said(told: Told, change: Any, words: str) -> None:
    found, reason = change(told).asked()
    assert found is None
    assert words in reason


def test_a_size_that_no_model_has_is_refused(told: Told) -> None:
    with pytest.raises(ValidationError):
        Geometry(layers=10**400)
    most = dict.fromkeys(Geometry.model_fields, 2**32)
    found, reason = told.with_model(geometry=Geometry.model_validate(most)).asked()
    assert found is None
    assert reason


@pytest.mark.parametrize("mean", [0.0, -5.0, 1e308])
def test_lengths_that_no_sample_has_are_refused(told: Told, mean: float) -> None:
    lengths = told.phase.input_tokens.model_copy(update={"mean": mean})
    for changes in ({"output_tokens": lengths}, {"input_tokens": lengths}):
        found, reason = told.with_phase(**changes).asked()
        assert found is None, changes
        assert reason
