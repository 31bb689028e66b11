"""Checks of one host, out of what it answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loadfleet_agent.contract.host import GpuFacts
from loadfleet_agent.contract.needs import unmet_by_host
from loadfleet_agent.contract.plan import Runtime

from ..fleet.clock import ClockReading
from ..wheelhouse import WheelhouseError, wheelhouse_key
from .answers import Answer, Findings, HostAnswers
from .catalogue import HOST_CHECKS, make_check
from .inventory import run_gib
from .model import Check, Severity
from .reach import reason, remedy

NO_ANSWER = "look at this on the host"
PYTHON = "set ansible_python_interpreter to a Python 3.11 or newer there"


def check_host(name: str, host: HostAnswers, project: Path, *, online: bool) -> list[Check]:
    """In the catalogue's order. Of a host that was not reached only that, with its reason."""
    reach = host.reach
    if reach is None or reach.user is None:
        told = reach.text if reach is not None else "it was not asked"
        return [
            make_check("connection", Severity.ERROR, reason(told) or "no answer", remedy(told),
                       host=name)
        ]  # fmt: skip
    checks = [
        make_check("connection", Severity.OK, f"as {reach.user}, {reach.kernel}", host=name),
        *_sudo(name, host),
        *_clock(name, host),
        *_findings(name, host.system, "system", leave_out=("clock", "root")),
        *_agent(name, host, project),
        *_gpus(name, host),
        *_findings(name, host.needs, "model"),
        *_own_needs(name, host),
        *_room(name, host),
    ]
    if online:
        checks += _hub(name, host)
    order = [kind.id for kind in HOST_CHECKS]
    return sorted(_once(checks), key=lambda check: order.index(check.id))


def _once(checks: list[Check]) -> list[Check]:
    """Without what several questions failed for in the same words."""
    told: set[str] = set()
    kept = []
    for check in checks:
        if check.severity is not Severity.ERROR or check.found not in told:
            kept.append(check)
        if check.severity is Severity.ERROR:
            told.add(check.found)
    return kept


def _findings(
    name: str, answer: Findings | None, main: str, leave_out: tuple[str, ...] = ()
) -> Iterator[Check]:
    """Of a module of checks; ``main`` is the check that tells of the module's own failure."""
    if answer is None:
        return
    if answer.passed is None:
        if not _became(answer.text):
            return  # told by the check of sudo
        yield _unanswered(main, name, answer)
        return
    for finding in answer.findings:
        if finding.check not in leave_out:
            yield make_check(
                finding.check, Severity(finding.severity), finding.cause, finding.remedy, host=name
            )
    for check, text in answer.passed.items():
        if check not in leave_out:
            yield make_check(check, Severity.OK, text, host=name)


def _unanswered(check: str, name: str, answer: Answer) -> Check:
    what = PYTHON if answer.module_stderr else NO_ANSWER
    return make_check(check, Severity.ERROR, answer.text or "no answer", what, host=name)


def _became(text: str) -> bool:
    """Whether a failed task failed for something else than its way to root."""
    return not any(word in text.lower() for word in ("sudo", "become", "privilege"))


def _sudo(name: str, host: HostAnswers) -> Iterator[Check]:
    """By what a task as root said; else by what sudo said without a password."""
    assert host.reach is not None
    system, sudo = host.system, host.reach.sudo
    if system is not None and system.passed is None and not _became(system.text):
        yield make_check(
            "sudo", Severity.ERROR, system.text,
            "allow sudo without a password (NOPASSWD), or give --ask-become-pass after --",
            host=name,
        )  # fmt: skip
        return
    if system is not None and any(item.check == "root" for item in system.findings):
        yield make_check(
            "sudo", Severity.ERROR, "tasks do not run as root", "set ansible_become: true",
            host=name,
        )  # fmt: skip
        return
    if system is not None and system.passed is not None and "root" in system.passed:
        how = {"root": "it logs in as root", "sudo": "sudo without a password"}
        yield make_check(
            "sudo", Severity.OK, how.get(sudo, "with the password that Ansible has"), host=name
        )
        return
    yield make_check("sudo", Severity.SKIPPED, "this host's runs need no root", host=name)


def _clock(name: str, host: HostAnswers) -> Iterator[Check]:
    assert host.reach is not None
    offset, error = host.reach.clock_offset_s, host.reach.clock_error_s
    if offset is None or error is None:
        yield make_check("clock", Severity.SKIPPED, "date tells no fractions there", host=name)
        return
    reading = ClockReading(offset, error)
    if reading.is_off:
        cause, _, what = reading.warning.partition(": ")
        yield make_check("clock", Severity.ERROR, cause, what, host=name)
        return
    yield make_check(
        "clock", Severity.OK,
        f"{abs(offset) * 1000:.0f} ms {'ahead' if offset > 0 else 'behind'}, "
        f"give or take {error * 1000:.0f}",
        host=name,
    )  # fmt: skip


