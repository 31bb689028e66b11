"""Which speeds do not count, and why: they are struck through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loadfleet_agent.contract.benchmark import Scenario

from ...text.listing import shortened, some
from ..model import HostReport, PhaseReport, ScenarioReport
from ..performance import counts, performance_runs

NOT_VALID = "not valid"
LONGEST_REASON = 300
"""Characters of one host's reason: it stands in a cell or below a figure."""


@dataclass(frozen=True)
class GroupDoubt:
    """What is to be said of one figure for the hosts of a group."""

    struck: bool
    """No host's run counts, or the accuracy of one was missed: that is a fault of the settings that
    all of them share. A run that fails for another reason is only left out of the figure."""
    note: str
    """How many hosts do not count and why, or ''."""


def why_not(host: HostReport, run: PhaseReport) -> str:
    """Why a host's performance run does not count; '' where it does."""
    return "" if counts(host, run) else _reason(host, run)


def why_not_in(host: HostReport, scenario: Scenario) -> str:
    """The reason why a host's run of a scenario does not count, for one that does not."""
    return _reason(host, performance_runs(host).get(scenario))


def group_doubt(scenario: ScenarioReport, hosts: Mapping[str, HostReport]) -> GroupDoubt:
    """``hosts``: by name, those of the scenario at least. Each is judged by itself."""
    out = [hosts[entry.host] for entry in scenario.hosts if not entry.valid]
    if not out:
        return GroupDoubt(struck=False, note="")
    of = scenario.scenario
    # What strikes the figure is told before what only leaves a host out of it.
    told = sorted({(not _accuracy_missed(host, of), why_not_in(host, of)) for host in out})
    reasons = [reason for _, reason in told]
    missed = not told[0][0]
    of_all = len(scenario.hosts)
    note = f"{len(out):,} of {of_all:,} hosts not valid" if of_all > 1 else "not valid"
    if reasons != [NOT_VALID]:
        note += f": {some(reasons, 1)}"
    return GroupDoubt(struck=missed or len(out) == of_all, note=note)


def _accuracy_missed(host: HostReport, scenario: Scenario) -> list[str]:
    """ROUGE of this scenario and evaluations of the host's engine."""
    rouge = [
        f"ROUGE: {item.reason or 'missed'}"
        for item in host.accuracy
        if item.passed is False and item.scenario is scenario
    ]
    return [*rouge, *host.evaluations_missed]


def _reason(host: HostReport, run: PhaseReport | None) -> str:
    found = [] if run is None else [*_accuracy_missed(host, run.scenario), *run.findings]
    if not host.verdict.kind.finished:
        found.append(str(host.verdict))
    return shortened("; ".join(found), LONGEST_REASON) or NOT_VALID
