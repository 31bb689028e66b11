"""Which hosts of a run may be held against one another."""

from __future__ import annotations

import string
from collections import defaultdict
from collections.abc import Mapping

from loadfleet_agent.contract.host import HostFacts

from ..fleet.record import RunRecord
from ..fleet.same_machine import shared_marks


def host_groups(record: RunRecord) -> dict[str, str]:
    """Host to group letter; the hosts of a group have the same plan."""
    members: dict[str, list[str]] = defaultdict(list)
    for name, host in record.hosts.items():
        if host.plan_hash is not None:
            members[host.plan_hash].append(name)
    ordered = sorted(members.values(), key=lambda names: (-len(names), min(names)))
    letters = (string.ascii_uppercase[i] if i < 26 else f"A{i}" for i in range(len(ordered)))
    return {name: letter for letter, names in zip(letters, ordered, strict=True) for name in names}


def hosts_that_share(facts: Mapping[str, HostFacts | None]) -> dict[str, tuple[str, ...]]:
    """Host to the others that are one machine with it: the same machine id or the same GPU."""
    told = {name: host for name, host in facts.items() if host is not None}
    found: dict[str, set[str]] = {name: set() for name in facts}
    for names in shared_marks(told).values():
        for name in names:
            found[name].update(names)
    return {name: tuple(sorted(others - {name})) for name, others in found.items()}
