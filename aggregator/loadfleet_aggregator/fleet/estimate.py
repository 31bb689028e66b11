"""What the hosts' plans mean in time and disk, told before any host is touched."""

from __future__ import annotations

from collections.abc import Sequence

from loadfleet_agent.contract.estimate import estimate_run
from loadfleet_agent.contract.estimate_text import describe_estimate

from .settings import PlannedHost

NAMED = 3


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


def _some(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"each of {', '.join(names[:NAMED])}{more}"
