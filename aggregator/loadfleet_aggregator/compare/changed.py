"""What hosts told otherwise in the new run: settings, versions, driver, hardware."""

from __future__ import annotations

from collections import defaultdict

from ..report.model import FleetReport
from ..report.told import NONE, told_values
from .model import Changed

OF_A_MOMENT = frozenset({"host: hostname", "host: boot_id"})
"""Other at each start of a machine or a container."""


def changed_values(old: FleetReport, new: FleetReport) -> tuple[Changed, ...]:
    """Of the hosts in both runs, each change with its hosts.

    A value that one run lacks is "none", if the host told others from the same source there.
    """
    before, after = (told_values(report.hosts, report.plans) for report in (old, new))
    told_before, told_after = _sources(before), _sources(after)
    found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for key in sorted((before.keys() | after.keys()) - OF_A_MOMENT):
        source = key.partition(":")[0]
        left, right = before.get(key, {}), after.get(key, {})
        both = told_before[source] & told_after[source]
        for host in sorted(both & (left.keys() | right.keys())):
            was, now = left.get(host, NONE), right.get(host, NONE)
            if was != now:
                found[key, was, now].append(host)
    return tuple(
        Changed(name=name, old=was, new=now, hosts=tuple(hosts))
        for (name, was, now), hosts in found.items()
    )


def _sources(told: dict[str, dict[str, str]]) -> dict[str, set[str]]:
    """Source of facts or settings to the hosts that told any."""
    hosts: dict[str, set[str]] = defaultdict(set)
    for key, values in told.items():
        hosts[key.partition(":")[0]] |= values.keys()
    return hosts
