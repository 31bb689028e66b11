"""Performance runs of a host, and which of them count."""

from __future__ import annotations

from loadfleet_agent.contract.benchmark import Mode, Scenario

from .model import HostReport, PhaseReport


def performance_runs(host: HostReport) -> dict[Scenario, PhaseReport]:
    """Scenario to the host's performance run of it, valid or not."""
    return {phase.scenario: phase for phase in host.phases if phase.mode == Mode.PERFORMANCE}


def counts(host: HostReport, phase: PhaseReport) -> bool:
    """Whether a run may enter a sum or a comparison.

    It and its accuracy are valid, no evaluation of its engine missed, and the host finished.
    """
    missed = any(item.passed is False for item in host.accuracy if item.scenario is phase.scenario)
    return phase.valid and not missed and not host.evaluations_missed and host.verdict.kind.finished
