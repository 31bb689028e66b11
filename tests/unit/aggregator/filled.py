"""Whole reports from a real one of one host: a fleet with every part that a report can have.

What single samples, sensors over time and other hosts would tell is reckoned from the real run's
own figures, with scatter from a seed; the same seed gives the same report.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import numpy.typing as npt
from loadfleet_agent.contract.benchmark import ACCURACY_TARGETS, Mode, Scenario, Suite
from loadfleet_agent.contract.loadgen_log import LatencyNs
from loadfleet_agent.contract.result import Accuracy, RougeScore
from loadfleet_aggregator.report.model import (
    Coverage,
    Difference,
    FleetReport,
    HostReport,
    HostThroughput,
    PhaseReport,
    PooledAccuracy,
    ScenarioReport,
)
from loadfleet_aggregator.samples.model import (
    PROBABILITIES,
    Agreement,
    DifferingSample,
    HostAgreement,
    LatencyCurve,
)
from loadfleet_aggregator.scaling.model import JointThroughput
from loadfleet_aggregator.stragglers.model import Flag, Reason
from loadfleet_aggregator.timeline.model import HostTimeline, TimeAxis
from loadfleet_aggregator.verdict import Verdict, VerdictKind

from .fleets import at_speed

BINS = 120
TARGET = ACCURACY_TARGETS[Suite.DATACENTER]
ROUGE = tuple(TARGET.rouge_minimum)

FAILED = Verdict(
    kind=VerdictKind.FAILED,
    phase="load",
    reason="out of GPU memory: 21.3 GiB asked for, 19.8 GiB free [out-of-gpu-memory]",
    hint="lower gpu_memory_utilization, or end what else runs on the GPU",
)
UNREACHABLE = Verdict(
    kind=VerdictKind.UNREACHABLE,
    phase="deploy",
    reason="deploy: Connection timed out during banner exchange",
    hint="see that the host is up and reached over SSH, and give the same command again",
)
INVALID = Verdict(
    kind=VerdictKind.NOT_VALID,
    reason="server-performance: loadgen-valid: INVALID",
    hint="docs/mlperf-rules.md explains each rule of the gate",
)
MISSING = Verdict(kind=VerdictKind.MISSING, reason="not selected for this run")


def filled_fleet(report: FleetReport, hosts: int, *, troubled: bool = True) -> FleetReport:
    """``hosts`` hosts like the only one of ``report``, which has an Offline and a Server run.

    ``troubled``: from eight hosts on one each is slow and hot, has another driver, failed, is
    unreachable, is not valid and was not selected.
    """
    (base,) = report.hosts
    base = base.model_copy(update={"phases": _one_after_another(base.phases)})
    generator = np.random.default_rng(hosts)
    names = [f"gpu-{number:0{len(str(hosts))}}" for number in range(1, hosts + 1)]
    speeds = 1 + generator.normal(0, 0.006, hosts)
    trouble = dict(zip(("slow", "driver", "failed", "unreachable", "invalid", "missing"),
                       names[2:] if troubled and hosts >= 8 else [], strict=False))  # fmt: skip
    axis = _axis(base)
    made = []
    for name, speed in zip(names, speeds, strict=True):
        factor = speed * (0.93 if name == trouble.get("slow") else 1.0)
        made.append(_host(base, name, factor, axis, generator, slow=name == trouble.get("slow")))
    told = {
        trouble.get("failed"): FAILED,
        trouble.get("unreachable"): UNREACHABLE,
        trouble.get("missing"): MISSING,
    }
    made = [_broken(host, told[host.name]) if host.name in told else host for host in made]
    made = [
        host.model_copy(update={"verdict": INVALID, "phases": _invalid_server(host.phases)})
        if host.name == trouble.get("invalid")
        else host
        for host in made
    ]
    complete = [host for host in made if host.phases]
    flags = _flags(trouble)
    ok = sum(host.verdict.kind is VerdictKind.OK for host in made)
    return report.model_copy(
        update={
            "ended_utc": max(phase.ended_utc for host in complete for phase in host.phases),
            "headline": f"{ok} of {hosts} hosts ok",
            "coverage": _coverage(made),
            "hosts": tuple(made),
            "scenarios": tuple(
                _scenario(complete, scenario) for scenario in (Scenario.OFFLINE, Scenario.SERVER)
            ),
            "pooled_accuracy": (_pooled(complete),),
            "agreement": (_agreement(complete),),
            "axis": axis,
            "flags": flags,
            "differences": _differences(made, trouble),
        }
    )


# A host.


def _one_after_another(phases: Sequence[PhaseReport]) -> tuple[PhaseReport, ...]:
    """The runs ten minutes long, with two minutes between them."""
    start = phases[0].started_utc
    return tuple(
        phase.model_copy(
            update={
                "started_utc": start + timedelta(minutes=12 * number),
                "ended_utc": start + timedelta(minutes=12 * number + 10),
            }
        )
        for number, phase in enumerate(phases)
    )


def _axis(base: HostReport) -> TimeAxis:
    start, end = base.phases[0].started_utc, base.phases[-1].ended_utc
    length = (end - start).total_seconds() * 1.04
    return TimeAxis(
        start_utc=start - timedelta(seconds=length * 0.01), bin_s=length / BINS, bins=BINS
    )


def _host(
    base: HostReport,
    name: str,
    speed: float,
    axis: TimeAxis,
    generator: np.random.Generator,
    *,
    slow: bool,
) -> HostReport:
    host = at_speed(base, speed)
    return host.model_copy(
        update={
            "name": name,
            "facts": {**base.facts, "hostname": name, "machine_id": name},
            "phases": tuple(
                phase.model_copy(update={"curves": _curves(phase, generator), "no_curves": ""})
                for phase in host.phases
            ),
            "warnings": (),
            "accuracy": tuple(_accuracy(s, generator) for s in (Scenario.OFFLINE,)),
            "clock_offset_s": round(float(generator.normal(0, 0.004)), 6),
            "clock_error_s": 0.0006,
            "timeline": _timeline(host, axis, generator, slow=slow),
        }
    )


def _curves(phase: PhaseReport, generator: np.random.Generator) -> tuple[LatencyCurve, ...]:
    limits = {"ttft": phase.ttft_limit_ns, "tpot": phase.tpot_limit_ns}
    return tuple(
        _curve(name, phase.samples, latency, limits.get(name), generator)
        for name in ("latency", "ttft", "tpot")
        if (latency := getattr(phase, name)) is not None
    )


def _curve(
    metric: str, samples: int, logged: LatencyNs, limit: int | None, generator: np.random.Generator
) -> LatencyCurve:
    """Through LoadGen's own percentiles, with a little scatter."""
    known = {float(name) / 100: value for name, value in logged.percentiles.items()}
    known |= {0.0: logged.minimum, 1.0: logged.maximum}
    at = sorted(known)
    values = np.maximum.accumulate([known[p] for p in at])
    quantiles = np.interp(PROBABILITIES, at, values) * float(generator.normal(1, 0.002))
    sure = 0.99 + 2.33 * (0.99 * 0.01 / samples) ** 0.5
    bound = float(np.interp(sure, PROBABILITIES, quantiles))
    p99 = float(quantiles[PROBABILITIES.index(0.99)])
    return LatencyCurve(
        metric=metric,
        samples=samples,
        quantiles_ns=tuple(map(float, quantiles)),
        p99_bound_ns=bound,
        limit_ns=limit,
        over_limit=None if limit is None else float(1 - np.interp(limit, quantiles, PROBABILITIES)),
        loadgen_p99_ns=logged.percentiles["99.00"],
        difference=p99 / logged.percentiles["99.00"] - 1,
    )


