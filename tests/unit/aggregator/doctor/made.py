"""Answers of a healthy fleet, of which each test breaks one thing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loadfleet_aggregator.doctor.answers import Answers
from loadfleet_aggregator.doctor.model import Check, Severity
from loadfleet_aggregator.fleet.clock import ClockReading
from loadfleet_aggregator.fleet.settings import plan_hosts

PROJECT = Path(__file__).parents[4]
GPU = {
    "index": "0",
    "uuid": "GPU-1",
    "name": "NVIDIA A30",
    "memory.total": "24576",
    "compute_cap": "8.0",
    "driver_version": "580.105.08",
}
SETTINGS: dict[str, Any] = {
    "loadfleet_profile": "a30-bf16",
    "loadfleet_runtime": "container",
    "loadfleet_model": {"source": "hub", "repo": "org/name", "revision": "a" * 40},
    "loadfleet_dataset": {"source": "mlcommons"},
}


def host_answers(**changes: Any) -> dict[str, Any]:
    """A host that is ready, as doctor_findings writes it; ``settings`` replaces its settings."""
    settings = changes.pop("settings", SETTINGS)
    (host,) = plan_hosts({"gpu-1": settings}, "unnamed", lambda _key, _value: "", PROJECT)
    return {
        "connection": "ssh",
        "plan": {
            "fleet": host.fleet.model_dump(),
            "plan": host.plan.model_dump(mode="json"),
        },
        "token": {"failed": False, "msg": "ok"},
        "reach": {
            "user": "ops",
            "kernel": "Linux 6.8",
            "sudo": "sudo",
            "clock_offset_s": 0.01,
            "clock_error_s": 0.002,
        },
        "gpus": {
            "findings": [],
            "passed": {"driver": "driver 580.105.08", "gpus": "1 x NVIDIA A30"},
            "facts": {"gpus": [GPU]},
        },
        "system": {
            "findings": [],
            "passed": {"root": "its tasks run as root", "system": "Debian 13"},
            "facts": {"home_free_gib": 400.0},
        },
        "agent": {"python": "/usr/bin/python3", "python_version": "3.12", "environments": []},
        "needs": {"findings": [], "passed": {"docker": "Docker 29", "model": "m", "dataset": "d"}},
        "hub": None,
    } | changes


def answers(hosts: dict[str, dict[str, Any]] | None = None, **changes: Any) -> Answers:
    hosts = {"gpu-1": host_answers()} if hosts is None else hosts
    return Answers.model_validate(
        {
            "forks": 100,
            "inventory": {
                "contradictions": {"hosts": dict.fromkeys(hosts, ())},
                "plan": {"run_id": "r-1", "continued": False},
            },
            "hosts": hosts,
        }
        | changes
    )


def worst(checks: list[Check]) -> list[tuple[str, Severity]]:
    """Name and severity of what is not well and was not left out."""
    quiet = (Severity.OK, Severity.SKIPPED)
    return [(check.id, check.severity) for check in checks if check.severity not in quiet]


def found(checks: list[Check], name: str) -> Check:
    """The one check of this name."""
    (check,) = [check for check in checks if check.id == name]
    return check


OFF = ClockReading(-5.0, 0.01)
