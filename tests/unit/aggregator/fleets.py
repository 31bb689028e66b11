"""Reports of whole fleets: a real report of one host, whose host is there several times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loadfleet_agent.contract.benchmark import Mode, Scenario
from loadfleet_agent.contract.loadgen_log import LatencyNs
from loadfleet_agent.contract.result import Accuracy, RougeScore
from loadfleet_aggregator.report.model import FleetReport, HostReport, PhaseReport
from loadfleet_aggregator.verdict import Verdict, VerdictKind

LOST = Verdict(kind=VerdictKind.FAILED, phase="load", reason="no memory | left <b>\x1b[31m @all")
SCORE = RougeScore(rouge1=38, rouge2=15, rougeL=24, rougeLsum=35, gen_len=8_000_000, gen_num=13_368)


def fleet_of(report: FleetReport, speeds: Mapping[str, float], **changes: Any) -> FleetReport:
    """Hosts of these names, each so many times as fast as the report's only host."""
    (host,) = report.hosts
    hosts = [at_speed(host, speed).model_copy(update={"name": n}) for n, speed in speeds.items()]
    # Sums and ratios would be those of the one host.
    return report.model_copy(update={"hosts": tuple(hosts), "scenarios": (), **changes})


def at_speed(host: HostReport, factor: float) -> HostReport:
    """Tokens times the factor, latencies divided by it."""
    return host.model_copy(update={"phases": tuple(_at_speed(p, factor) for p in host.phases)})


def changed_host(report: FleetReport, name: str, **changes: Any) -> FleetReport:
    """The report in which one host tells something else."""
    assert name in {host.name for host in report.hosts}
    hosts = (h.model_copy(update=changes if h.name == name else {}) for h in report.hosts)
    return report.model_copy(update={"hosts": tuple(hosts)})


def lost(report: FleetReport, name: str) -> FleetReport:
    """The report in which a host failed before it measured anything."""
    return changed_host(
        report, name, verdict=LOST, phases=(), accuracy=(), model=None, dataset=None, engine=None
    )


def without(report: FleetReport, *scenarios: Scenario) -> FleetReport:
    """The report of a run that had not these scenarios."""
    hosts = (
        host.model_copy(
            update={"phases": tuple(p for p in host.phases if p.scenario not in scenarios)}
        )
        for host in report.hosts
    )
    return report.model_copy(update={"hosts": tuple(hosts)})


def rouge(passed: bool | None, reason: str = "") -> tuple[Accuracy, ...]:
    return (
        Accuracy(
            scenario=Scenario.OFFLINE,
            score=SCORE,
            applicable=passed is not None,
            reason=reason,
            passed=passed,
        ),
    )


def single_stream(report: FleetReport) -> FleetReport:
    """The report as if its Offline run had been one of SingleStream, which has the same fields."""
    hosts: Sequence[HostReport] = [
        host.model_copy(
            update={
                "phases": tuple(
                    phase.model_copy(update={"scenario": Scenario.SINGLE_STREAM})
                    for phase in host.phases
                    if phase.scenario is Scenario.OFFLINE
                )
            }
        )
        for host in report.hosts
    ]
    return report.model_copy(update={"hosts": tuple(hosts), "plans": {}})


def _at_speed(phase: PhaseReport, factor: float) -> PhaseReport:
    assert phase.mode == Mode.PERFORMANCE
    assert phase.tokens_per_second is not None
    slower = {
        name: _divided(latency, factor)
        for name in ("latency", "ttft", "tpot")
        if (latency := getattr(phase, name)) is not None
    }
    return phase.model_copy(
        update={"tokens_per_second": phase.tokens_per_second * factor, **slower}
    )


def _divided(latency: LatencyNs, factor: float) -> LatencyNs:
    percentiles = {name: round(value / factor) for name, value in latency.percentiles.items()}
    return latency.model_copy(update={"percentiles": percentiles})
