"""Puts into a run's report what is known of hosts at one time: clocks and joint throughput."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from loadfleet_agent.contract.benchmark import Mode, Scenario

from ..bundle import Bundle
from ..fleet.clock import ClockReading
from ..fleet.common_start import read_start
from ..fleet.record import HOSTS, ControllerNote
from ..report.model import HostReport, ScenarioReport
from .joint import HostWork, host_work, joint_throughput
from .model import JointThroughput


def seen_clock(note: ControllerNote | None) -> ClockReading | None:
    """How far a host's clock is off, as the controller noted it."""
    if note is None or note.clock_offset_s is None or note.clock_error_s is None:
        return None
    return ClockReading(note.clock_offset_s, note.clock_error_s)


def with_joint(
    scenarios: Sequence[ScenarioReport],
    hosts: Sequence[HostReport],
    bundles: Mapping[str, Bundle | None],
    folder: Path,
) -> tuple[ScenarioReport, ...]:
    """The scenarios with the joint throughput of their valid hosts. ``folder``: the run's."""
    by_name = {host.name: host for host in hosts}
    return tuple(
        item.model_copy(update={"joint": _joint(item, by_name, bundles, folder)})
        for item in scenarios
    )


def _joint(
    item: ScenarioReport,
    hosts: Mapping[str, HostReport],
    bundles: Mapping[str, Bundle | None],
    folder: Path,
) -> JointThroughput | None:
    """None with fewer than two hosts, and of SingleStream, in which nothing adds up."""
    valid = [host.host for host in item.hosts if host.valid]
    if len(valid) < 2 or item.scenario is Scenario.SINGLE_STREAM:
        return None
    work: list[HostWork] = []
    unusable: list[str] = []
    for name in valid:
        bundle = bundles[name]
        assert bundle is not None
        assert bundle.result is not None
        phase = next(
            phase
            for phase in bundle.result.phases
            if phase.scenario is item.scenario and phase.mode is Mode.PERFORMANCE
        )
        clock = hosts[name].clock_offset_s, hosts[name].clock_error_s
        start = read_start(folder, phase.name, name)
        found = host_work(name, phase, folder / HOSTS / name, clock, start)
        if isinstance(found, str):
            unusable.append(f"{name}: {found}")
        else:
            work.append(found)
    return joint_throughput(work, unusable) if len(work) > 1 else None
