"""What differs between hosts that should be alike."""

from __future__ import annotations

from collections.abc import Mapping

from ..text.listing import some


def differences(facts: Mapping[str, Mapping[str, str]]) -> list[str]:
    """A line for each fact that is not the same on all hosts; the most common value first.

    ``facts``: host to its facts. A fact that a host does not have counts as "none" there.
    """
    lines = []
    for key in sorted({key for of_host in facts.values() for key in of_host}):
        hosts: dict[str, list[str]] = {}
        for name, of_host in facts.items():
            hosts.setdefault(of_host.get(key, "none"), []).append(name)
        if len(hosts) > 1:
            groups = sorted(hosts.items(), key=lambda item: (-len(item[1]), item[0]))
            parts = [f"{value} on {some(names)}" for value, names in groups]
            lines.append(f"{key}: {'; '.join(parts)}")
    return lines
