"""Every host of the inventory gets exactly one verdict."""

from __future__ import annotations

from enum import StrEnum

from loadfleet_agent.contract.base import Frozen

from .bundle import Bundle
from .fleet.record import ControllerNote, HostRecord


class VerdictKind(StrEnum):
    OK = "ok"
    NOT_VALID = "not valid"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    MISSING = "missing"

    @property
    def finished(self) -> bool:
        """Complete, validly or not."""
        return self in (VerdictKind.OK, VerdictKind.NOT_VALID)


class Verdict(Frozen):
    """What became of a host, where, why, and what to do about it."""

    kind: VerdictKind
    phase: str = ""
    reason: str = ""
    hint: str = ""

    def __str__(self) -> str:
        if self.kind is VerdictKind.FAILED:
            return f"failed at {self.phase} because {self.reason}"
        return f"{self.kind}: {self.reason}" if self.reason else self.kind.value


def judge_host(record: HostRecord, note: ControllerNote | None, bundle: Bundle | None) -> Verdict:
    """The verdict from the plan, what the controller saw, and what the host sent."""
    if record.plan_hash is None:
        return Verdict(kind=VerdictKind.MISSING, reason="not selected for this run")
    if bundle is not None and bundle.problems:
        more = f" (and {len(bundle.problems) - 1} more)" if len(bundle.problems) > 1 else ""
        what = "are not as it sealed them" if bundle.sealed else "cannot be read"
        return Verdict(
            kind=VerdictKind.FAILED,
            phase="collect",
            reason=f"its files {what}: {bundle.problems[0]}{more}",
            hint="collect again; if it stays so, the files were changed on the host",
        )
    if bundle is not None and bundle.result is not None:
        return _judge_result(bundle)
    if note is not None and note.state == "unreachable":
        return Verdict(
            kind=VerdictKind.UNREACHABLE,
            phase=note.step,
            reason=f"{note.step}: {note.message}",
            hint="see that the host is up and reached over SSH, and give the same command again",
        )
    if bundle is not None and bundle.status is not None:
        status = bundle.status
        if status.failure is not None:
            return Verdict(
                kind=VerdictKind.FAILED,
                phase=status.failure.phase,
                reason=status.failure.message,
                hint=status.failure.hint,
            )
        return Verdict(
            kind=VerdictKind.FAILED,
            phase=status.phase,
            reason=note.message if note and note.message else "the run did not end",
            hint="give the same command again to go on after the finished phases",
        )
    if note is not None and note.state == "failed":
        return Verdict(
            kind=VerdictKind.FAILED,
            phase=note.step,
            reason=note.message,
            hint="mend the cause and give the same command again",
        )
    return Verdict(
        kind=VerdictKind.MISSING,
        reason="nothing was collected from it",
        hint="give the same command again",
    )


def _judge_result(bundle: Bundle) -> Verdict:
    result = bundle.result
    assert result is not None
    if result.failure is not None:
        return Verdict(
            kind=VerdictKind.FAILED,
            phase=result.failure.phase,
            reason=result.failure.message,
            hint=result.failure.hint,
        )
    broken = [f"{name}: {finding}" for name, found in bundle.gate.items() for finding in found]
    broken += [str(finding) for finding in result.gate]
    broken += [
        f"{item.scenario.value} accuracy: {item.reason}"
        for item in result.accuracy
        if item.passed is False
    ]
    if broken or not result.valid:
        return Verdict(
            kind=VerdictKind.NOT_VALID,
            reason="; ".join(broken) or "the agent's own gate found it so",
            hint="docs/mlperf-rules.md explains each rule of the gate",
        )
    return Verdict(kind=VerdictKind.OK)