def _agent(name: str, host: HostAnswers, project: Path) -> Iterator[Check]:
    """A host without the agent is well: run_benchmark.yml installs it."""
    agent = host.agent
    if agent is None:
        return
    if agent.python is None:
        if _became(agent.text):
            yield _unanswered("agent", name, agent)
        return
    python = f"Python {agent.python_version}"
    if host.plan is None:
        yield make_check("agent", Severity.OK, python, host=name)
        return
    plan = host.plan.plan
    build = "client" if plan.runtime is Runtime.CONTAINER else plan.build.value
    try:
        key = wheelhouse_key(project, build, agent.python_version)
    except (WheelhouseError, OSError) as error:
        yield make_check("agent", Severity.ERROR, str(error), "check the project out", host=name)
        return
    if key in agent.environments:
        text = f"{python}, agent {key}"
    elif agent.environments:
        text = f"{python}, another agent ({agent.environments[-1]}): the next command brings {key}"
    else:
        text = f"{python}, no agent yet: the next command installs {key}"
    yield make_check("agent", Severity.OK, text, host=name)


def _gpus(name: str, host: HostAnswers) -> Iterator[Check]:
    answer = host.gpus
    if answer is None:
        profile = host.plan.plan.profile if host.plan else "?"
        yield make_check(
            "gpus", Severity.SKIPPED, f"profile {profile} runs without a GPU", host=name
        )
        return
    yield from _findings(name, answer, "driver")
    read = [gpu_facts(gpu) for gpu in answer.facts.get("gpus", ())]
    if not read or host.plan is None:
        return
    profile = host.plan.plan.profile
    if unmet := unmet_by_host(host.plan.plan.needs, read):
        yield make_check(
            "profile", Severity.ERROR, f"{unmet} ({profile})",
            "take a profile that fits (loadfleet init chooses one), or leave the host out",
            host=name,
        )  # fmt: skip
    else:
        yield make_check("profile", Severity.OK, f"{profile} fits", host=name)


def gpu_facts(gpu: dict[str, Any]) -> GpuFacts:
    """A GPU as nvidia-smi names it, as far as a profile's needs ask."""
    capability = str(gpu.get("compute_cap", ""))
    return GpuFacts(
        index=int(gpu["index"]),
        name=gpu["name"],
        uuid=gpu["uuid"],
        memory_mib=int(float(gpu["memory.total"])),
        compute_capability=capability if capability.replace(".", "").isdigit() else None,
    )


def _own_needs(name: str, host: HostAnswers) -> Iterator[Check]:
    """What the agent makes itself, or the run brings, is no question."""
    yield make_check(
        "ports", Severity.SKIPPED, "none is needed: no part of a run listens on one", host=name
    )
    if host.plan is None or host.needs is None or host.needs.passed is None:
        return
    told = {*host.needs.passed, *(finding.check for finding in host.needs.findings)}
    for check in {"model", "dataset"} - told:
        yield make_check(check, Severity.SKIPPED, "the run makes or brings it itself", host=name)
    if host.plan.plan.runtime is Runtime.VENV:
        yield make_check("docker", Severity.SKIPPED, "runs are in a venv there", host=name)


def _room(name: str, host: HostAnswers) -> Iterator[Check]:
    """For the plan's own runs, where they are larger than what is asked for anyway."""
    facts = host.system.facts if host.system is not None else {}
    free = facts.get("home_free_gib")
    if host.plan is None or free is None:
        return
    needed = run_gib(host.plan)
    if float(free) < needed:
        yield make_check(
            "disk", Severity.ERROR,
            f"{free} GiB free at {host.plan.fleet.home}, the planned run alone takes {needed:.1f}",
            "free some, or set loadfleet_home to a larger disk", host=name,
        )  # fmt: skip


def _hub(name: str, host: HostAnswers) -> Iterator[Check]:
    if host.hub is None or (host.plan is not None and host.plan.plan.model.source != "hub"):
        yield make_check("hub", Severity.SKIPPED, "its model is not of the hub", host=name)
    elif host.hub.access is None:
        yield make_check("hub", Severity.ERROR, host.hub.text or "no answer",
                         "do what is said, then ask again", host=name)  # fmt: skip
    elif host.hub.access == "proved":
        yield make_check("hub", Severity.OK, "the token reads the model from here", host=name)
    else:
        yield make_check("hub", Severity.SKIPPED, "the model is here already", host=name)
