"""Contradictions in an inventory: settings that Ansible would resolve without a word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Group:
    """A group that a host is in, with the variables that are set on the group itself."""

    name: str
    depth: int
    priority: int
    variables: Mapping[str, Any]
    ancestors: frozenset[str]


def contradictions(
    host: str, groups: Iterable[Group], own: Mapping[str, Any], prefixes: tuple[str, ...]
) -> list[str]:
    """A line for each setting of ours that two groups of a host set to different values.

    Where neither group contains the other, Ansible takes the deeper one, and of two equally deep
    ones the last by alphabet; nobody means that. No contradiction: one group is within the other,
    ``ansible_group_priority`` ranks them, or the host sets the variable itself (``own``).
    """
    setters: dict[str, list[Group]] = {}
    for group in groups:
        for name in group.variables:
            if name.startswith(prefixes) and name not in own:
                setters.setdefault(name, []).append(group)
    found = []
    for name, candidates in sorted(setters.items()):
        for index, one in enumerate(candidates):
            for other in candidates[index + 1 :]:
                if _clash(one, other, name):
                    found.append(
                        f"{host}: {name} is {one.variables[name]!r} in group {one.name} and "
                        f"{other.variables[name]!r} in group {other.name}: set it on the host, "
                        "or keep it in one group"
                    )
    return found


def _clash(one: Group, other: Group, name: str) -> bool:
    return (
        one.variables[name] != other.variables[name]
        and one.name not in other.ancestors
        and other.name not in one.ancestors
        and one.priority == other.priority
    )


def misspelt_settings(
    host: str, variables: Iterable[str], known: Mapping[str, Iterable[str]]
) -> list[str]:
    """A line for each variable that nearly is one of a role's.

    ``known``: role to its variables. Others that begin like ours may belong to other roles of the
    user and are left alone.
    """
    names = sorted({name for of_role in known.values() for name in of_role})
    found = []
    for variable in sorted(variables):
        if variable in names or not variable.startswith(tuple(f"{role}_" for role in known)):
            continue
        if near := difflib.get_close_matches(variable, names, n=1, cutoff=0.85):
            found.append(f"{host}: {variable}: no such setting; did you mean {near[0]}?")
    return found
