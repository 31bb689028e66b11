"""Builds the report from a run's folder on the controller. Same folder, same report."""

from __future__ import annotations

import string
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

from loadfleet_agent.contract.benchmark import LATENCY_LIMITS, Mode, Scenario, round_of_seeds
from loadfleet_agent.contract.host import HostFacts
from loadfleet_agent.contract.labels import result_labels
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.result import HostResult, PhaseResult
from loadfleet_agent.contract.run_folder import DETAIL_LOG, TELEMETRY
from pydantic import ValidationError

from ..bundle import Bundle, read_bundle
from ..fleet.prices import Prices
from ..fleet.record import (
    CONTROLLER,
    HOSTS,
    PLANS,
    ControllerNote,
    HostRecord,
    RunRecord,
    read_record,
)
from ..fleet.same_machine import shared_marks
from ..stragglers.clock import TOLERANCE_S, clock_off_s
from ..stragglers.evidence import host_evidence
from ..stragglers.find import find_flags, worst_first
from ..stragglers.model import Flag, FleetFinding
from ..stragglers.speeds import host_speeds
from ..telemetry import Telemetry, memory_before_mib, phase_telemetry, read_telemetry
from ..verdict import Verdict, VerdictKind, judge_host
from .cost import cost_report
from .energy import energy_report
from .limit import physical_limit
from .model import (
    Coverage,
    FleetReport,
    HostReport,
    HostThroughput,
    PhaseReport,
    ScenarioReport,
)
from .performance import counts
from .told import differences

DEFINITIONS = {
    "tokens/s": "output tokens per second as LoadGen logged it: result_tokens_per_second "
    "(Offline), result_completed_tokens_per_second (Server)",
    "TTFT": "time to first token, from the moment at which LoadGen scheduled the query",
    "TPOT": "time per output token after the first: (end - first token) / (tokens - 1)",
    "aggregate capacity": "sum of the tokens/s of independent hosts, each under its own LoadGen; "
    "never an MLPerf result, which needs one LoadGen in front of all hosts",
    "of best": "tokens/s as a share of the fastest valid host with the same plan",
    "ROUGE": "F1 times 100 by rouge-score with Porter stemmer, one sentence a line, mean over "
    "all samples, as MLPerf's evaluation script",
    "gen_len": "characters of all answers; MLPerf's script counts characters, not tokens",
    "straggler": "from five hosts with one plan on: slower than their median by more than 3 % and "
    "by more than 3.5 robust standard deviations (1.4826 times the median absolute deviation), "
    "more where a fleet of 200 hosts or more scatters wider than normal; under five hosts more "
    "than 3 % slower than the fastest",
    "fault, odd one out": "a fact that is wrong by itself, or that differs from nearly all other "
    "hosts, whatever the host's speed is",
    "ok": "complete, sealed, every LoadGen run through the gate, no accuracy below its target",
    "not valid": "complete, but a rule of the gate or an accuracy target was missed",
}
ON_GPUS = {
    "physical limit": "what the GPUs could do with samples as long as these if arithmetic and "
    "memory traffic were at NVIDIA's published peaks all the time (roofline model): two "
    "operations for each weight and token, those of attention, weights read once a step for all "
    "samples at once, the KV cache once for each token",
    "expected": "share of the limit that a well-set vLLM is likely to reach Offline: half to three "
    "quarters of the speed at which arithmetic and memory traffic would follow each other",
    "J per output token": "energy of the GPUs from the start to the end of a performance run, by "
    "their own counters, over its output tokens; not told where their power samples disagree by "
    "more than 5 % or have holes. Processors, memory, fans and losses are not in it",
    "tokens/s per W": "tokens/s over the mean power of the GPUs",
}
"""Definitions that a report without GPUs has no use for."""


