"""What a host prints for a look, made of the project's own models."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from loadfleet_agent.contract.status import Event, Level, State, Status
from loadfleet_aggregator.operate.live import MARK

AT = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
BOOT = "boot-1"


def make_status(**changes: Any) -> Status:
    values: dict[str, Any] = {
        "run_id": "run-1",
        "plan_hash": "0" * 64,
        "seq": 7,
        "state": State.RUNNING,
        "phase": "offline-performance",
        "phase_index": 4,
        "phase_count": 10,
        "done": 1200,
        "total": 13368,
        "unit": "samples",
        "rate_per_s": 5.25,
        "tokens_per_s": 671.5,
        "eta_s": 2317.0,
        "message": "",
        "attempt": 1,
        "started_utc": AT,
        "updated_utc": AT,
        "last_progress_utc": AT,
        "pid": 1,
        "systemd_unit": None,
        "boot_id": BOOT,
    }
    return Status.model_validate(values | changes)


def make_event(message: str, level: Level = Level.WARNING) -> str:
    event = Event(at_utc=AT, level=level, phase="load", code="some-code", message=message)
    return event.model_dump_json()


def make_look(
    status: Status | str | None = None,
    *,
    lock: int = 99,
    boot: str = BOOT,
    telemetry: str = "",
    events: str = "",
    run: str = "run-1",
) -> str:
    """As ``look_command`` prints it."""
    told = status.model_dump_json(indent=2) if isinstance(status, Status) else status or ""
    return (
        f"{MARK} run {run}\n{MARK} boot {boot}\n{MARK} lock {lock}\n{MARK} status\n{told}\n"
        f"{MARK} telemetry\n{telemetry}\n{MARK} events\n{events}\n"
    )
