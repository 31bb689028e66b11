"""Each scenario over the hosts of each group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from loadfleet_agent.contract.benchmark import Mode, Scenario

from .model import HostReport, HostThroughput, PhaseReport, ScenarioReport
from .performance import counts


def scenario_reports(hosts: Sequence[HostReport]) -> tuple[ScenarioReport, ...]:
    """Performance runs that tell a throughput, by group and scenario."""
    found: dict[tuple[str, Scenario], list[tuple[HostReport, PhaseReport]]] = defaultdict(list)
    for host in hosts:
        for phase in host.phases:
            if phase.mode == Mode.PERFORMANCE and phase.tokens_per_second and host.group:
                found[host.group, phase.scenario].append((host, phase))
    order = sorted(found, key=lambda key: (key[0], list(Scenario).index(key[1])))
    return tuple(_apart(_scenario(*key, found[key]), found) for key in order)


def _apart(report: ScenarioReport, ran: Collection[tuple[str, Scenario]]) -> ScenarioReport:
    """Says of which groups the numbers are not to be held against these."""
    others = sorted(group for group, of in ran if of is report.scenario and group != report.group)
    if not others:
        return report
    groups = f"group{'s' if len(others) > 1 else ''} {', '.join(others)}"
    note = f"{report.note}; not comparable with {groups}: another plan"
    return report.model_copy(update={"note": note})


def _scenario(
    group: str, scenario: Scenario, entries: list[tuple[HostReport, PhaseReport]]
) -> ScenarioReport:
    valid = [(host, phase) for host, phase in entries if counts(host, phase)]
    best = max((phase.tokens_per_second or 0 for _, phase in valid or entries), default=0)
    sharing = {
        name
        for host, _ in valid
        if host.shares_machine_with
        for name in (host.name, *host.shares_machine_with)
    }
    if sharing:
        note = (
            f"hosts {', '.join(sorted(sharing))} share a machine, so they take from each other: "
            "no sum and no scaling is claimed"
        )
    elif scenario is Scenario.SINGLE_STREAM:
        note = "one query at a time on each host: its latency is the result, and nothing adds up"
    elif len(valid) < 2:
        note = "a single valid host: nothing to add up" if valid else "no valid host"
    else:
        note = (
            f"aggregate capacity of {len(valid)} independent hosts, each under its own LoadGen; "
            "not an MLPerf result"
        )
    add_up = bool(valid) and not sharing and scenario is not Scenario.SINGLE_STREAM
    return ScenarioReport(
        group=group,
        scenario=scenario,
        hosts=tuple(
            HostThroughput(
                host=host.name,
                valid=(host, phase) in valid,
                tokens_per_second=phase.tokens_per_second or 0.0,
                samples_per_second=phase.samples_per_second or 0.0,
                of_best=round((phase.tokens_per_second or 0.0) / best, 4) if best else 0.0,
            )
            for host, phase in entries
        ),
        valid_hosts=len(valid),
        aggregate_tokens_per_second=round(sum(p.tokens_per_second or 0 for _, p in valid), 4)
        if add_up
        else None,
        aggregate_samples_per_second=round(sum(p.samples_per_second or 0 for _, p in valid), 4)
        if add_up
        else None,
        note=note,
    )
