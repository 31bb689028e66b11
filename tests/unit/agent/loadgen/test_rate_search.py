"""The search for a rate: its course over a made-up host, and over LoadGen itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract.benchmark import Scenario, Suite
from loadfleet_agent.contract.loadgen_log import read_loadgen_logs
from loadfleet_agent.contract.rate_search import RateSearch
from loadfleet_agent.contract.result import RateProbe, RateResult
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.loadgen.rate_search import Found, search_rate

from ..helpers import plan_of
from .processes import find_rate_apart

SEARCH = RateSearch(probes=12, precision=0.02)


def search(capacity_qps: float, first_qps: float, limits: RateSearch = SEARCH) -> Found:
    """Of a host that holds every rate up to its capacity."""

    def probe(qps: float) -> RateProbe:
        return RateProbe(
            target_qps=qps,
            queries=600,
            duration_s=60,
            samples_per_second=min(qps, capacity_qps),
            ttft_p99_ns=1,
            tpot_p99_ns=1,
            held=qps <= capacity_qps,
            reason="",
        )

    return search_rate(first_qps, limits, probe)


@pytest.mark.parametrize("first", [1.0, 9.0, 9.99, 10.01, 11.0, 50.0])
def test_it_ends_within_the_precision_below_the_capacity(first: float) -> None:
    found = search(10.0, first, RateSearch(probes=30))
    assert found.highest_held_qps is not None
    assert 9.8 <= found.highest_held_qps <= 10.0
    failed = [probe.target_qps for probe in found.probes if not probe.held]
    assert min(failed) - found.highest_held_qps <= 0.02 * min(failed)


def test_no_rate_is_tried_twice_nor_beyond_what_is_known() -> None:
    found = search(10.0, 8.5)
    low, high = 0.0, float("inf")
    for probe in found.probes:
        assert low < probe.target_qps < high
        low, high = (probe.target_qps, high) if probe.held else (low, probe.target_qps)


def test_it_is_bounded_and_gives_the_best_it_knows() -> None:
    found = search(1000.0, 1.0, RateSearch(probes=5))
    assert len(found.probes) == 5
    assert found.highest_held_qps == max(p.target_qps for p in found.probes if p.held)
    assert search(0.001, 1.0, RateSearch(probes=5)).highest_held_qps is None


SHORT: dict[str, Any] = {
    "length": {"samples": 64, "server_queries": 500, "min_duration_ms": 500},
    "offline_target_qps": None,
    "server_target_qps": None,
    "rate_search": {"queries": 459, "duration_s": 10, "probes": 5, "precision": 0.2},
}


def test_offline_is_measured_by_a_burst(tmp_path: Path) -> None:
    plan = plan_of(Suite.DATACENTER, **SHORT)
    assert plan.searched == (Scenario.OFFLINE, Scenario.SERVER)
    folder = tmp_path / "offline-rate"
    outcome = find_rate_apart(plan, "capacity", Scenario.OFFLINE, folder, None)
    found = RateResult.model_validate(outcome["result"])
    (burst,) = found.probes
    assert 0 < burst.samples_per_second <= 210  # the engine serves 200, on a busy machine fewer
    assert found.target_qps == pytest.approx(1.1 * burst.samples_per_second, rel=0.01)
    assert read_loadgen_logs(folder / "offline").sample_count == burst.queries
    assert RateResult.model_validate_json((folder / "rate.json").read_bytes()) == found


def test_a_server_rate_is_found_as_loadgen_judges_each(tmp_path: Path) -> None:
    """The engine serves 200 a second, one after the other: beyond that its queue grows, which a
    short run may not show in its percentiles."""
    length = SHORT["length"] | {"min_duration_ms": 600_000}
    plan = plan_of(Suite.DATACENTER, **(SHORT | {"length": length}))
    folder = tmp_path / "server-rate"
    outcome = find_rate_apart(plan, "capacity", Scenario.SERVER, folder, 200.0)
    found = RateResult.model_validate(outcome["result"])
    assert found.probes[0].target_qps == pytest.approx(170)
    assert found.highest_held_qps < 230
    assert found.target_qps == pytest.approx(0.95 * found.highest_held_qps, rel=0.01)
    failed = [probe for probe in found.probes if not probe.held]
    assert failed
    assert "TTFT p99 " in failed[0].reason
    assert "over 2,000 ms" in failed[0].reason
    for probe in found.probes:
        logged = read_loadgen_logs(folder / f"{probe.target_qps:.4g}-per-s")
        assert logged.valid or not probe.held
        assert logged.target_qps == pytest.approx(probe.target_qps)
        assert logged.sample_count >= 459


def test_a_host_that_is_always_too_slow_says_its_times(tmp_path: Path) -> None:
    plan = plan_of(Suite.DATACENTER, **SHORT)
    folder = tmp_path / "interactive-rate"
    outcome = find_rate_apart(plan, "late", Scenario.INTERACTIVE, folder, 400.0)
    assert outcome["failure"]["code"] == FailureCode.RATE_NOT_FOUND
    assert "none of 5 rates held" in outcome["failure"]["message"]
    assert "TTFT p99 " in outcome["failure"]["message"]
    assert not (folder / "rate.json").exists()
    assert json.loads((tmp_path / "interactive-rate.plan.json").read_text())["rate_search"]
