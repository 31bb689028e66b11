"""LoadGen's settings: the user.conf of a phase, and what LoadGen itself makes of it.

``TestSettings.FromConfig`` works once in a process: a second call returns 0, but without
LoadGen's own mlperf.conf (seeds 0, no token latencies). So it runs in a process of its own, and
the long-lived process that owns the engine sets the fields that come back. LoadGen then logs the
same settings as after a direct call.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

from ..contract.benchmark import LOADGEN_MODEL, Mode, Scenario
from ..contract.plan import RunPlan
from ..contract.status import FailureCode
from ..failure import RunFailure

Fields = dict[str, bool | int | float]


def user_conf(plan: RunPlan, scenario: Scenario) -> str:
    """The text of user.conf: only what the plan sets; all else is LoadGen's own mlperf.conf.

    Keys need spaces around '='.
    """
    prefix = f"{LOADGEN_MODEL}.{scenario.value}"
    lines = [f"{prefix}.target_qps = {plan.scenario(scenario).target_qps!r}"]
    if plan.length.kind == "short":
        queries = plan.length.server_queries if scenario is Scenario.SERVER else plan.length.samples
        lines += [
            f"{prefix}.min_duration = {plan.length.min_duration_ms}",
            f"{prefix}.min_query_count = {queries}",
            f"{prefix}.performance_sample_count_override = {plan.length.samples}",
        ]
    return "\n".join(lines) + "\n"


def resolve_settings(conf: Path, scenario: Scenario) -> Fields:
    """All plain fields of TestSettings after LoadGen has read its mlperf.conf and ``conf``.

    Raises RunFailure (loadgen) if LoadGen refuses the file.
    """
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(conf), scenario.value],
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
    """How many samples LoadGen will issue, for progress and time estimates.

    In performance mode it is the least count or 1.1 (Offline) times the least duration at the
    target rate, padded to whole passes over the dataset (equal-issue mode).
    """
    if mode is Mode.ACCURACY:
        return samples
    seconds = float(fields["min_duration_ms"]) / 1000
    if scenario is Scenario.OFFLINE:
        wanted = 1.1 * seconds * float(fields["offline_expected_qps"])
    else:
        wanted = seconds * float(fields["server_target_qps"])
    wanted = max(math.ceil(wanted), int(fields["min_query_count"]))
    return math.ceil(wanted / samples) * samples


def _print_fields(conf: str, scenario: str) -> None:
    """Runs in the throw-away process."""
    import mlperf_loadgen as loadgen

    settings = loadgen.TestSettings()
    code = settings.FromConfig(conf, LOADGEN_MODEL, scenario)
    if code != 0:
        raise SystemExit(f"LoadGen returned {code}")
    fields = {
        name: getattr(settings, name)
        for name in dir(settings)
        if not name.startswith("_") and isinstance(getattr(settings, name), (bool, int, float))
    }
    print(json.dumps(fields))


if __name__ == "__main__":
    _print_fields(sys.argv[1], sys.argv[2])
