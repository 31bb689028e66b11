"""Finds the rate at which LoadGen sends queries, by short runs that LoadGen judges itself.

Server and Interactive: the highest rate at which a short run is VALID, that is TTFT and TPOT at
the 99th percentile within the limits with early stopping's confidence. The search starts from
what the engine does Offline, goes up or down until a rate that holds and one that does not are
known, and halves between them. A short run ends before a queue that grows slowly passes a limit:
so a rate whose time to first token grows is held only if it would stay within its limit to the end
of the run itself, and that run stays a margin below.

Offline: samples per second of one burst, which decides how many samples fill 600 s.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..contract.base import utc_now
from ..contract.benchmark import Mode, Scenario
from ..contract.files import write_model
from ..contract.loadgen_log import LatencyNs, LoadgenLogError, LoadgenResult, read_loadgen_logs
from ..contract.plan import RunPlan, rate_name
from ..contract.query_count import performance_samples, plan_rules
from ..contract.rate_search import FIRST_SHARE, OFFLINE_ALLOWANCE, RateSearch, offline_burst
from ..contract.result import RateProbe, RateResult
from ..contract.run_folder import RATE_RESULT
from ..contract.status import FailureCode
from ..failure import RunFailure
from .run import Drive, prepare_run, run_loadgen
from .settings import probe_conf
from .steadiness import issue_delay_growth, ttft_growth

STEP = 1.25
"""Up and down, while only one side is known."""

Probe = Callable[[float], RateProbe]


@dataclass(frozen=True)
class Found:
    """What a search has found."""

    highest_held_qps: float | None
    probes: tuple[RateProbe, ...]


def search_rate(first_qps: float, limits: RateSearch, probe: Probe) -> Found:
    """The highest rate that held, in at most ``limits.probes`` short runs from ``first_qps`` on.

    Ends when a rate that failed is within ``limits.precision`` of it.
    """
    held: float | None = None
    failed: float | None = None
    rate = first_qps
    probes: list[RateProbe] = []
    while len(probes) < limits.probes:
        probes.append(probe(rate))
        if probes[-1].held:
            held = rate
        else:
            failed = rate
        if held is not None and failed is not None:
            if failed - held <= limits.precision * failed:
                break
            rate = math.sqrt(held * failed)
        elif held is not None:
            rate = held * STEP
        else:
            rate = rate / STEP
    return Found(held, tuple(probes))


def find_rate(
    plan: RunPlan,
    scenario: Scenario,
    folder: Path,
    offline_samples_per_second: float | None,
    drive: Drive,
) -> RateResult:
    """Searches the scenario's rate and writes rate.json last; a folder for each short run.

    ``offline_samples_per_second`` is where Server and Interactive begin; None: measured first.
    Raises RunFailure (rate-not-found) if no rate held, or if a short run failed otherwise.
    """
    started = utc_now()
    folder.mkdir(parents=True, exist_ok=True)
    for earlier in folder.iterdir():  # of an attempt that was broken off
        shutil.rmtree(earlier)
    burst: tuple[RateProbe, ...] = ()
    if offline_samples_per_second is None:
        samples = offline_burst(plan.engine.max_num_seqs, plan.samples)
        burst = (measure_offline(plan, samples, folder / "offline", drive),)
        offline_samples_per_second = burst[0].samples_per_second
        assert offline_samples_per_second is not None
    if scenario is Scenario.OFFLINE:
        found = Found(offline_samples_per_second, burst)
        margin, target = 0.0, OFFLINE_ALLOWANCE * offline_samples_per_second
    else:
        first_qps = FIRST_SHARE * offline_samples_per_second
        found = measure_rate(plan, scenario, first_qps, folder, drive)
        if found.highest_held_qps is None:
            raise RunFailure(FailureCode.RATE_NOT_FOUND, _why_none(scenario, found.probes))
        margin = plan.rate_search.margin
        target = (1 - margin) * found.highest_held_qps
    assert found.highest_held_qps is not None
    result = RateResult(
        name=rate_name(scenario),
        scenario=scenario,
        plan_hash=plan.plan_hash,
        started_utc=started,
        ended_utc=max(started, utc_now()),  # a clock may be set back in between
        offline_samples_per_second=offline_samples_per_second,
        probes=found.probes if scenario is Scenario.OFFLINE else burst + found.probes,
        highest_held_qps=found.highest_held_qps,
        margin=margin,
        # Three digits say as much as a short run can know.
        target_qps=float(f"{target:.3g}"),
    )
    write_model(folder / RATE_RESULT, result)
    return result


def measure_offline(plan: RunPlan, samples: int, folder: Path, drive: Drive) -> RateProbe:
    """LoadGen's samples per second of one burst of ``samples``, with its logs in ``folder``.

    Raises RunFailure (loadgen) if LoadGen did not find it VALID.
    """
    conf = probe_conf(plan, Scenario.OFFLINE, None, queries=samples, duration_s=0)
    probe = _run_probe(plan, Scenario.OFFLINE, folder, conf, None, drive)
    if not probe.held or probe.samples_per_second is None:
        raise RunFailure(
            FailureCode.LOADGEN, f"the burst that measures the Offline rate: {probe.reason}"
        )
    return probe


def measure_rate(
    plan: RunPlan, scenario: Scenario, first_qps: float, folder: Path, drive: Drive
) -> Found:
    """``search_rate`` over real short runs, each with its logs in a folder of ``folder``."""
    return search_rate(
        first_qps,
        plan.rate_search,
        lambda qps: _probe_rate(plan, scenario, folder, qps, drive),
    )


def _probe_rate(
    plan: RunPlan, scenario: Scenario, folder: Path, qps: float, drive: Drive
) -> RateProbe:
    limits = plan.rate_search
    conf = probe_conf(plan, scenario, qps, queries=limits.queries, duration_s=limits.duration_s)
    name = f"{qps:.4g}-per-s"
    return _run_probe(plan, scenario, folder / name, conf, qps, drive)


def _run_probe(
    plan: RunPlan,
    scenario: Scenario,
    folder: Path,
    conf: str,
    qps: float | None,
    drive: Drive,
) -> RateProbe:
    run = prepare_run(folder.name, plan.suite, scenario, Mode.PERFORMANCE, folder, conf)
    answered = run_loadgen(run, drive)
    try:
        logged = read_loadgen_logs(folder)
    except LoadgenLogError as error:
        raise RunFailure(FailureCode.LOADGEN, str(error)) from error
    reason = _why_not(logged)
    growth = None
    if qps is not None:
        growth = max(ttft_growth(answered.records), issue_delay_growth(answered.records, qps))
    if not reason and growth and qps is not None:
        queries = performance_samples(plan_rules(plan, scenario, qps), scenario)
        reason = _why_not_for_long(logged, growth, queries / qps)
    return RateProbe(
        target_qps=logged.target_qps if qps is None else qps,
        queries=logged.sample_count,
        duration_s=(answered.ended - answered.started).total_seconds(),
        samples_per_second=logged.samples_per_second,
        ttft_p99_ns=logged.ttft.percentiles.get("99.00") if logged.ttft else None,
        tpot_p99_ns=logged.tpot.percentiles.get("99.00") if logged.tpot else None,
        ttft_growth=growth,
        held=not reason,
        reason=reason,
    )


def _why_not(logged: LoadgenResult) -> str:
    if logged.num_errors:
        return f"LoadGen logged {logged.num_errors} errors: {logged.errors[0]}"
    if logged.valid is True:
        return ""
    reasons = [
        reason
        for name, latency, limit_ns, early_stopping in (
            ("TTFT", logged.ttft, logged.ttft_limit_ns, logged.early_stopping_ttft),
            ("TPOT", logged.tpot, logged.tpot_limit_ns, logged.early_stopping_tpot),
        )
        if (reason := _why_late(name, latency, limit_ns, early_stopping))
    ]
    return ", ".join(reasons) or "LoadGen found it INVALID"


def _why_not_for_long(logged: LoadgenResult, growth: float, seconds: float) -> str:
    """Why a rate that held for now would not for ``seconds``, or ''."""
    if logged.ttft is None or logged.ttft_limit_ns is None:
        return ""
    now, limit = logged.ttft.percentiles["99.00"], logged.ttft_limit_ns
    left_s = (limit - now) / (growth * 1e9)
    if left_s >= seconds:
        return ""
    return (
        f"TTFT p99 {now / 1e6:,.0f} ms and growing by {growth * 1000:,.0f} ms each second: over "
        f"{limit / 1e6:,.0f} ms within {left_s:,.0f} s more"
    )


def _why_late(
    name: str, latency: LatencyNs | None, limit_ns: int | None, early_stopping: str
) -> str:
    if latency is None or limit_ns is None:
        return ""
    p99 = latency.percentiles["99.00"]
    if p99 > limit_ns:
        return f"{name} p99 {p99 / 1e6:,.0f} ms, over {limit_ns / 1e6:,.0f} ms"
    if "unsuccessful" in early_stopping:
        return f"{name} p99 {p99 / 1e6:,.0f} ms, too near the limit for so few queries"
    return ""


def _why_none(scenario: Scenario, probes: tuple[RateProbe, ...]) -> str:
    last = probes[-1]
    times = [
        f"{name} p99 {value / 1e6:,.0f} ms"
        for name, value in (("TTFT", last.ttft_p99_ns), ("TPOT", last.tpot_p99_ns))
        if value is not None
    ]
    return (
        f"{scenario}: none of {len(probes)} rates held, down to {last.target_qps:.3g} queries/s "
        f"({', '.join(times) or last.reason})"
    )
