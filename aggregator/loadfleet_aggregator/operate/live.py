"""How far a host is, from one look at its files. Needs no agent; everything read is untrusted.

One shell command reads the tails of status.json, telemetry.jsonl and events.jsonl. It is the same
over fabric (``loadfleet watch``) and over Ansible's own connection (``agent_wait``, under
``loadfleet run``).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from enum import StrEnum

from loadfleet_agent.contract.base import Frozen
from loadfleet_agent.contract.run_folder import EVENTS, STATUS, TELEMETRY
from loadfleet_agent.contract.status import Event, Level, State, Status
from pydantic import Field, ValidationError

MARK = "loadfleet-look"
MOST_BYTES = 1 << 18
"""Of one look; the parts of LOOK are less."""
LONGEST_TEXT = 300

# The lock is asked before the status is read: an agent writes its last status before it lets the
# lock go. Without a run id: the one whose status was written last, as loadfleet-agent takes it.
LOOK = """
home={home}; run={run}
if [ -z "$run" ]; then
  run=$(ls -1t "$home"/runs/*/{status} 2>/dev/null | head -n 1)
  run=${{run%/*}}; run=${{run##*/}}
fi
folder=$home/runs/$run
echo "{mark} run $run"
echo "{mark} boot $(cat /proc/sys/kernel/random/boot_id)"
lock=0
if [ -e "$home/run.lock" ]; then
  timeout 10 flock -n -s -E 99 "$home/run.lock" true 2>/dev/null; lock=$?
fi
echo "{mark} lock $lock"
part() {{
  echo "{mark} $1"
  [ ! -f "$folder/$2" ] || timeout 10 tail -c "$3" "$folder/$2" 2>/dev/null
  echo
}}
part status {status} 65536
part telemetry {telemetry} 32768
part events {events} 65536
""".strip()


class LiveState(StrEnum):
    """A host's run as it is now."""

    NO_RUN = "no run"
    STARTING = "starting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    REBOOTED = "rebooted"
    DIED = "died"
    UNREADABLE = "unreadable"
    UNREACHABLE = "unreachable"

    @property
    def ended(self) -> bool:
        """Nothing more comes of it by itself."""
        return self not in (LiveState.STARTING, LiveState.RUNNING, LiveState.UNREACHABLE)


class HostLive(Frozen):
    """One row of the table, and one host of ``--json``. Units are in the names."""

    host: str
    state: LiveState
    run_id: str | None = None
    phase: str = ""
    phase_number: int = Field(default=0, description="from 1; 0: none")
    phase_count: int = 0
    done: int = 0
    total: int = Field(default=0, description="0: not known")
    unit: str = ""
    rate_per_s: float | None = Field(default=None, description="of ``unit``, the last 30 s")
    tokens_per_s: float | None = Field(default=None, description="output tokens, the last 30 s")
    eta_s: float | None = Field(default=None, description="to the end of this phase")
    gpu_power_w: float | None = Field(default=None, description="of all GPUs of the host")
    gpu_temperature_c: float | None = Field(default=None, description="of the hottest")
    warnings: int = Field(default=0, description="warnings and errors, of the last events")
    note: str = Field(default="", description="why it ended so, or its last warning")


def look_command(home: str, run_id: str | None) -> str:
    """For /bin/sh on the host; reads only. Without a run id: the host's newest run."""
    return LOOK.format(
        home=shlex.quote(home),
        run=shlex.quote(run_id or ""),
        mark=MARK,
        status=STATUS,
        telemetry=TELEMETRY,
        events=EVENTS,
    )


