"""agent_wait: watches the detached agent of one host until that host's run has ended.

Runs on the controller, in the host's worker process. Each look is one short shell command over
the host's own connection (SSH, local, with or without become); nothing of it stays on the
host. The agent does not depend on it: stop the playbook in any way and run it again, and the
wait goes on. Only the controller's monotonic clock counts for it, so the hosts' clocks do not
matter; each look tells how far they are off. Where hosts are to start together, this process
sends its host off from its barriers (fleet/send_off.py).
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

display = Display()

MARK = "agent_wait:"
# The lock is asked before the status is read: an agent writes its last status before it lets
# the lock go, so a free lock (0) with "running" means that it died. 99 is held; anything else
# (no flock, no right) counts as alive and is left to the limit. timeout: a file system that
# hangs must not hang us. The host's clock first and last: what lies between is not on the way.
LOOK = (
    "echo {mark}; echo clock $(date +%s.%N); cat /proc/sys/kernel/random/boot_id; "
    "timeout 10 flock -n -s -E 99 {home}/run.lock true; echo $?; "
    "timeout 10 cat {folder}/status.json; echo; echo clock $(date +%s.%N)"
)
SPEC: dict[str, dict[str, Any]] = {
    "home": {"type": "path", "required": True},
    "run_id": {"type": "str", "required": True},
    "poll_s": {"type": "float", "default": 3.0},  # seconds between looks
    "print_s": {"type": "float", "default": 10.0},  # at most one line a host in so many seconds
    "lost_s": {"type": "float", "default": 900.0},  # give up after so long without any news
    "command": {"type": "str", "required": True},  # loadfleet-agent on the host
    # Of plan_run, for hosts that start together: folder of the run and of this attempt at it,
    # hosts, wait_s. None: each starts by itself.
    "sync": {"type": "dict"},
}
QUIET_S = 60.0
"""So long without news of the agent is told with the line."""


@dataclass(frozen=True)
class Reading:
    """What one look saw. ``status`` is {} while the file is absent or unreadable."""

    boot_id: str
    alive: bool
    status: dict[str, Any]
    clock: tuple[float, float] | None = None
    """The host's clock at the begin and the end of the look; None: it told none."""


