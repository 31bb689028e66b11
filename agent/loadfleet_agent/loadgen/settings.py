"""LoadGen's settings: the user.conf of a phase, and what LoadGen itself makes of it.

``TestSettings.FromConfig`` works once in a process: a second call returns 0, but without
LoadGen's own mlperf.conf (seeds 0, no token latencies). So it runs in a process of its own, and
the long-lived process that owns the engine sets the fields that come back. LoadGen then logs the
same settings as after a direct call.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ..contract.benchmark import TEST06, Mode, Scenario, Suite, loadgen_model
from ..contract.plan import RunPlan
from ..contract.query_count import QueryRules, fixed_samples, least_queries, performance_samples
from ..contract.status import FailureCode
from ..failure import RunFailure

Fields = dict[str, bool | int | float]

PRINT_FIELDS = "loadfleet_agent.loadgen.print_fields"


def user_conf(plan: RunPlan, scenario: Scenario, target_qps: float | None) -> str:
    """The text of user.conf: only what the plan sets; all else is LoadGen's own mlperf.conf.

    ``target_qps`` is None where LoadGen needs none: SingleStream, and an Offline run without a
    least duration.
    """
    values: dict[str, float] = {}
    if target_qps is not None:
        values["target_qps"] = target_qps
    # By itself LoadGen expects an answer in 10 ms, and asks for 125,000 of them.
    if (latency_ms := plan.scenario(scenario).target_latency_ms) is not None:
        values["target_latency"] = latency_ms
    if plan.length.kind == "short":
        values |= {
            "min_duration": plan.length.min_duration_ms,
            "min_query_count": least_queries(plan, scenario),
            "performance_sample_count_override": plan.samples,
        }
    return _conf(plan.suite, scenario, values)


def probe_conf(
    plan: RunPlan, scenario: Scenario, target_qps: float | None, *, queries: int, duration_s: float
) -> str:
    """The same of a short run that searches for a rate: samples are drawn from all of the
    dataset, not in whole passes over it."""
    values = {"min_duration": round(duration_s * 1000), "min_query_count": queries}
    rate = {} if target_qps is None else {"target_qps": target_qps}
    count = {"performance_sample_count_override": plan.samples, "sample_concatenate_permutation": 0}
    return _conf(plan.suite, scenario, rate | values | count)


def _conf(suite: Suite, scenario: Scenario, values: Mapping[str, float]) -> str:
    prefix = f"{loadgen_model(suite, scenario)}.{scenario.loadgen}"
    # LoadGen needs the spaces around '='.
    return "".join(f"{prefix}.{key} = {value!r}\n" for key, value in values.items())


def audit_config() -> str:
    """The text of audit.config for TEST06, which LoadGen reads by itself."""
    values = {
        "mode": 2,  # performance
        "accuracy_log_rng_seed": TEST06.accuracy_log_rng_seed,
        "accuracy_log_sampling_target": TEST06.accuracy_log_sampling_target,
        "min_query_count": TEST06.min_query_count,
        "min_duration": TEST06.min_duration_ms,
        "sample_concatenate_permutation": 0,
    }
    return "".join(f"*.*.{key} = {value}\n" for key, value in values.items())


def resolve_settings(conf: Path, suite: Suite, scenario: Scenario) -> Fields:
    """All plain fields of TestSettings after LoadGen has read its mlperf.conf and ``conf``.

    Raises RunFailure (loadgen) if LoadGen refuses the file.
    """
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            PRINT_FIELDS,
            str(conf),
            loadgen_model(suite, scenario),
            scenario.loadgen,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RunFailure(FailureCode.LOADGEN, f"{conf}: LoadGen refused it: {last}")
    fields: Fields = json.loads(done.stdout.splitlines()[-1])
    return fields


def expected_samples(fields: Fields, scenario: Scenario, mode: Mode, samples: int) -> int:
    """How many samples LoadGen will issue, for progress; of SingleStream the fewest."""
    if mode is not Mode.PERFORMANCE:
        return fixed_samples(mode, samples)
    if scenario is Scenario.OFFLINE:
        target_qps = float(fields["offline_expected_qps"])
    elif scenario.paced:
        target_qps = float(fields["server_target_qps"])
    else:
        target_qps = 1e9 / float(fields["single_stream_expected_latency_ns"])
    rules = QueryRules(
        dataset_samples=samples,
        min_query_count=int(fields["min_query_count"]),
        min_duration_s=float(fields["min_duration_ms"]) / 1000,
        target_qps=target_qps,
        whole_passes=bool(fields["sample_concatenate_permutation"]),
        schedule_seed=int(fields["schedule_rng_seed"]),
    )
    return performance_samples(rules, scenario)