def _timeline(
    host: HostReport, axis: TimeAxis, generator: np.random.Generator, *, slow: bool
) -> HostTimeline:
    seconds = (np.arange(axis.bins) + 0.5) * axis.bin_s
    busy = np.zeros(axis.bins)
    tokens = np.zeros(axis.bins)
    waiting = np.zeros(axis.bins)
    for phase in host.phases:
        start = (phase.started_utc - axis.start_utc).total_seconds()
        end = (phase.ended_utc - axis.start_utc).total_seconds()
        inside = (seconds >= start) & (seconds <= end)
        busy[inside] = 1.0 if phase.scenario is Scenario.OFFLINE else 0.8
        tokens[inside] = phase.tokens_per_second or 0.0
        if phase.scenario is Scenario.OFFLINE:
            waiting[inside] = np.linspace(phase.samples, 0, int(inside.sum()))
    hot = 22 * busy * (1 - np.exp(-seconds / 200))
    clock = 1980 - 30 * busy - (170 * (hot > 18) if slow else 0)

    def series(values: npt.NDArray[np.float64], scatter: float) -> tuple[float | None, ...]:
        noisy = values * generator.normal(1, scatter, axis.bins)
        return tuple(round(float(v), 3) for v in noisy)

    return HostTimeline(
        tokens_per_second=series(tokens, 0.03),
        running=series(500 * busy, 0.01),
        waiting=series(waiting, 0.0),
        kv_cache=series(0.9 * busy, 0.02),
        power_w=series(90 + 560 * busy, 0.02),
        sm_clock_mhz=series(clock.astype(np.float64), 0.003),
        temperature_c=series(41 + hot * (1.5 if slow else 1.0), 0.01),
        cpu_percent=series(2 + 6 * busy, 0.1),
    )