def build_report(folder: Path, prices: Prices | None = None) -> FleetReport:
    """Reads run.json and every host's folder. Raises InventoryError if run.json is unusable.

    ``prices`` replace those of each host in run.json.
    """
    record = read_record(folder)
    bundles = {name: _bundle(folder, record, name) for name in record.hosts}
    notes = {name: _note(folder, name) for name in record.hosts}
    verdicts = {
        name: judge_host(host, notes[name], bundles[name]) for name, host in record.hosts.items()
    }
    plans = {name: plan for name in record.hosts if (plan := _plan(folder, name)) is not None}
    groups = _groups(record)
    sharing = _sharing(bundles)
    telemetry = {name: _telemetry(folder, name, bundles[name]) for name in record.hosts}
    hosts = tuple(
        _host_report(
            name,
            verdicts[name],
            groups.get(name),
            bundles[name],
            telemetry[name],
            plans.get(name),
            sharing[name],
            record.hosts[name].prices.replaced_by(prices or Prices()),
        )
        for name in sorted(record.hosts)
    )
    labels = tuple(dict.fromkeys(label for host in hosts for label in host.labels))
    coverage = _coverage(record, verdicts)
    clocks = {host.name: _clock_off_s(host, record, notes[host.name]) for host in hosts}
    right = [host for host in hosts if clocks[host.name] <= TOLERANCE_S]
    ended = [phase.ended_utc for host in right for phase in host.phases]
    scenarios = tuple(_scenarios(hosts))
    flags, fleet_findings = _flags(hosts, bundles, telemetry, clocks)
    shared = {groups[name]: _shared_plan(plans[name]) for name in groups if name in plans}
    return FleetReport(
        run_id=record.run_id,
        created_utc=record.created_utc,
        ended_utc=max(ended, default=None),
        headline=_headline(coverage, scenarios, flags),
        labels=labels,
        statement=_statement(labels, any(host.phases for host in hosts)),
        coverage=coverage,
        hosts=hosts,
        scenarios=scenarios,
        flags=flags,
        fleet_findings=fleet_findings,
        differences=tuple(differences(hosts, shared)),
        plans=dict(sorted(shared.items())),
        definitions=DEFINITIONS | (ON_GPUS if _used_gpus(hosts) else {}),
    )


# Reading.


def _bundle(folder: Path, record: RunRecord, name: str) -> Bundle | None:
    host = record.hosts[name]
    path = folder / HOSTS / name
    if host.plan_hash is None or not path.is_dir():
        return None
    return read_bundle(path, run_id=record.run_id, host=name, plan_hash=host.plan_hash)


def _note(folder: Path, name: str) -> ControllerNote | None:
    try:
        return ControllerNote.model_validate_json(
            (folder / CONTROLLER / f"{name}.json").read_bytes()
        )
    except (OSError, ValidationError):
        return None


def _telemetry(folder: Path, name: str, bundle: Bundle | None) -> Telemetry | None:
    """Of a folder that was changed nothing is told."""
    if bundle is None or bundle.problems:
        return None
    return read_telemetry(folder / HOSTS / name / TELEMETRY)


def _clock_off_s(host: HostReport, record: RunRecord, note: ControllerNote | None) -> float:
    return clock_off_s(host.phases, record.created_utc, note.noted_utc if note else None)


def _plan(folder: Path, name: str) -> RunPlan | None:
    try:
        return RunPlan.model_validate_json((folder / PLANS / f"{name}.json").read_bytes())
    except (OSError, ValidationError):
        return None


# Comparing like with like.


def _groups(record: RunRecord) -> dict[str, str]:
    """Host to group letter; the hosts of a group have the same plan."""
    members: dict[str, list[str]] = defaultdict(list)
    for name, host in record.hosts.items():
        if host.plan_hash is not None:
            members[host.plan_hash].append(name)
    ordered = sorted(members.values(), key=lambda names: (-len(names), min(names)))
    letters = (string.ascii_uppercase[i] if i < 26 else f"A{i}" for i in range(len(ordered)))
    return {name: letter for letter, names in zip(letters, ordered, strict=True) for name in names}


def _sharing(bundles: dict[str, Bundle | None]) -> dict[str, tuple[str, ...]]:
    """Hosts that are one machine: the same machine id or the same GPU."""
    told = {name: bundle.facts for name, bundle in bundles.items() if bundle and bundle.facts}
    marks = shared_marks(told)
    return {
        name: tuple(
            sorted({n for names in marks.values() if name in names for n in names} - {name})
        )
        for name in bundles
    }


def _scenarios(hosts: Sequence[HostReport]) -> list[ScenarioReport]:
    found: dict[tuple[str, Scenario], list[tuple[HostReport, PhaseReport]]] = defaultdict(list)
    for host in hosts:
        for phase in host.phases:
            if phase.mode == Mode.PERFORMANCE and phase.tokens_per_second and host.group:
                found[host.group, phase.scenario].append((host, phase))
    order = sorted(found, key=lambda key: (key[0], list(Scenario).index(key[1])))
    return [_apart(_scenario(*key, found[key]), found) for key in order]


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