def read_look(host: str, text: str) -> HostLive:
    """What ``look_command`` printed. Never raises."""
    parts = _split(text)
    if not {"run", "lock"} <= parts.keys():
        return HostLive(host=host, state=LiveState.UNREADABLE, note="no answer from the shell")
    run_id = parts.get("run", "").strip()[:LONGEST_TEXT] or None
    told = parts.get("status", "").strip()
    if run_id is None:
        return HostLive(host=host, state=LiveState.NO_RUN)
    if not told:
        return HostLive(host=host, state=LiveState.NO_RUN, run_id=run_id, note="no status yet")
    try:
        status = Status.model_validate_json(told)
    except ValidationError as error:
        return HostLive(
            host=host,
            state=LiveState.UNREADABLE,
            run_id=run_id,
            note=f"{STATUS} is not of this version: {error.errors()[0]['msg']}"[:LONGEST_TEXT],
        )
    return _row(host, run_id, status, parts)


def unreachable(host: str, why: str) -> HostLive:
    """A host that gave no answer."""
    return HostLive(host=host, state=LiveState.UNREACHABLE, note=why[:LONGEST_TEXT])


def _split(text: str) -> dict[str, str]:
    """The parts of a look by name; of two with one name, which a file's own text may hold, the
    first."""
    parts: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text[:MOST_BYTES].splitlines():
        if line.startswith(MARK):
            name, _, value = line.removeprefix(MARK).strip().partition(" ")
            current = [value]
            parts.setdefault(name, current)
        else:
            current.append(line)
    return {name: "\n".join(lines) for name, lines in parts.items()}


def _row(host: str, run_id: str, status: Status, parts: dict[str, str]) -> HostLive:
    state = _state(
        status, alive=parts["lock"].strip() != "0", boot_id=parts.get("boot", "").strip()
    )
    running = state is LiveState.RUNNING
    warnings = [event for event in _events(parts.get("events", "")) if event.level != Level.INFO]
    power, temperature = _sensors(parts.get("telemetry", "")) if running else (None, None)
    return HostLive(
        host=host,
        state=state,
        run_id=run_id,
        phase=status.phase[:LONGEST_TEXT],
        phase_number=status.phase_index + 1,
        phase_count=status.phase_count,
        done=status.done,
        total=status.total,
        unit=status.unit[:LONGEST_TEXT],
        rate_per_s=status.rate_per_s if running and status.rate_per_s else None,
        tokens_per_s=status.tokens_per_s if running and status.tokens_per_s else None,
        eta_s=status.eta_s if running else None,
        gpu_power_w=power,
        gpu_temperature_c=temperature,
        warnings=len(warnings),
        note=_note(state, status, warnings)[:LONGEST_TEXT],
    )


def _state(status: Status, *, alive: bool, boot_id: str) -> LiveState:
    if status.state is not State.RUNNING:
        return LiveState(status.state.value)
    if status.boot_id != boot_id:
        return LiveState.REBOOTED
    return LiveState.RUNNING if alive else LiveState.DIED


def _note(state: LiveState, status: Status, warnings: list[Event]) -> str:
    if state is LiveState.REBOOTED:
        return f"the host was rebooted during {status.phase}"
    if state is LiveState.DIED:
        return f"the agent is gone without a result, during {status.phase}"
    if status.failure is not None:
        return f"{status.failure.message} [{status.failure.code.value}]"
    if state in (LiveState.FAILED, LiveState.STOPPED):
        return status.message
    return warnings[-1].message if warnings else ""


def _events(text: str) -> Iterable[Event]:
    for line in text.splitlines():
        try:
            yield Event.model_validate_json(line)
        except ValidationError:
            continue  # the first line of a tail is cut, the last may be half written


def _sensors(text: str) -> tuple[float | None, float | None]:
    """Power in W of all GPUs and temperature of the hottest, from the last whole sample."""
    for line in reversed(text.splitlines()):
        try:
            gpus = json.loads(line)["gpus"]
            power = [_number(gpu.get("power_w")) for gpu in gpus]
            hot = [_number(gpu.get("temperature_c")) for gpu in gpus]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue
        known = [value for value in power if value is not None]
        return (
            sum(known) if known else None,
            max((value for value in hot if value is not None), default=None),
        )
    return None, None


def _number(value: object) -> float | None:
    """A sensor's, within what a sensor can show."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
        return None
    return float(value)
