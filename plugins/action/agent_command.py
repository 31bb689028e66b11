"""agent_command: runs loadfleet-agent on the host and gives its failure as one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

SPEC: dict[str, dict[str, Any]] = {
    "command": {"type": "path", "required": True},  # the agent's command on the host
    "arguments": {"type": "list", "elements": "str", "required": True},
    "plan": {"type": "path"},  # a plan on the controller, given to the agent's standard input
    "unchanged": {"type": "dict", "default": {}},  # values of its JSON with which nothing changed
}


class ActionModule(ActionBase):
    """Adds --json; the answer is in ``agent``. Not run in check mode."""

    TRANSFERS_FILES = False
    _supports_check_mode = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(SPEC)
        module_args: dict[str, Any] = {
            "argv": [args["command"], *args["arguments"], "--json"],
        }
        if args["plan"]:
            module_args["stdin"] = Path(args["plan"]).read_text(encoding="utf-8")
            module_args["argv"] += ["--plan", "-"]
        done = self._execute_module(
            module_name="ansible.builtin.command", module_args=module_args, task_vars=task_vars
        )
        if done.get("unreachable"):
            result.update(done)
            return result
        answer = _answer(done.get("stdout", ""))
        failure = answer.get("failure")
        if isinstance(failure, dict):
            result.update(
                failed=True,
                code=failure.get("code"),
                hint=failure.get("hint"),
                msg=f"{failure.get('message')} [{failure.get('code')}]: {failure.get('hint')}",
            )
        elif done.get("rc", 1) != 0 or not answer:
            lines = (done.get("stderr") or done.get("msg") or "no message").strip().splitlines()
            result.update(failed=True, msg=" ".join(lines[-3:])[-600:])
        else:
            unchanged = any(answer.get(key) == value for key, value in args["unchanged"].items())
            result.update(changed=not unchanged, agent=answer)
        return result


def _answer(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
