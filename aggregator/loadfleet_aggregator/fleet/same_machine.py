"""Hosts of an inventory that are one machine, or have a GPU in common."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from loadfleet_agent.contract.host import HostFacts


def shared_marks(facts: Mapping[str, HostFacts]) -> dict[str, list[str]]:
    """Machine ids and GPUs that more than one host tells, each with those hosts.

    ``facts``: host to its facts. A host that tells no machine id shares none.
    """
    marks: dict[str, list[str]] = defaultdict(list)
    for name, host in facts.items():
        if host.machine_id:
            marks[f"machine-id {host.machine_id}"].append(name)
        for gpu in host.gpus:
            if gpu.uuid:
                marks[gpu.uuid].append(name)
    return {mark: names for mark, names in marks.items() if len(set(names)) > 1}
