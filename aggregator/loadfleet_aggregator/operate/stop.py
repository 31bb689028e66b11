"""Stops a run on its hosts, in order: by each host's own agent."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Literal

from loadfleet_agent.contract.base import Frozen

from ..fleet.answer import task_result
from ..hosts.inventory import FleetHost
from ..hosts.links import Answer, Links

LIMIT_S = 240.0
"""The agent itself gives a run 180 s to end."""
NO_AGENT = 97


class Stopped(Frozen):
    """What came of it on one host."""

    host: str
    state: Literal["stopped", "not running", "failed"]
    run_id: str | None = None
    message: str = ""

    def __str__(self) -> str:
        text = f"{self.host}: {self.state}"
        if self.run_id is not None:
            text += f" (run {self.run_id})"
        return f"{text}: {self.message}" if self.message else text


def stop_runs(
    links: Links, runs: Mapping[str, str | None], tell: Callable[[Stopped], None]
) -> list[Stopped]:
    """On all hosts; ``tell`` gets each as it comes.

    ``runs``: host to the id of the run; None, or no entry: its newest.
    """
    made: dict[str, Stopped] = {}

    def take(answer: Answer) -> None:
        made[answer.host.name] = _read(answer, runs.get(answer.host.name))
        tell(made[answer.host.name])

    links.ask(
        lambda host: stop_command(host, runs.get(host.name)),
        become=True,
        limit_s=LIMIT_S,
        tell=take,
    )
    return [made[host.name] for host in links.hosts]


def stop_command(host: FleetHost, run_id: str | None) -> str:
    """For /bin/sh on the host. A host without an agent or without the run has nothing to stop."""
    home = shlex.quote(host.home)
    command = f'"$agent" stop --home {home} --json'
    if run_id is not None:
        command += f" --run-id {shlex.quote(run_id)}"
        there = f"[ -d {home}/runs/{shlex.quote(run_id)} ]"
    else:
        there = f"ls {home}/runs/*/status.json >/dev/null 2>&1"
    find = f'agent={home}/bin/loadfleet-agent; [ -x "$agent" ] && {there} || exit {NO_AGENT}'
    return f"{find}; {command}"


def _read(answer: Answer, run_id: str | None) -> Stopped:
    name = answer.host.name
    if answer.code is None:
        return Stopped(host=name, state="failed", message=answer.failure)
    if answer.code == NO_AGENT:
        return Stopped(host=name, state="not running", run_id=run_id)
    result = task_result(answer.code, answer.stdout, answer.stderr, {})
    if result.get("failed"):
        return Stopped(host=name, state="failed", message=str(result["msg"]))
    told = result["agent"]
    return Stopped(
        host=name,
        state="stopped" if told.get("stopped") is True else "not running",
        run_id=str(told.get("run_id")),
    )


def stopped_json(stopped: list[Stopped]) -> str:
    return json.dumps({"hosts": [item.model_dump(mode="json") for item in stopped]}, indent=2)
