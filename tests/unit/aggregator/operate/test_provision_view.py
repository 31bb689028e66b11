"""The table of a provisioning, from the events of ansible-runner."""

from __future__ import annotations

import io
from typing import Any

import pytest
from loadfleet_aggregator.operate.provision_view import ProvisionView, StepState
from rich.console import Console


def event(kind: str, host: str, role: str, **more: Any) -> dict[str, Any]:
    data = {"host": host, "role": role, "task": f"task of {role}", "res": {}, "task_action": "x"}
    return {"event": kind, "event_data": data | more, "stdout": ""}


def played() -> ProvisionView:
    """gpu-1 has changed its driver and is at docker; gpu-2 has failed at the token."""
    view = ProvisionView()
    for host in ("gpu-1", "gpu-2"):
        view.take(event("runner_on_start", host, "preflight"))
        view.take(event("runner_on_ok", host, "preflight"))
    view.take(event("runner_on_start", "gpu-2", "hf_auth"))
    view.take(event("runner_on_failed", "gpu-2", "hf_auth", res={"msg": "no\naccess"}))
    view.take(event("runner_on_start", "gpu-1", "nvidia_driver"))
    view.take(event("runner_on_ok", "gpu-1", "nvidia_driver", res={"changed": True}))
    view.take(event("runner_on_start", "gpu-1", "docker"))
    return view


def drawn(view: ProvisionView, width: int, height: int = 20) -> list[str]:
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    console.print(view.table(width, height))
    assert isinstance(console.file, io.StringIO)
    return [text.rstrip() for text in console.file.getvalue().splitlines()]


def test_each_step_has_a_state() -> None:
    one, two = played().hosts.values()
    assert {step: state for step, state in one.steps.items() if state} == {
        "preflight": StepState.OK,
        "nvidia_driver": StepState.CHANGED,
        "docker": StepState.RUNNING,
    }
    assert two.steps["hf_auth"] is StepState.FAILED
    assert two.why == "no access"


def test_what_comes_after_a_failure_is_not_its_reason() -> None:
    view = played()
    view.take(event("runner_on_failed", "gpu-2", "", task_action="ansible.builtin.assert",
                    res={"msg": "gpu-2: not ready"}))  # fmt: skip
    assert view.hosts["gpu-2"].why == "no access"


def test_the_last_step_is_over_with_the_playbook() -> None:
    view = played()
    view.finish()
    assert view.hosts["gpu-1"].steps["docker"] is StepState.OK


def test_takes_what_the_playbook_says_at_its_end() -> None:
    view = played()
    res = {"lines": ["gpu-1: ready"], "states": {"gpu-1": "ready", "gpu-2": "failed"}}
    view.take(event("runner_on_ok", "gpu-1", "", task_action="provision_report", res=res))
    assert view.lines == ["gpu-1: ready"]
    assert view.states == {"gpu-1": "ready", "gpu-2": "failed"}


@pytest.mark.parametrize("width", [30, 50, 80, 100, 140])
def test_fits_into_the_terminal(width: int) -> None:
    lines = drawn(played(), width)
    assert len(lines) == 3
    assert all(len(text) <= width for text in lines)
    if width >= 100:
        assert lines[0].split()[:4] == ["host", "preflight", "token", "driver"]
        assert "changed" in lines[1]
    else:
        assert lines[0].split()[:2] == ["host", "step"]
        assert lines[1].split()[1] == "docker"


def test_many_hosts_are_counted() -> None:
    view = ProvisionView()
    for n in range(30):
        view.take(event("runner_on_start", f"h{n}", "preflight"))
    lines = drawn(view, 80, 10)
    assert len(lines) == 10
    assert lines[-1] == "and 22 more"
