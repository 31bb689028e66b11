"""A section of the page for each host, in full where that fits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..charts.timeline import Timeline
from ..model import FleetReport, HostReport
from ..told import told_values
from .listing import MOST_LISTED
from .standing import PlacedHost, Standing
from .timeline import host_timeline

ALL_FULL = 50
"""Up to so many hosts each has a full section; a page of them stays below 1 MB."""


@dataclass(frozen=True)
class HostSection:
    host: PlacedHost
    full: bool
    """With facts, sensors and a timeline; else its figures alone."""
    timeline: Timeline | None
    own_facts: Mapping[str, str]
    """Facts and settings that not all hosts share."""


@dataclass(frozen=True)
class HostSections:
    sections: tuple[HostSection, ...]
    common_facts: Mapping[str, str]
    """That all hosts share which told any; of a single host all."""

    @property
    def compact(self) -> int:
        """Hosts whose section is not full."""
        return sum(not section.full for section in self.sections)


def host_sections(report: FleetReport, placed: Sequence[PlacedHost]) -> HostSections:
    """Worst first. A large fleet has full sections for hosts that want a look alone."""
    shown = [host for host in placed if host.standing is not Standing.NOT_SELECTED]
    values = told_values(report.hosts, {})
    common = _common(values)
    small = len(shown) <= ALL_FULL
    wanting = [host for host in shown if host.standing.wants_a_look][:MOST_LISTED]
    full = {host.name for host in (shown if small else wanting)}
    sections = tuple(
        HostSection(
            host=host,
            full=host.name in full,
            timeline=host_timeline(report, host) if host.name in full else None,
            own_facts={
                fact: of_hosts[host.name]
                for fact, of_hosts in sorted(values.items())
                if fact not in common and host.name in of_hosts
            }
            if host.name in full
            else {},
        )
        for host in shown
    )
    return HostSections(sections, common)


def _common(values: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Facts with one value on all hosts that told any of the same source (host, engine, ...)."""
    tellers: dict[str, set[str]] = defaultdict(set)
    for fact, of_hosts in values.items():
        tellers[fact.partition(":")[0]].update(of_hosts)
    return {
        fact: next(iter(of_hosts.values()))
        for fact, of_hosts in sorted(values.items())
        if len(of_hosts) == len(tellers[fact.partition(":")[0]])
        and len(set(of_hosts.values())) == 1
    }


def clock(host: HostReport) -> str:
    """How far its clock is off the controller's, or ''."""
    if host.clock_offset_s is None:
        return ""
    text = f"{host.clock_offset_s * 1e3:+,.1f} ms"
    if host.clock_error_s is not None:
        text += f" \N{PLUS-MINUS SIGN} {host.clock_error_s * 1e3:,.1f} ms"
    return text
