"""agent_command: runs loadfleet-agent on the host and gives its failure as one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

SPEC: dict[str, dict[str, Any]] = {
    # The agent's command on the host, with what comes before it, as docker run.
    "command": {"type": "list", "elements": "str", "required": True},
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
        from loadfleet_aggregator.fleet.answer import task_result

        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(SPEC)
        module_args: dict[str, Any] = {"argv": [*args["command"], *args["arguments"], "--json"]}
        if args["plan"]:
            module_args["stdin"] = Path(args["plan"]).read_text(encoding="utf-8")
            module_args["argv"] += ["--plan", "-"]
        done = self._execute_module(
            module_name="ansible.builtin.command", module_args=module_args, task_vars=task_vars
        )
        if done.get("unreachable"):
            result.update(done)
            return result
        result.update(
            task_result(
                done.get("rc", 1),
                done.get("stdout", ""),
                done.get("stderr") or done.get("msg", ""),
                args["unchanged"],
            )
        )
        return result
