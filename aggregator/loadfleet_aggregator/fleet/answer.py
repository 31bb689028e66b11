"""What loadfleet-agent answered to a command with --json, as the result of an Ansible task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..text.terminal import printable


def task_result(
    code: int, stdout: str, stderr: str, unchanged: Mapping[str, Any]
) -> dict[str, Any]:
    """failed, msg (one line), changed, and the answer in ``agent``.

    ``unchanged``: values of the answer with which nothing changed on the host.
    """
    answer = _answer(stdout)
    failure = answer.get("failure")
    if isinstance(failure, dict):
        return {
            "failed": True,
            "code": failure.get("code"),
            "hint": failure.get("hint"),
            "msg": printable(
                f"{failure.get('message')} [{failure.get('code')}]: {failure.get('hint')}"
            ),
        }
    if code != 0 or not answer:
        lines = (stderr or "no message").strip().splitlines()
        return {"failed": True, "msg": printable(" ".join(lines[-3:])[-600:])}
    same = any(answer.get(key) == value for key, value in unchanged.items())
    return {"changed": not same, "agent": answer}


def _answer(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
