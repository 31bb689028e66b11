"""Puts into a run's report what is known of hosts at one time: clocks and joint throughput."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loadfleet_agent.contract.benchmark import Scenario

from ..fleet.clock import ClockReading
from ..fleet.record import ControllerNote
from ..report.model import ScenarioReport
from .joint import HostWork, joint_throughput
from .model import JointThroughput

Work = Mapping[Scenario, HostWork | str]
"""A host's performance runs on the controller's clock, or why their samples tell nothing."""


def seen_clock(note: ControllerNote | None) -> ClockReading | None:
    """How far a host's clock is off, as the controller noted it."""
    if note is None or note.clock_offset_s is None or note.clock_error_s is None:
        return None
    return ClockReading(note.clock_offset_s, note.clock_error_s)


def with_joint(
    scenarios: Sequence[ScenarioReport], work: Mapping[str, Work]
) -> tuple[ScenarioReport, ...]:
    """The scenarios with the joint throughput of their valid hosts. ``work``: by host."""
    return tuple(item.model_copy(update={"joint": _joint(item, work)}) for item in scenarios)


def _joint(item: ScenarioReport, work: Mapping[str, Work]) -> JointThroughput | None:
    """None with fewer than two hosts, and of SingleStream, in which nothing adds up."""
    valid = [host.host for host in item.hosts if host.valid]
    if len(valid) < 2 or item.scenario is Scenario.SINGLE_STREAM:
        return None
    usable: list[HostWork] = []
    unusable: list[str] = []
    for name in valid:
        found = work[name][item.scenario]
        if isinstance(found, str):
            unusable.append(f"{name}: {found}")
        else:
            usable.append(found)
    return joint_throughput(usable, unusable) if len(usable) > 1 else None
