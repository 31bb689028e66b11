"""What init did, for people."""

from __future__ import annotations

from ..text.terminal import printable
from .model import HostGroup, InitReport, SeenHost


def report_lines(report: InitReport) -> list[str]:
    """Hosts, what was chosen for them and why, files, next steps."""
    lines = [f"{host.name}: {printable(_host(host))}" for host in report.hosts]
    for group in report.groups:
        lines += ["", *(_group(group, named=len(report.groups) > 1))]
    if report.runtime_reason:
        lines.append(f"runtime {report.runtime}: {printable(report.runtime_reason)}")
    lines += ["", *(f"written: {path}" for path in report.files)]
    lines += [f"kept: {path}" for path in report.kept]
    lines += ["", "next:", *(f"  {step}" for step in report.next_steps)]
    return lines


def _host(host: SeenHost) -> str:
    if not host.scanned:
        return "not looked at"
    if not host.reached:
        return host.reason
    counts: dict[str, int] = {}
    for gpu in host.gpus:
        counts[str(gpu)] = counts.get(str(gpu), 0) + 1
    parts = [f"{number} x {name}" for name, number in counts.items()] or [host.reason]
    if host.gpus and host.reason:
        parts.append(host.reason)
    parts.append(f"driver {host.driver}" if host.driver else "no driver yet")
    return ", ".join([*parts, *([host.system] if host.system else [])])


def _group(group: HostGroup, *, named: bool) -> list[str]:
    choice = group.choice
    lines = [f"{group.name}:"] if named else []
    lines.append(f"profile {choice.profile}: {printable(choice.reason)}")
    if choice.unmet:
        lines.append(f"it does not fit: {printable(choice.unmet)}")
    if choice.engine:
        lines.append(f"engine settings in its place: {choice.engine}")
    if choice.faster:
        lines.append(printable(choice.faster))
    return lines