def _accuracy(scenario: Scenario, generator: np.random.Generator) -> Accuracy:
    scores = {
        name: round(float(getattr(TARGET, name) * generator.normal(1.001, 0.001)), 4)
        for name in ROUGE
    }
    score = RougeScore(**scores, gen_len=TARGET.gen_len, gen_num=TARGET.samples)
    missed = score.missed(TARGET)
    return Accuracy(
        scenario=scenario,
        score=score,
        applicable=True,
        reason="; ".join(missed),
        passed=not missed,
    )


def _broken(host: HostReport, verdict: Verdict) -> HostReport:
    """A host that told nothing of a run."""
    return host.model_copy(
        update={
            "verdict": verdict,
            "phases": (),
            "accuracy": (),
            "timeline": None,
            "engine": None,
            "model": None,
            "dataset": None,
        }
        | ({"group": None, "facts": {}, "clock_offset_s": None} if verdict is MISSING else {})
    )


def _invalid_server(phases: Sequence[PhaseReport]) -> tuple[PhaseReport, ...]:
    return tuple(
        phase.model_copy(update={"valid": False, "findings": ("loadgen-valid: INVALID",)})
        if phase.scenario is Scenario.SERVER
        else phase
        for phase in phases
    )


# The fleet.


def _coverage(hosts: Sequence[HostReport]) -> Coverage:
    counts = {kind.value: sum(host.verdict.kind is kind for host in hosts) for kind in VerdictKind}
    selected = sum(host.group is not None for host in hosts)
    return Coverage(inventory=len(hosts), selected=selected, counts=counts)


