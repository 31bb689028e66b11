"""The tables: worst first, symbols and words, nothing of a host's can move the cursor."""

from __future__ import annotations

import io

import pytest
from loadfleet_agent.contract.base import utc_now
from loadfleet_aggregator.doctor.catalogue import catalogue_table, make_check
from loadfleet_aggregator.doctor.model import Check, DoctorReport, Severity
from loadfleet_aggregator.doctor.render import places, show, summary
from pydantic import ValidationError
from rich.console import Console

CHECKS = (
    make_check("python", Severity.OK, "Python 3.12"),
    make_check("docker", Severity.OK, "Docker 29", host="good"),
    make_check("power", Severity.WARNING, "capped", "lift it", host="bad"),
    make_check("driver", Severity.ERROR, "none\x1b[2J\nat all", "install it", host="bad"),
    make_check("model", Severity.SKIPPED, "not asked", host="good"),
)


def report(*checks: Check) -> DoctorReport:
    return DoctorReport(
        made_utc=utc_now(), project="/p", inventory=(), remote=True, online=False,
        checks=checks or CHECKS,
    )  # fmt: skip


def shown(*, every: bool = False) -> str:
    stream = io.StringIO()
    show(report(), Console(file=stream, width=80), every=every)
    return stream.getvalue()


def test_the_controller_comes_first_then_the_worst_host() -> None:
    assert [place for place, _ in places(report())] == ["controller", "bad", "good"]
    (_, bad) = places(report())[1]
    assert [check.id for check in bad] == ["driver", "power"]


def test_a_finding_has_a_symbol_a_word_and_its_remedy() -> None:
    text = shown()
    assert "✘ error    Driver" in text
    assert "! warning  Power limit" in text
    assert "→ install it" in text


def test_what_is_well_is_on_one_line_unless_all_is_wanted() -> None:
    assert "Docker 29" not in shown()
    assert "✓ ok" in shown()
    assert "Docker 29" in shown(every=True)


def test_words_of_a_host_stay_on_their_line() -> None:
    assert "\x1b" not in shown()
    assert "none\\x1b[2J at all" in shown()


def test_the_summary_counts_hosts_without_an_error() -> None:
    assert summary(report()) == "1 error, 1 warning, 2 ok, 1 skipped; 1 of 2 hosts ready"


def test_only_an_error_makes_the_exit_code() -> None:
    assert report().exit_code == 1
    assert report(*CHECKS[:3]).exit_code == 0
    assert report().errors == 1


def test_a_finding_without_a_remedy_cannot_be_made() -> None:
    with pytest.raises(ValidationError, match="without a remedy"):
        make_check("python", Severity.WARNING, "old")


def test_a_host_of_the_name_controller_is_told_apart() -> None:
    check = make_check("docker", Severity.OK, "Docker", host="controller")
    assert len(places(report(CHECKS[0], check))) == 2


def test_every_check_is_in_the_catalogue_once() -> None:
    rows = [line.split("|")[1] for line in catalogue_table().splitlines() if "`" in line]
    assert len(rows) > 30
    assert len(set(rows)) == len(rows) - 1  # clock is checked on both sides
