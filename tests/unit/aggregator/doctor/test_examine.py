"""A check that fails or hangs hides none of the others."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from loadfleet_aggregator.doctor import examine as examined
from loadfleet_aggregator.doctor.answers import Answers
from loadfleet_aggregator.doctor.ask import NO_HOSTS, NoAnswer, Question
from loadfleet_aggregator.doctor.catalogue import CONTROLLER_CHECKS, make_check
from loadfleet_aggregator.doctor.model import Check, Severity

from .made import PROJECT, answers, host_answers, worst


def well(_project: Path) -> list[Check]:
    return [make_check("python", Severity.OK, "3.12")]


def breaks(_project: Path) -> list[Check]:
    raise ZeroDivisionError("of all things")


@pytest.fixture(autouse=True)
def _answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examined, "ask", lambda _question: answers())
    monkeypatch.setattr(examined, "CONTROLLER_FUNCTIONS", {"python": well})


def examine(**options: bool) -> list[Check]:
    return list(examined.examine(Question(project=PROJECT, **options)).checks)  # type: ignore[arg-type]


def test_the_controller_is_checked_in_the_order_of_the_catalogue() -> None:
    names = [check.id for check in examine()]
    order = [kind.id for kind in CONTROLLER_CHECKS]
    assert names == sorted(names, key=order.index)
    assert {check.is_host for check in examine()} == {False}
    assert {check.place for check in examine(remote=True)} == {"controller", "gpu-1"}


def test_a_check_that_breaks_is_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examined, "CONTROLLER_FUNCTIONS", {"python": breaks, "packages": well})
    checks = examine()
    broken = [check for check in checks if check.severity is Severity.ERROR]
    assert [check.found for check in broken] == [
        "could not be checked: ZeroDivisionError: of all things"
    ]
    assert any(check.found == "3.12" for check in checks)


def test_a_check_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def hangs(_project: Path) -> list[Check]:
        ended.wait()
        return []

    try:
        begun = examined._begin({"clock": hangs, "python": well}, PROJECT)
        checks = examined._finish(begun, {"clock": hangs, "python": well}, 0.5)
    finally:
        ended.set()
    assert [check.id for check in checks] == ["python", "clock"]
    assert checks[1].found == "could not be checked: no end in 0.5 s"


def test_without_an_answer_of_ansible_the_controller_is_checked_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(examined, "ask", lambda _question: NoAnswer("not YAML"))
    checks = examine(remote=True)
    assert worst(checks) == [("inventory", Severity.ERROR)]
    assert [check.id for check in checks] == ["python", "inventory"]


def test_a_host_whose_answers_cannot_be_judged_hides_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strange = {"check": "of-tomorrow", "cause": "x", "remedy": "y"}
    needs = {"findings": [strange], "passed": {}}
    told = answers({"odd": host_answers(needs=needs), "good": host_answers()})
    monkeypatch.setattr(examined, "ask", lambda _question: told)
    checks = examine(remote=True)
    (odd,) = [check for check in checks if check.place == "odd"]
    assert (odd.id, odd.severity) == ("connection", Severity.ERROR)
    assert "of-tomorrow" in odd.found
    assert len([check for check in checks if check.place == "good"]) > 5


def test_an_inventory_without_hosts_is_wrong_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examined, "ask", lambda _question: NoAnswer(NO_HOSTS))
    with pytest.raises(examined.NoHosts):
        examine()


def test_answers_are_read_whatever_else_they_hold() -> None:
    told = answers().model_dump(mode="json") | {"surprise": 1}
    assert Answers.model_validate(told) == answers()