def _flags(
    hosts: Sequence[HostReport],
    bundles: dict[str, Bundle | None],
    telemetry: dict[str, Telemetry | None],
    clocks: dict[str, float],
) -> tuple[tuple[Flag, ...], tuple[FleetFinding, ...]]:
    """Of each group by itself: other plans have other speeds."""
    flags: list[Flag] = []
    findings: list[FleetFinding] = []
    for group in sorted({host.group for host in hosts if host.group}):
        members = [host for host in hosts if host.group == group and host.phases]
        evidence = {}
        for host in members:
            bundle, sensors = bundles[host.name], telemetry[host.name]
            measured = [p.telemetry for p in host.phases if p.mode == Mode.PERFORMANCE]
            evidence[host.name] = host_evidence(
                bundle.facts if bundle else None,
                host.engine,
                [phase for phase in measured if phase],
                memory_before_mib(sensors) if sensors else (),
                clocks[host.name],
            )
        # Hosts on one machine take from each other: their speeds say nothing about them.
        speeds = {
            host.name: host_speeds(bundle.result)
            for host in members
            if not host.shares_machine_with
            and (bundle := bundles[host.name]) is not None
            and bundle.result is not None
        }
        found, common = find_flags(speeds, evidence)
        flags += found
        findings += [finding.model_copy(update={"group": group}) for finding in common]
    return worst_first(flags), tuple(findings)


# Parts.


def _host_report(
    name: str,
    verdict: Verdict,
    group: str | None,
    bundle: Bundle | None,
    telemetry: Telemetry | None,
    plan: RunPlan | None,
    sharing: tuple[str, ...],
    prices: Prices,
) -> HostReport:
    result = bundle.result if bundle else None
    facts = bundle.facts if bundle else None
    whole = bundle is not None and not bundle.problems
    return HostReport(
        name=name,
        verdict=verdict,
        group=group,
        attempts=_attempts(bundle),
        labels=_labels(plan, result),
        accelerator=_accelerator(facts),
        facts=_printed_facts(facts),
        shares_machine_with=sharing,
        # Numbers of a folder that was changed are not shown at all.
        phases=tuple(
            _phase_report(phase, bundle, result, telemetry, prices) for phase in result.phases
        )
        if result and bundle and whole
        else (),
        rates=result.rates if result and whole else (),
        accuracy=result.accuracy if result and whole else (),
        model=result.model if result else None,
        dataset=result.dataset if result else None,
        engine=result.engine if result else None,
        warnings=result.warnings if result else (),
    )


def _labels(plan: RunPlan | None, result: HostResult | None) -> tuple[str, ...]:
    """What the host says, and what follows from its plan and dataset, whatever it says."""
    follow = result_labels(plan, result.dataset if result else None) if plan else ()
    return tuple(dict.fromkeys((*(result.labels if result else ()), *follow)))


def _attempts(bundle: Bundle | None) -> int:
    """How often the host started the run; 0 if it never told."""
    if bundle is None:
        return 0
    if bundle.result is not None:
        return bundle.result.attempts
    return bundle.status.attempt if bundle.status is not None else 0


def _phase_report(
    phase: PhaseResult,
    bundle: Bundle,
    result: HostResult,
    telemetry: Telemetry | None,
    prices: Prices,
) -> PhaseReport:
    logged = phase.loadgen
    findings = bundle.gate.get(phase.name, phase.gate)
    limits = LATENCY_LIMITS.get(phase.scenario)
    limit, no_limit = physical_limit(phase, result.engine, result.model, bundle.facts)
    energy = energy_report(phase, result)
    return PhaseReport(
        name=phase.name,
        scenario=phase.scenario,
        mode=phase.mode.value,
        valid=not findings,
        findings=tuple(str(finding) for finding in findings),
        started_utc=phase.started_utc,
        ended_utc=phase.ended_utc,
        target_qps=phase.target_qps,
        samples=phase.samples,
        samples_per_second=logged.samples_per_second,
        tokens_per_second=logged.tokens_per_second,
        latency=logged.latency,
        ttft=logged.ttft,
        tpot=logged.tpot,
        ttft_limit_ns=limits.ttft_ns if limits else None,
        tpot_limit_ns=limits.tpot_ns if limits else None,
        latency_from_issue_ns=phase.latency_from_issue_ns,
        ttft_from_issue_ns=phase.ttft_from_issue_ns,
        input_tokens=phase.input_tokens,
        output_tokens=phase.output_tokens,
        loadgen_version=logged.loadgen_version,
        mlperf_round=round_of_seeds(logged.seeds),
        log_sha256=phase.files.get(DETAIL_LOG, ""),
        limit=limit,
        no_limit=no_limit,
        energy=energy,
        cost=cost_report(phase, result.engine, energy, prices),
        telemetry=phase_telemetry(telemetry, phase.started_utc, phase.ended_utc)
        if telemetry
        else None,
    )