class ActionModule(ActionBase):
    """Result: state (done, failed, stopped, rebooted, died, stalled, lost), msg, status, run_id.

    And clock: offset_s, error_s, while_running; none if no look told it.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = False  # ActionBase.run() then skips the task under --check
    _supports_async = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        from loadfleet_aggregator.fleet.clock import ClockWatch, read_clock
        from loadfleet_aggregator.fleet.look import end_with_playbook, look_at_host
        from loadfleet_aggregator.fleet.progress import Progress
        from loadfleet_aggregator.operate.live_files import LiveFile

        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(SPEC)
        host = str((task_vars or {}).get("inventory_hostname", "?"))
        # From a worker a line goes through the results queue and is on the terminal at once.
        progress = Progress(host, args["print_s"], display.display)
        look = LOOK.format(
            mark=MARK,
            home=shlex.quote(args["home"]),
            folder=shlex.quote(f"{args['home']}/runs/{args['run_id']}"),
        )
        if self._connection.transport == "ssh":  # this task's own object: no other is touched
            # One try a look, so that a lost link is told early.
            self._connection.set_option("reconnection_retries", 0)
        live = LiveFile(host, args["home"], args["run_id"])
        parent = os.getppid()
        clock, while_running, warned = ClockWatch(), False, False
        send_off = self._send_off(args, host, (task_vars or {}).get("hostvars", {}))
        began = news = time.monotonic()
        last: Reading | None = None
        seen_seq: int | None = None
        gone, losses, link_error = 0, 0, ""
        while True:
            # Not as root: status.json is readable for all, and a sudo a look would fill the log.
            asked = time.time()
            text, error = look_at_host(
                self._low_level_execute_command,
                self._connection.reset,
                look,
                MARK,
                sudoable=False,
            )
            answered = time.time()
            end_with_playbook(parent)
            now = time.monotonic()
            reading = None if text is None else _read(text)
            if reading is None:
                losses += not link_error
                link_error = error
            else:
                link_error, last = "", reading
                if reading.clock is not None:
                    clock.add(read_clock(asked, *reading.clock, answered))
                    while_running |= reading.status.get("state") == "running"
                if clock.best is not None and clock.best.is_off and not warned:
                    warned = True
                    display.warning(f"{host}: {clock.best.warning}")
                if send_off is not None:
                    send_off.see(reading.status, clock.best)
                if reading.status and reading.status.get("seq") != seen_seq:
                    seen_seq, news = reading.status.get("seq"), now
                gone = 0 if reading.alive else gone + 1
                if end := _end(reading, gone):
                    break
            if reading is not None:  # for loadfleet run alone; else it does nothing
                live.look(self._ask)
            quiet = now - news
            if quiet > args["lost_s"]:
                end = (
                    ("lost", f"unreachable for {quiet:.0f} s: {link_error}")
                    if link_error
                    else ("stalled", f"no news of the agent for {quiet:.0f} s")
                )
                break
            if link_error:
                progress.tell(f"link lost, trying again ({link_error})")
            else:
                progress.tell(_line(last, quiet))
            if send_off is None:
                time.sleep(args["poll_s"])
            else:
                send_off.pause(args["poll_s"], lambda: end_with_playbook(parent))
        state, why = end
        if send_off is not None:
            send_off.leave(f"{state} {why}".strip())
        result.update(
            state=state,
            msg=f"{state}: {why}" if why else state,
            failed=state != "done",
            changed=False,
            link_losses=losses,
            waited_s=round(time.monotonic() - began, 1),
            status=last.status if last else {},
            run_id=args["run_id"],
            clock=clock.best
            and {
                "offset_s": round(clock.best.offset_s, 6),
                "error_s": round(clock.best.error_s, 6),
                "while_running": while_running,
            },
        )
        return result

    def _send_off(self, args: dict[str, Any], host: str, hostvars: Mapping[str, Any]) -> Any:
        """What sends the host off together with the others; None where it starts by itself."""
        sync = args["sync"]
        if not sync:
            return None
        from loadfleet_aggregator.fleet.answer import task_result
        from loadfleet_aggregator.fleet.common_start import Rendezvous
        from loadfleet_aggregator.fleet.send_off import SendOff

        def go(phase: str, at: datetime | None) -> str:
            words = [
                args["command"], "go", "--home", args["home"], "--run-id", args["run_id"],
                "--phase", phase, "--json", *([] if at is None else ["--at", at.isoformat()]),
            ]  # fmt: skip
            try:
                out = self._low_level_execute_command(shlex.join(words))
            except AnsibleError as error:
                self._connection.reset()
                return " ".join(str(error).split())[-200:]
            answer = task_result(out["rc"], out["stdout"], out["stderr"], {})
            return str(answer["msg"]) if answer.get("failed") else ""

        participants = _started(sync["hosts"], hostvars, args["run_id"])
        rendezvous = Rendezvous(Path(sync["attempt"]), host, participants, float(sync["wait_s"]))
        return SendOff(rendezvous, Path(sync["folder"]), host, go)

    def _ask(self, command: str, mark: str) -> str | None:
        from loadfleet_aggregator.fleet.look import look_at_host

        text, _ = look_at_host(
            self._low_level_execute_command, self._connection.reset, command, mark, sudoable=False
        )
        return text


def _started(hosts: Sequence[str], hostvars: Mapping[str, Any], run_id: str) -> list[str]:
    """Those whose agent has taken the run, by the result of the task before."""
    taken = []
    for name in hosts:
        started = hostvars[name].get("started")
        agent = started.get("agent") if isinstance(started, Mapping) else None
        if isinstance(agent, Mapping) and agent.get("run_id") == run_id:
            taken.append(name)
    return taken


def _read(text: str) -> Reading:
    """Of what ``LOOK`` printed."""
    from loadfleet_agent.contract.status import Status
    from pydantic import ValidationError

    first, _, rest = text.partition("\n")
    boot_id, _, rest = rest.partition("\n")
    lock, _, rest = rest.strip().partition("\n")
    told, _, last = rest.rpartition("\n")
    try:
        status = Status.model_validate_json(told).model_dump(mode="json")
    except ValidationError:
        status = {}
    try:
        clock = float(first.removeprefix("clock")), float(last.removeprefix("clock"))
    except ValueError:
        clock = None
    return Reading(boot_id.strip(), lock.strip() != "0", status, clock)


def _end(reading: Reading, gone: int) -> tuple[str, str] | None:
    """How the run ended, or None. A phase may be as slow as it likes while its status moves."""
    status = reading.status
    state, phase = str(status.get("state", "")), str(status.get("phase", "its start"))
    if state == "done":
        return state, str(status.get("message") or "")
    if state == "failed":
        return state, f"at {phase}: {status.get('message')}"
    if status and status.get("boot_id") != reading.boot_id:
        return "rebooted", f"the host was rebooted during {phase}"
    if state == "stopped":  # if the host is going down, wait for its new boot id (or the limit)
        return None if status.get("shutdown") else (state, f"at {phase}: {status.get('message')}")
    if gone >= 2:  # twice, so that an agent that is just starting isn't taken for a dead one
        return "died", f"the agent is gone without a result, during {phase}"
    return None


def _progress(status: dict[str, Any]) -> str:
    text = str(status["phase"])
    if status["total"]:
        text += f" {status['done']}/{status['total']} {status['unit']}"
    if status["tokens_per_s"]:
        text += f", {status['tokens_per_s']:,.0f} tokens/s"
    if status.get("eta_s") is not None:
        text += f", {status['eta_s']:.0f} s left"
    return text


def _line(reading: Reading | None, quiet: float) -> str:
    """A host's progress as text."""
    status = reading.status if reading else {}
    if not status:
        return "no status yet"
    text = f"{status['phase_index'] + 1}/{status['phase_count']} "
    if status.get("barrier"):
        text += status["message"]  # all else is still that of the phase before
    else:
        text += _progress(status)
    return f"{text} (no news for {quiet:.0f} s)" if quiet > QUIET_S else text
