"""The facts of a host that could make it slow: of the GPUs it used, the worst."""

from __future__ import annotations

from typing import Any

import pytest
from loadfleet_agent.contract.host import GpuFacts
from loadfleet_agent.contract.result import EngineFacts
from loadfleet_aggregator.stragglers.evidence import host_evidence
from loadfleet_aggregator.stragglers.rules import RULES
from loadfleet_aggregator.telemetry import GpuTelemetry, PhaseTelemetry

from ..submission.official_runs import a30_facts

ENGINE = EngineFacts(kind="vllm", version="vllm 0.32.0", start_s=60, settings={}, gpus=(0, 1))


def gpu_facts(index: int, **changes: Any) -> GpuFacts:
    facts = {
        "name": "NVIDIA A30", "memory_mib": 24_576, "power_limit_w": 165.0,
        "power_limit_default_w": 165.0, "ecc_enabled": True, "mig_enabled": False,
        "pcie_generation_max": 4, "pcie_width_max": 16,
    }  # fmt: skip
    return GpuFacts.model_validate(facts | {"index": index, "uuid": f"GPU-{index}"} | changes)


def sensors(gpu: int, **changes: Any) -> GpuTelemetry:
    quiet: dict[str, Any] = {
        "power_mean_w": 160.0, "sm_clock_median_mhz": 1200.0, "temperature_max_c": 60.0,
        "memory_temperature_max_c": None, "utilization_mean_percent": 98.0,
        "memory_used_max_mib": 22_000.0, "pcie_generation_min": 4, "pcie_width_min": 16,
        "pcie_replays": 0, "ecc_corrected": 0, "ecc_uncorrected": 0, "throttled": {},
    }  # fmt: skip
    return GpuTelemetry.model_validate({"gpu": gpu} | quiet | changes)


def evidence(
    facts: tuple[GpuFacts, ...], *gpus: GpuTelemetry, before: tuple[float | None, ...] = ()
) -> dict[str, float | str]:
    host = a30_facts("gpu-01").model_copy(update={"gpus": facts})
    phase = PhaseTelemetry(samples=600, cpu_mean_percent=5.0, memory_used_max_mib=9000, gpus=gpus)
    return host_evidence(host, ENGINE, [phase], before)


PAIR = (gpu_facts(0), gpu_facts(1))


def test_the_worst_gpu_in_use_counts() -> None:
    told = evidence(
        PAIR,
        sensors(0, throttled={"software thermal slowdown": 0.1}),
        sensors(1, sm_clock_median_mhz=900.0, throttled={"hardware thermal slowdown": 0.3}),
        before=(600.0, 9000.0),
    )
    assert told["thermal slowdown share"] == pytest.approx(0.3)
    assert told["SM clock MHz"] == 900
    assert told["GPU memory in use before MiB"] == 9000


def test_a_gpu_that_the_engine_does_not_use_is_left_out() -> None:
    idle = gpu_facts(2, power_limit_w=100.0)
    told = evidence((*PAIR, idle), sensors(0), sensors(1), sensors(2, pcie_width_min=1))
    assert told["power limit share"] == 1.0
    assert told["PCIe lanes share"] == 1.0
    assert told["GPUs in use"] == "2"


def test_links_and_power_are_shares_of_what_the_gpu_can_do() -> None:
    capped = (gpu_facts(0, power_limit_w=115.5), gpu_facts(1))
    told = evidence(capped, sensors(0), sensors(1, pcie_width_min=8, pcie_generation_min=2))
    assert told["power limit share"] == pytest.approx(0.7)
    assert told["PCIe lanes share"] == 0.5
    assert told["PCIe generation share"] == 0.5


def test_settings_are_told_of_all_gpus_at_once() -> None:
    told = evidence((gpu_facts(0), gpu_facts(1, mig_enabled=True)), sensors(0), sensors(1))
    assert told["MIG"] == "off and on"


def test_what_is_not_told_is_absent() -> None:
    silent = gpu_facts(0, power_limit_w=None, mig_enabled=None, pcie_width_max=None)
    told = evidence((silent,), sensors(0, sm_clock_median_mhz=None))
    assert not {"MIG", "power limit share", "PCIe lanes share", "SM clock MHz"} & set(told)
    assert host_evidence(None, None, [], ()) == {"clock off s": 0.0}


def test_every_rule_asks_for_a_fact_that_there_can_be() -> None:
    told = evidence(PAIR, sensors(0), sensors(1), before=(0.0, 0.0))
    assert {rule.fact for rule in RULES} <= set(told)
