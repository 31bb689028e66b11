"""The figure of each scenario by which hosts with one plan are compared."""

from __future__ import annotations

from loadfleet_agent.contract.benchmark import Mode, Scenario
from loadfleet_agent.contract.result import HostResult, PhaseResult

from .model import Speed

NS = 1e9


def host_speeds(result: HostResult) -> tuple[Speed, ...]:
    """One for each performance run that tells a speed; larger is faster.

    Where LoadGen sets the pace, throughput is what was asked for: then the tokens/s of a single
    query count, as the inverse of the median TPOT. Where a host's own rate was searched,
    throughput is its speed again.
    """
    searched = {rate.scenario for rate in result.rates}
    found = []
    for phase in result.phases:
        figure = _figure(phase, phase.scenario in searched)
        if phase.mode is Mode.PERFORMANCE and figure is not None:
            metric, value = figure
            work = phase.input_tokens.mean + phase.output_tokens.mean
            if work > 0:
                found.append(Speed(metric=metric, value=value, work=work))
    return tuple(found)


def _figure(phase: PhaseResult, searched: bool) -> tuple[str, float] | None:
    logged, scenario = phase.loadgen, phase.scenario
    if scenario is Scenario.SINGLE_STREAM:
        latency = logged.latency.percentiles["90.00"] if logged.latency else 0
        return (f"{scenario} queries/s at p90", NS / latency) if latency > 0 else None
    if scenario.paced and not searched:
        median = logged.tpot.percentiles["50.00"] if logged.tpot else 0
        return (f"{scenario} tokens/s of a query", NS / median) if median > 0 else None
    speed = logged.tokens_per_second
    return (f"{scenario} tokens/s", speed) if speed and speed > 0 else None