def _scenario(hosts: Sequence[HostReport], scenario: Scenario) -> ScenarioReport:
    runs = [
        (host, phase)
        for host in hosts
        for phase in host.phases
        if phase.scenario is scenario and phase.mode == Mode.PERFORMANCE
    ]
    best = max(phase.tokens_per_second or 0 for _, phase in runs)
    valid = [phase for _, phase in runs if phase.valid]
    tokens = round(sum(phase.tokens_per_second or 0 for phase in valid), 4)
    samples = round(sum(phase.samples_per_second or 0 for phase in valid), 4)
    first = runs[0][1]
    return ScenarioReport(
        group="A",
        scenario=scenario,
        hosts=tuple(
            HostThroughput(
                host=host.name,
                valid=phase.valid,
                tokens_per_second=phase.tokens_per_second or 0,
                samples_per_second=phase.samples_per_second or 0,
                of_best=round((phase.tokens_per_second or 0) / best, 4),
            )
            for host, phase in runs
        ),
        valid_hosts=len(valid),
        aggregate_tokens_per_second=tokens,
        aggregate_samples_per_second=samples,
        note=f"aggregate capacity of {len(valid)} independent hosts, each under its own LoadGen; "
        "not an MLPerf result",
        joint=JointThroughput(
            hosts=len(valid),
            synchronised=True,
            window_start_utc=first.started_utc + timedelta(milliseconds=7),
            window_end_utc=first.ended_utc - timedelta(seconds=21),
            tokens_per_second=round(tokens * 1.004, 4),
            samples_per_second=round(samples * 1.004, 4),
            makespan_s=(first.ended_utc - first.started_utc).total_seconds() + 4,
            makespan_tokens_per_second=round(tokens * 0.961, 4),
            start_skew_s=0.0071,
            clock_error_s=0.0006,
            imbalance=0.041,
            note="",
        ),
    )


def _pooled(hosts: Sequence[HostReport]) -> PooledAccuracy:
    scores = {host.name: host.accuracy[0].score for host in hosts}
    means = {
        name: round(float(np.mean([getattr(score, name) for score in scores.values()])), 4)
        for name in ROUGE
    }
    pooled = RougeScore(**means, gen_len=TARGET.gen_len, gen_num=TARGET.samples * len(scores))
    return PooledAccuracy(
        group="A",
        scenario=Scenario.OFFLINE,
        hosts=len(scores),
        score=pooled,
        margins={n: round(means[n] - least, 4) for n, least in TARGET.rouge_minimum.items()},
        worst_host=min(scores, key=lambda name: scores[name].rougeL),
        passed=True,
        reason="",
    )


def _agreement(hosts: Sequence[HostReport]) -> Agreement:
    names = [host.name for host in hosts]
    odd, others = names[-1], tuple(names[:-1])
    return Agreement(
        group="A",
        scenario=Scenario.OFFLINE,
        samples=TARGET.samples,
        identical=0.9876,
        hosts=(
            HostAgreement(host=odd, identical=0.9891),
            *(HostAgreement(host=name, identical=0.9995) for name in others),
        ),
        differing=tuple(
            DifferingSample(
                sample_index=index,
                answers={"3f9a0c1b22d4": others, f"{index:012x}": (odd,)},
            )
            for index in (17, 402, 9_120)
        ),
    )


def _flags(trouble: dict[str, str]) -> tuple[Flag, ...]:
    if not trouble:
        return ()
    hot = Reason(
        cause="thermal throttling",
        fact="thermal slowdown share",
        value="0.41",
        others="0",
        hint="look at fans, air flow and the inlet temperature",
    )
    clocks = Reason(
        cause="low clocks",
        fact="SM clock MHz",
        value="1,790",
        others="1,950",
        hint="compare the power limit, the temperature and the clock settings",
    )
    driver = Reason(
        cause="driver version",
        fact="driver",
        value="535.183.01",
        others="580.65.06",
        hint="install the driver of the other hosts",
    )
    return (
        Flag(host=trouble["slow"], kind="straggler", metric="Offline tokens/s", gap=0.07, z=9.8,
             reasons=(hot, clocks)),
        Flag(host=trouble["driver"], kind="odd one out", metric="", gap=0.004, z=0.6,
             reasons=(driver,)),
    )  # fmt: skip


def _differences(hosts: Sequence[HostReport], trouble: dict[str, str]) -> tuple[Difference, ...]:
    if not trouble:
        return ()
    told = [host.name for host in hosts if host.facts]
    others = tuple(name for name in told if name != trouble["driver"])
    return (
        Difference(
            name="host: nvidia_driver",
            values={"535.183.01": (trouble["driver"],), "580.65.06": others},
        ),
        Difference(
            name="host: kernel",
            values={"6.8.0-45-generic": others[::2], "6.8.0-51-generic": others[1::2]},
        ),
    )
