"""Looks at hosts that are in no inventory yet, by the same playbook as doctor."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..doctor.answers import Answers, HostAnswers
from ..doctor.ask import NoAnswer, Question, ask
from ..doctor.reach import reason, remedy
from ..hosts.inventory import Selection
from .gpu_ids import PCI_MODELS, USABLE
from .model import SeenGpu, SeenHost
from .targets import Target
from .write import Connection, render_hosts

NO_GPU = "no NVIDIA GPU on its PCI bus"


class ScanError(RuntimeError):
    """No host could be asked at all; the text says why."""


def scan(
    targets: Sequence[Target], connection: Connection, project: Path, timeout_s: int
) -> tuple[SeenHost, ...]:
    """Each host as it is seen; one that is not reached with ssh's reason. Raises ScanError."""
    with tempfile.TemporaryDirectory(prefix="loadfleet-init-") as scratch:
        draft = Path(scratch) / "hosts.yml"
        # Container: then Docker is looked for too.
        text = render_hosts(targets, connection, (), ()) + "    loadfleet_runtime: container\n"
        draft.write_text(text, encoding="utf-8")
        answers = ask(
            Question(
                project=project,
                selection=Selection(inventory=(str(draft),)),
                remote=True,
                timeout_s=timeout_s,
            )
        )
    if isinstance(answers, NoAnswer):
        raise ScanError(answers.reason)
    return tuple(seen_host(target.name, answers) for target in targets)


def not_scanned(targets: Sequence[Target]) -> tuple[SeenHost, ...]:
    return tuple(SeenHost(name=target.name, scanned=False, reached=False) for target in targets)


def seen_host(name: str, answers: Answers) -> SeenHost:
    """One host out of what the playbook wrote."""
    host = answers.hosts.get(name)
    if host is None or host.reach is None or host.reach.user is None:
        told = host.reach.text if host is not None and host.reach is not None else "no answer"
        why = f"not reached: {reason(told)}: {remedy(told)}"
        return SeenHost(name=name, scanned=True, reached=False, reason=why)
    gpus = _gpus(host)
    driver = next((str(gpu["driver_version"]) for gpu in _by_driver(host)), None)
    needs, system = host.needs, host.system
    return SeenHost(
        name=name,
        scanned=True,
        reached=True,
        reason=_odd(host, gpus),
        system=str(system.facts.get("system", "")) if system else "",
        driver=driver,
        docker=needs is not None and needs.passed is not None and "docker" in needs.passed,
        gpus=gpus,
    )


def _odd(host: HostAnswers, gpus: Sequence[SeenGpu]) -> str:
    if host.gpus is None or host.gpus.passed is None:
        told = host.gpus.text if host.gpus is not None else "no answer"
        return f"its GPUs could not be looked at: {told}"
    return "" if gpus else NO_GPU


def _by_driver(host: HostAnswers) -> list[dict[str, Any]]:
    return list(host.gpus.facts.get("gpus", ())) if host.gpus is not None else []


def _gpus(host: HostAnswers) -> tuple[SeenGpu, ...]:
    if seen := _by_driver(host):
        return tuple(
            SeenGpu(
                name=gpu["name"],
                memory_mib=int(float(gpu["memory.total"])),
                compute_capability=gpu["compute_cap"] if _is_number(gpu["compute_cap"]) else None,
                by_driver=True,
            )
            for gpu in seen
        )
    bus = host.gpus.facts.get("bus", ()) if host.gpus is not None else ()
    return tuple(_of_bus(gpu["device"]) for gpu in bus)


def _of_bus(device: str) -> SeenGpu:
    if device in PCI_MODELS:
        name, gib = PCI_MODELS[device]
        return SeenGpu(name=name, memory_mib=int(gib * 1024 * USABLE), by_driver=False)
    return SeenGpu(name=f"NVIDIA device {device}", memory_mib=None, by_driver=False)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()
