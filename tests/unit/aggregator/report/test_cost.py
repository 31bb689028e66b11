"""Cost of a million output tokens: by hand, and only of what has a price."""

from __future__ import annotations

import pytest
from loadfleet_agent.contract.result import EngineFacts, PhaseResult
from loadfleet_aggregator.fleet.prices import Prices
from loadfleet_aggregator.report.cost import cost_report
from loadfleet_aggregator.report.model import CostReport, EnergyReport

from ..helpers import HostRun

ENERGY = EnergyReport(gpus=2, joules=1e6, joules_per_output_token=0.72, reason="")
NO_ENERGY = EnergyReport(gpus=2, reason="the GPU has no energy counter")


@pytest.fixture
def phase(h100_host: HostRun) -> PhaseResult:
    """An Offline run that did 2,000 tokens a second."""
    result = h100_host.read(h100_host.folder).result
    assert result is not None
    offline = result.phases[0]
    logged = offline.loadgen.model_copy(update={"tokens_per_second": 2000.0})
    return offline.model_copy(update={"loadgen": logged})


def engine(gpus: int) -> EngineFacts:
    return EngineFacts(
        kind="vllm", version="vllm 0", start_s=1, settings={}, gpus=tuple(range(gpus))
    )


def cost(
    phase: PhaseResult, prices: Prices, energy: EnergyReport | None = ENERGY, gpus: int = 2
) -> CostReport | None:
    return cost_report(phase, engine(gpus), energy, prices)


def test_it_is_the_one_by_hand(phase: PhaseResult) -> None:
    found = cost(phase, Prices(per_gpu_hour=1.8, per_kwh=0.25))
    assert found is not None
    # 1e6 tokens take 500 s of 2 GPUs, and 0.72e6 J are 0.2 kWh.
    assert found.gpus == pytest.approx(500 / 3600 * 2 * 1.8)
    assert found.energy == pytest.approx(0.2 * 0.25)
    assert found.total == pytest.approx(0.5 + 0.05)


@pytest.mark.parametrize(
    ("prices", "total"),
    [(Prices(per_gpu_hour=1.8), 0.5), (Prices(per_kwh=0.25), 0.05), (Prices(per_gpu_hour=0), 0)],
    ids=["GPUs", "energy", "free"],
)
def test_what_has_no_price_is_left_out(phase: PhaseResult, prices: Prices, total: float) -> None:
    found = cost(phase, prices)
    assert found is not None
    assert found.total == pytest.approx(total)


@pytest.mark.parametrize("energy", [None, NO_ENERGY], ids=["none", "refused"])
def test_a_price_for_unknown_energy_leaves_no_total(
    phase: PhaseResult, energy: EnergyReport | None
) -> None:
    found = cost(phase, Prices(per_gpu_hour=1.8, per_kwh=0.25), energy)
    assert found is not None
    assert found.gpus == pytest.approx(0.5)
    assert (found.energy, found.total) == (None, None)


def test_without_a_price_or_a_gpu_there_is_no_cost(phase: PhaseResult) -> None:
    assert cost(phase, Prices()) is None
    assert cost(phase, Prices(per_gpu_hour=1.8), gpus=0) is None


def test_an_amount_that_no_number_holds_is_left_out(phase: PhaseResult) -> None:
    dear = ENERGY.model_copy(update={"joules_per_output_token": 1e308})
    found = cost(phase, Prices(per_kwh=1e9), dear)
    assert found is not None
    assert (found.energy, found.total) == (None, None)
