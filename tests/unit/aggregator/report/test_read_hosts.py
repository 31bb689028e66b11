"""A large fleet is read by several processes and comes out as it would by one."""

from __future__ import annotations

from pathlib import Path

import pytest
from loadfleet_agent.contract.run_folder import PLAN, RESULT
from loadfleet_aggregator.fleet.record import HOSTS, PLANS, RUN_RECORD
from loadfleet_aggregator.report import read_hosts as module
from loadfleet_aggregator.report.build import build_report

from ..helpers import edit_json, reseal


@pytest.fixture
def many(fleet: Path) -> Path:
    """host-a again and again, under the names of a fleet that is read in several processes."""
    names = [f"host-{number:02}" for number in range(module.LEAST_HOSTS)]
    record = (fleet / HOSTS / "host-a", fleet / PLANS / "host-a.json")
    for name in names:
        for source in record:
            target = source.with_name(source.name.replace("host-a", name))
            if source.is_dir():
                target.mkdir()
                for path in source.rglob("*"):
                    if path.is_file():
                        copy = target / path.relative_to(source)
                        copy.parent.mkdir(parents=True, exist_ok=True)
                        copy.write_bytes(path.read_bytes())
            else:
                target.write_bytes(source.read_bytes())
        for path in (
            fleet / HOSTS / name / RESULT,
            fleet / HOSTS / name / PLAN,
            fleet / PLANS / f"{name}.json",
        ):
            edit_json(path, lambda told, name=name: told.update(host=name))
        reseal(fleet / HOSTS / name)
    edit_json(
        fleet / RUN_RECORD,
        lambda told: told["hosts"].update(dict.fromkeys(names, told["hosts"]["host-a"])),
    )
    return fleet


def one_process(*_: object) -> object:
    raise OSError("no process can be started")


def test_the_number_of_processes_changes_no_byte(
    many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = build_report(many).model_dump_json()
    monkeypatch.setattr(module, "LEAST_HOSTS", 10_000)
    assert build_report(many).model_dump_json() == several


def test_where_no_process_can_be_started_all_is_read_in_one(
    many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = build_report(many)
    assert sum(host.verdict.kind == "ok" for host in several.hosts) == module.LEAST_HOSTS + 2
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(module, "_in_processes", one_process)
    assert build_report(many) == several


def test_the_order_of_the_record_does_not_matter(many: Path) -> None:
    before = build_report(many)
    edit_json(
        many / RUN_RECORD,
        lambda told: told.update(hosts=dict(reversed(list(told["hosts"].items())))),
    )
    assert build_report(many) == before
