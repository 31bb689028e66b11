"""Energy of a run is that of the GPUs which its engine used, over its own tokens."""

from __future__ import annotations

from typing import Any

import pytest
from loadfleet_agent.contract.energy import GpuEnergy, PhaseEnergy
from loadfleet_agent.contract.result import HostResult
from loadfleet_aggregator.report.energy import energy_report

from ..helpers import HostRun


def used(gpu: int, joules: float | None = 90_000.0, reason: str = "") -> GpuEnergy:
    power = None if joules is None else joules / 600
    return GpuEnergy(
        gpu=gpu, joules=joules, joules_by_power=joules, mean_power_w=power, reason=reason
    )


@pytest.fixture
def result(h100_host: HostRun) -> HostResult:
    found = h100_host.read(h100_host.folder).result
    assert found is not None
    return found


def measured(result: HostResult, *gpus: GpuEnergy, engine: tuple[int, ...] = (0,)) -> HostResult:
    """The result with these for its first run, and an engine on those GPUs."""
    assert result.engine is not None
    changes: dict[str, Any] = {
        "energy": (PhaseEnergy(phase=result.phases[0].name, gpus=gpus),),
        "engine": result.engine.model_copy(update={"gpus": engine}),
    }
    return result.model_copy(update=changes)


def test_it_is_the_energy_over_the_tokens(result: HostResult) -> None:
    phase = result.phases[0]
    found = energy_report(phase, measured(result, used(0)))
    assert found is not None
    assert (found.joules, found.mean_power_w, found.reason) == (90_000, 150, "")
    tokens = phase.output_tokens.mean * phase.output_tokens.count
    assert found.joules_per_output_token == pytest.approx(90_000 / tokens)
    speed = phase.loadgen.tokens_per_second
    assert speed
    assert found.tokens_per_second_per_watt == pytest.approx(speed / 150)


def test_gpus_that_the_engine_does_not_use_are_left_out(result: HostResult) -> None:
    of_three = measured(result, used(0), used(1, 1e9), used(2), engine=(0, 2))
    found = energy_report(result.phases[0], of_three)
    assert found is not None
    assert (found.gpus, found.joules, found.mean_power_w) == (2, 180_000, 300)


def test_one_gpu_without_energy_leaves_none_and_says_why(result: HostResult) -> None:
    broken = measured(result, used(0), used(1, None, "3 samples are too few"), engine=(0, 1))
    found = energy_report(result.phases[0], broken)
    assert found is not None
    assert (found.joules, found.joules_per_output_token) == (None, None)
    assert found.reason == "GPU 1: 3 samples are too few"


def test_a_gpu_that_telemetry_lacks_is_a_reason(result: HostResult) -> None:
    found = energy_report(result.phases[0], measured(result, used(0), engine=(0, 1)))
    assert found is not None
    assert found.joules is None
    assert "lacks a GPU" in found.reason


def test_an_engine_without_gpus_has_no_energy(result: HostResult) -> None:
    assert energy_report(result.phases[0], measured(result, used(0), engine=())) is None


def test_a_run_that_was_not_measured_has_none(result: HostResult) -> None:
    assert energy_report(result.phases[1], measured(result, used(0))) is None


def test_numbers_that_add_up_to_no_number_are_refused(result: HostResult) -> None:
    gpus = (used(0, 5e-320), used(1, 5e-320))  # so little that tokens/s per watt has no end
    found = energy_report(result.phases[0], measured(result, *gpus, engine=(0, 1)))
    assert found is not None
    assert (found.joules, found.reason) == (None, "the numbers that the host tells make no sense")