def _accelerator(facts: HostFacts | None) -> str:
    if facts is None:
        return "unknown"
    if not facts.gpus:
        return f"no GPU ({facts.cpu_model}, {facts.cpu_threads} threads)"
    names = sorted({gpu.name for gpu in facts.gpus})
    return f"{len(facts.gpus)}x {' + '.join(names)}"


def _printed_facts(facts: HostFacts | None) -> dict[str, str]:
    """Facts as text, one level deep, GPUs by index."""
    if facts is None:
        return {}
    printed: dict[str, str] = {}
    for key, value in facts.lasting.items():
        if key == "packages" and isinstance(value, dict):
            printed |= {f"package {name}": str(version) for name, version in value.items()}
        elif key == "gpus" and isinstance(value, list):
            for gpu in value:
                printed |= {
                    f"gpu {gpu['index']} {name}": str(item)
                    for name, item in gpu.items()
                    if name != "index"
                }
        elif key != "schema_version":
            printed[key] = "none" if value is None else str(value)
    return printed


def _shared_plan(plan: RunPlan) -> dict[str, object]:
    """What the hosts of a group share."""
    return {key: value for key, value in plan.shared.items() if key != "schema_version"}


def _used_gpus(hosts: Sequence[HostReport]) -> bool:
    return any(phase.limit or phase.no_limit or phase.energy for h in hosts for phase in h.phases)


def _coverage(record: RunRecord, verdicts: dict[str, Verdict]) -> Coverage:
    counts = {kind.value: 0 for kind in VerdictKind}
    for verdict in verdicts.values():
        counts[verdict.kind.value] += 1
    return Coverage(inventory=len(record.hosts), selected=len(record.selected), counts=counts)


def _headline(
    coverage: Coverage, scenarios: Sequence[ScenarioReport], flags: Sequence[Flag]
) -> str:
    ok = coverage.counts[VerdictKind.OK.value]
    text = f"{ok} of {coverage.selected} hosts ok"
    for scenario in scenarios:
        if scenario.aggregate_tokens_per_second is not None:
            text += (
                f"; {scenario.scenario.value} {scenario.aggregate_tokens_per_second:,.1f} tokens/s"
                f" on {scenario.valid_hosts} host{'s' if scenario.valid_hosts != 1 else ''}"
            )
            if len({item.group for item in scenarios}) > 1:
                text += f" of group {scenario.group}"
    if flags:
        text += f"; worst: {flags[0].host}, {flags[0]}"
        if len(flags) > 1:
            text += f" (and {len(flags) - 1} more to look at)"
    return text


def _statement(labels: Sequence[str], measured: bool) -> str:
    if not measured:
        return "There is no number here: no host told one that can be shown."
    if labels:
        return (
            "None of these numbers is an MLPerf result or comparable to one: "
            + ", ".join(labels)
            + "."
        )
    return (
        "Runs of official length on MLPerf's dataset. Result not verified by MLCommons "
        "Association. A sum over hosts is aggregate capacity, never an MLPerf result."
    )


def finished_hosts(report: FleetReport) -> set[str]:
    """Names of the hosts that need no second look."""
    return {host.name for host in report.hosts if host.verdict.kind.finished}


def with_finished(record: RunRecord, report: FleetReport) -> RunRecord:
    """The record with its finished hosts marked, closed when all selected ones are."""
    done = finished_hosts(report)
    hosts: dict[str, HostRecord] = {
        name: host.model_copy(update={"finished": name in done})
        for name, host in record.hosts.items()
    }
    closed = all(hosts[name].finished for name in record.selected)
    return record.model_copy(update={"hosts": hosts, "closed": closed})
