"""Makes all checks: those of the controller while ansible-playbook asks the inventory."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from loadfleet_agent.contract.base import utc_now

from .answers import Answers, HostAnswers
from .ask import NO_HOSTS, NoAnswer, Question, ask
from .catalogue import CONTROLLER_CHECKS, make_check
from .controller import CONTROLLER_FUNCTIONS, ControllerCheck
from .hosts import check_host
from .inventory import (
    check_forks,
    check_inventory,
    check_no_answer,
    check_report,
    check_results,
    check_settings,
    check_ssh,
    check_token,
)
from .model import Check, DoctorReport, Severity

BY_HAND = "look at this by hand"
CONTROLLER_S = 60.0
"""Most that the controller's own checks may take, all of them together."""


class NoHosts(ValueError):
    """The inventory has none, or the limit leaves none."""


def examine(question: Question) -> DoctorReport:
    """All checks that the question asks for. One that fails hides none of the others.

    Raises NoHosts.
    """
    project = question.project
    begun = _begin(CONTROLLER_FUNCTIONS, project)
    answers = ask(question)
    if answers == NoAnswer(NO_HOSTS):
        raise NoHosts(NO_HOSTS)
    checks = _finish(begun, CONTROLLER_FUNCTIONS)
    if isinstance(answers, NoAnswer):
        checks += check_no_answer(answers)
    else:
        checks += _of_inventory(question, answers)
    order = [kind.id for kind in CONTROLLER_CHECKS]
    checks.sort(key=lambda check: order.index(check.id))
    if question.remote and isinstance(answers, Answers):
        for name, host in answers.hosts.items():
            checks += _of_host(name, host, question)
    return DoctorReport(
        made_utc=utc_now(),
        project=str(project),
        inventory=question.selection.inventory,
        remote=question.remote,
        online=question.online,
        checks=tuple(checks),
    )


def _of_host(name: str, host: HostAnswers, question: Question) -> list[Check]:
    try:
        return check_host(name, host, question.project, online=question.online)
    except Exception as error:
        why = f"its answers could not be judged: {type(error).__name__}: {error}"
        return [make_check("connection", Severity.ERROR, why, BY_HAND, host=name)]


def _of_inventory(question: Question, answers: Answers) -> list[Check]:
    made: dict[str, Callable[[], list[Check]]] = {
        "inventory": lambda: check_inventory(answers),
        "settings": lambda: check_settings(answers),
        "forks": lambda: check_forks(answers),
        "results": lambda: check_results(question.project, answers),
        "report": lambda: check_report(question.project, answers),
        "ssh": lambda: check_ssh(answers),
        "token": lambda: check_token(answers, online=question.online, remote=question.remote),
    }
    return [check for name, make in made.items() for check in _guarded(name, make)]


def _guarded(name: str, make: Callable[[], list[Check]]) -> list[Check]:
    try:
        return make()
    except Exception as error:
        return [_not_made(name, f"{type(error).__name__}: {error}")]


def _not_made(name: str, why: str) -> Check:
    return make_check(name, Severity.ERROR, f"could not be checked: {why}", BY_HAND)


Begun = tuple[float, "queue.SimpleQueue[tuple[str, list[Check]]]"]


def _begin(functions: Mapping[str, ControllerCheck], project: Path) -> Begun:
    """A thread for each check. They are daemons: one that hangs, as on a dead NFS server, must not
    keep the command from ending."""
    done: queue.SimpleQueue[tuple[str, list[Check]]] = queue.SimpleQueue()

    def work(name: str, function: ControllerCheck) -> None:
        done.put((name, _guarded(name, lambda: function(project))))

    for name, function in functions.items():
        threading.Thread(target=work, args=(name, function), daemon=True).start()
    return time.monotonic(), done


def _finish(
    begun: Begun, functions: Mapping[str, ControllerCheck], limit_s: float = CONTROLLER_S
) -> list[Check]:
    started, done = begun
    waiting = set(functions)
    checks: list[Check] = []
    while waiting:
        try:
            name, made = done.get(timeout=max(0.0, started + limit_s - time.monotonic()))
        except queue.Empty:
            break
        waiting.remove(name)
        checks += made
    return checks + [_not_made(name, f"no end in {limit_s:g} s") for name in sorted(waiting)]
