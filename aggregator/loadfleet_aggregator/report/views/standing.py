"""Where each host stands, the one that most wants a look first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from loadfleet_agent.contract.benchmark import Scenario

from ...stragglers.model import Flag
from ...verdict import VerdictKind
from ..model import FleetReport, HostReport
from ..performance import performance_runs
from .anchor import anchor


class Standing(StrEnum):
    """A host's verdict, with what the comparison with other hosts adds; the worst first."""

    FAILED = "failed"
    UNREACHABLE = "unreachable"
    MISSING = "missing"
    NOT_VALID = "not valid"
    LOOK = "ok, flagged"
    OK = "ok"
    NOT_SELECTED = "not selected"

    @property
    def css(self) -> str:
        return {Standing.LOOK: "look"}.get(self, self.value.replace(" ", "-"))

    @property
    def wants_a_look(self) -> bool:
        return self not in (Standing.OK, Standing.NOT_SELECTED)


@dataclass(frozen=True)
class PlacedHost:
    """A host in its place."""

    host: HostReport
    standing: Standing
    flag: Flag | None
    pace: float | None
    """Its speed over the median of the valid hosts with the same plan; None: not to be compared."""

    @property
    def name(self) -> str:
        return self.host.name

    @property
    def anchor(self) -> str:
        return anchor(self.host.name)

    @property
    def why(self) -> str:
        """What is the matter, or ''."""
        verdict = self.host.verdict
        if self.standing is Standing.OK:
            return ""
        if self.standing is Standing.FAILED:
            return f"at {verdict.phase}: {verdict.reason}" if verdict.phase else verdict.reason
        told = [verdict.reason] if verdict.reason else []
        return "; ".join([*told, *([str(self.flag)] if self.flag else [])])

    @property
    def matters(self) -> bool:
        """Whether there is anything to say of it beside its figures."""
        return bool(self.why or self.host.shares_machine_with or self.host.attempts > 1)

    @property
    def hint(self) -> str:
        """What to do about it, or ''."""
        hints = [self.host.verdict.hint] if self.host.verdict.hint else []
        hints += [reason.hint for reason in self.flag.reasons] if self.flag else []
        return "; ".join(dict.fromkeys(hints))


def place_hosts(report: FleetReport) -> tuple[PlacedHost, ...]:
    """All hosts, worst first: by standing, then as flagged, then the slowest first."""
    flags = {flag.host: (rank, flag) for rank, flag in enumerate(report.flags)}
    paces = _paces(report.hosts)
    placed = []
    for host in report.hosts:
        rank, flag = flags.get(host.name, (len(flags), None))
        standing = _standing(host, flag)
        pace = paces.get(host.name)
        order = (list(Standing).index(standing), rank, 2.0 if pace is None else pace, host.name)
        placed.append((order, PlacedHost(host, standing, flag, pace)))
    return tuple(host for _, host in sorted(placed, key=lambda item: item[0]))


def _standing(host: HostReport, flag: Flag | None) -> Standing:
    kind = host.verdict.kind
    if kind is VerdictKind.MISSING and host.group is None:
        return Standing.NOT_SELECTED
    if kind is VerdictKind.OK:
        return Standing.LOOK if flag else Standing.OK
    return Standing(kind.value)


def _paces(hosts: Sequence[HostReport]) -> dict[str, float]:
    """Of hosts that share no machine."""
    groups: dict[str, list[tuple[HostReport, float]]] = defaultdict(list)
    for host in hosts:
        speed = _speed(host)
        if host.group and speed and not host.shares_machine_with:
            groups[host.group].append((host, speed))
    found: dict[str, float] = {}
    for members in groups.values():
        centre = median(
            [s for h, s in members if h.verdict.kind is VerdictKind.OK] or [s for _, s in members]
        )
        found |= {host.name: speed / centre for host, speed in members if len(members) > 1}
    return found


def _speed(host: HostReport) -> float | None:
    """Of the first scenario in which the host alone set the pace; larger is faster.

    As stragglers/speeds.py: where LoadGen sets the pace, throughput is what was asked for.
    """
    runs = performance_runs(host)
    if (run := runs.get(Scenario.OFFLINE)) and run.tokens_per_second:
        return run.tokens_per_second
    if (run := runs.get(Scenario.SINGLE_STREAM)) and run.latency:
        p90 = run.latency.percentiles["90.00"]
        return 1e9 / p90 if p90 > 0 else None
    for scenario in (Scenario.SERVER, Scenario.INTERACTIVE):
        if (run := runs.get(scenario)) and run.tpot and run.tpot.percentiles["50.00"] > 0:
            return 1e9 / run.tpot.percentiles["50.00"]
    return None
