"""The table of a run, from the events of ansible-runner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loadfleet_agent.contract.status import State
from loadfleet_aggregator.operate.live import LiveState
from loadfleet_aggregator.operate.run_view import RunView

from .looks import make_look, make_status


def event(kind: str, host: str, action: str, task: str = "", **res: Any) -> dict[str, Any]:
    data = {"host": host, "task": task, "task_action": action, "res": res}
    return {"event": kind, "event_data": data, "stdout": ""}


def text(line: str) -> dict[str, Any]:
    return {"event": "verbose", "stdout": f"{line}\r\n", "event_data": {}}


def planned(*hosts: str) -> RunView:
    view = RunView()
    view.take(
        event("runner_on_ok", hosts[0], "plan_run", run_id="run-1", folder="/results/run-1",
              hosts={host: {} for host in hosts}, msg="new run run-1")
    )  # fmt: skip
    return view


def rows(view: RunView) -> dict[str, tuple[LiveState, str, str]]:
    return {row.host: (row.state, row.phase, row.note) for row in view.rows()}


def test_knows_hosts_and_folder_from_the_plan() -> None:
    view = planned("a", "b")
    assert view.planned
    assert (view.run_id, view.folder) == ("run-1", Path("/results/run-1"))
    assert [row.host for row in view.rows()] == ["a", "b"]


def test_a_plan_that_is_refused_says_why() -> None:
    view = RunView()
    view.take(event("runner_on_failed", "a", "plan_run", msg="one\ntwo"))
    assert not view.planned
    assert view.refusal == "one\ntwo"


def test_shows_the_task_before_the_run_and_the_hosts_own_word_during_it() -> None:
    view = planned("a")
    view.take(event("runner_on_start", "a", "agent_command", "Prepare model and dataset"))
    assert rows(view)["a"] == (LiveState.STARTING, "Prepare model and dataset", "")
    view.look({"a": make_look(make_status())})
    assert rows(view)["a"][0] is LiveState.STARTING  # of an earlier wait
    view.take(event("runner_on_start", "a", "agent_wait", "Wait for the run"))
    assert view.started == {"a"}
    view.look({"a": make_look(make_status())})
    (row,) = view.rows()
    assert (row.state, row.tokens_per_s) == (LiveState.RUNNING, 671.5)


def test_a_lost_link_is_noted_and_forgotten_with_the_next_look() -> None:
    view = planned("a")
    view.take(event("runner_on_start", "a", "agent_wait"))
    view.take(text("12:00:00 a: link lost, trying again (timed out)"))
    assert rows(view)["a"][2] == "link lost, trying again (timed out)"
    view.look({"a": make_look(make_status())})
    assert rows(view)["a"][2] == ""


def test_the_end_of_the_wait_is_the_hosts_end_whatever_comes_after() -> None:
    view = planned("a", "b", "c")
    for host in "abc":
        view.take(event("runner_on_start", host, "agent_wait"))
    view.take(event("runner_on_ok", "a", "agent_wait", state="done", msg="done"))
    view.take(event("runner_on_failed", "b", "agent_wait", state="failed", msg="failed: at load"))
    view.take(event("runner_on_failed", "c", "agent_wait", state="lost", msg="lost: no route"))
    for host in "abc":
        view.take(event("runner_on_start", host, "agent_command", "Pack the run's files"))
    view.look({"a": make_look(make_status())})
    assert {host: row[0] for host, row in rows(view).items()} == {
        "a": LiveState.DONE,
        "b": LiveState.FAILED,
        "c": LiveState.STARTING,  # it is reached again
    }
    assert rows(view)["b"][2] == "failed: at load"


def test_a_host_that_fails_before_its_run() -> None:
    view = planned("a", "b")
    view.take(event("runner_on_unreachable", "a", "agent_facts", msg="no route to host"))
    view.take(event("runner_on_failed", "b", "agent_facts", msg="no Python"))
    assert rows(view) == {
        "a": (LiveState.UNREACHABLE, "", "no route to host"),
        "b": (LiveState.FAILED, "", "no Python"),
    }
    assert view.started == set()


def test_the_report_is_the_last_one_with_its_verdicts() -> None:
    view = planned("a")
    view.take(
        event("runner_on_ok", "a", "report_run", verdicts={"a": {"kind": "ok", "text": "ok"}},
              msg=["1 of 1 hosts ok", "a: ok"])
    )  # fmt: skip
    assert view.report == ["1 of 1 hosts ok", "a: ok"]
    assert view.verdicts == {"a": {"kind": "ok", "text": "ok"}}


def test_other_lines_are_told_and_made_harmless() -> None:
    told: list[str] = []
    view = planned("a")
    view.tell_lines(told.append)
    view.take(text("plan of a:"))
    view.take(text("\x1b[2Jgone"))
    view.take(text("12:00:00 a: 3/8 load"))
    assert told == ["plan of a:", r"\x1b[2Jgone"]


def test_events_without_anything_are_taken() -> None:
    view = RunView()
    for kind in ("playbook_on_start", "runner_on_ok", "verbose", "error"):
        view.take({"event": kind})
        view.take({"event": kind, "event_data": {"res": "text"}, "stdout": None})
    assert view.rows() == []


def test_a_state_that_ended_needs_no_look() -> None:
    view = planned("a")
    view.take(event("runner_on_start", "a", "agent_wait"))
    view.look({"a": make_look(make_status(state=State.FAILED))})
    assert rows(view)["a"][0] is LiveState.STARTING  # agent_wait itself says how it ended
