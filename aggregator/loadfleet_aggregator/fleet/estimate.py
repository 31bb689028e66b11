"""What the hosts' plans mean in time and disk, told before any host is touched."""

from __future__ import annotations

from collections.abc import Sequence

from loadfleet_agent.contract.duration import duration_text
from loadfleet_agent.contract.estimate import EXAMPLE_QPS, estimate_run
from loadfleet_agent.contract.estimate_text import describe_estimate

from .settings import PlannedHost

NAMED = 3
LOAD_S = 180.0
"""An engine of 8 billion parameters, loaded and warmed up: an example, for it is not known."""


def describe_plans(planned: Sequence[PlannedHost]) -> list[str]:
    """The estimate of each plan once, under the names of the hosts that have it."""
    lines: dict[str, tuple[str, ...]] = {}
    hosts: dict[tuple[str, ...], list[str]] = {}
    for item in planned:
        key = item.plan.plan_hash
        if key not in lines:
            lines[key] = tuple(describe_estimate(estimate_run(item.plan)))
        # Plans that differ only in a path are told once.
        hosts.setdefault(lines[key], []).append(item.name)
    found = []
    for text, names in hosts.items():
        found.append(f"plan of {_some(names)}:")
        found += [f"  {line}" for line in text]
    return found


def describe_study(planned: Sequence[PlannedHost], runs: int, finished: int) -> list[str]:
    """How long a study takes that has so many runs, each of them of these plans."""
    estimates = [estimate_run(item.plan) for item in planned]
    at = ""
    if any(estimate.total_is_least for estimate in estimates):
        at = f", if a host does {EXAMPLE_QPS:g} samples a second: that is not known"
        estimates = [estimate_run(item.plan, EXAMPLE_QPS) for item in planned]
    longest_s = max(estimate.total_seconds for estimate in estimates)
    left = runs - finished
    done = f", {finished} of them finished already" if finished else ""
    total = _hours(left * longest_s)
    lines = [
        f"  {runs} runs, one after the other{done}",
        f"  {left} x {duration_text(longest_s)} is {total} of LoadGen runs{at}",
        f"  {left} x an engine loaded and warmed up: at {duration_text(LOAD_S)} each "
        f"{_hours(left * LOAD_S)}",
        f"  together {_hours(left * (longest_s + LOAD_S))}",
    ]
    if any(item.plan.searched for item in planned):
        lines.append(
            "  unwise: loadfleet_offline_target_qps is not set: each run measures it anew and may "
            "take another number of samples; set it"
        )
    return lines


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h"


def _some(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"each of {', '.join(names[:NAMED])}{more}"
