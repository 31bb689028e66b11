"""agent_unit: runs a long command of loadfleet-agent in a systemd unit of the host.

The unit outlives the link and the playbook: the same task again attaches to it. Its progress is
shown line by line. Each look is one short command over the host's own connection.
"""

from __future__ import annotations

import os
import shlex
import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

display = Display()

SPEC: dict[str, dict[str, Any]] = {
    "unit": {"type": "str", "required": True},
    "command": {"type": "list", "elements": "str", "required": True},
    "properties": {"type": "list", "elements": "str", "default": []},  # of the unit, Name=value
    "unchanged": {"type": "dict", "default": {}},  # values of its JSON with which nothing changed
    "poll_s": {"type": "float", "default": 3.0},
    "print_s": {"type": "float", "default": 10.0},
    "lost_s": {"type": "float", "default": 900.0},
}
MARK = "agent_unit:"
# A unit that runs is attached to if it does the same, and else left alone (exit code 9). append:
# ExecStopPost opens the files again, and must not empty them.
START = """
mkdir -p -m 700 {folder}
if systemctl is-active --quiet {unit}; then
  test "$(cat {folder}/command)" = {digest} || exit 9
else
  rm -f {folder}/*; echo {digest} > {folder}/command
  systemd-run --quiet --collect --unit={unit} --property=Type=exec {properties} \
    --property=StandardOutput=append:{folder}/stdout \
    --property=StandardError=append:{folder}/stderr \
    --property="ExecStopPost=/bin/sh -c 'echo \\$EXIT_STATUS > {folder}/exit'" {command}
fi
"""
LOOK = """
echo {mark}; systemctl is-active {unit}; cat {folder}/exit 2>/dev/null || echo none
tail -c 400 {folder}/stderr 2>/dev/null | tail -n 1
"""
RESULT = "cat {folder}/stdout; echo {mark}; cat {folder}/stderr"


class ActionModule(ActionBase):
    """Adds --json; the answer is in ``agent``. Not run in check mode."""

    TRANSFERS_FILES = False
    _supports_check_mode = False
    _supports_async = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        from loadfleet_agent.contract.base import digest
        from loadfleet_aggregator.fleet.answer import task_result
        from loadfleet_aggregator.fleet.progress import Progress

        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(SPEC)
        host = str((task_vars or {}).get("inventory_hostname", "?"))
        command = [*args["command"], "--json"]
        words = {
            "unit": shlex.quote(args["unit"]),
            "folder": shlex.quote(f"/run/{args['unit']}"),
            "mark": MARK,
            "digest": digest(command),
            "command": shlex.join(command),
            "properties": " ".join(
                shlex.quote(f"--property={item}") for item in args["properties"]
            ),
        }
        started = self._low_level_execute_command(START.format(**words))
        if started["rc"] == 9:
            result.update(
                failed=True,
                msg=f"unit {args['unit']} does something else now: wait for its end, or "
                f"systemctl stop {args['unit']}",
            )
            return result
        if started["rc"] != 0:
            text = started["stderr"].strip()[-300:]
            result.update(failed=True, msg=f"systemd-run failed: {text}")
            return result
        lost = self._watch(
            LOOK.format(**words), args, Progress(host, args["print_s"], display.display)
        )
        if lost:
            result.update(failed=True, msg=lost)
            return result
        out = self._low_level_execute_command(RESULT.format(**words))
        stdout, _, stderr = out["stdout"].partition(MARK)
        result.update(task_result(self._exit, stdout, stderr, args["unchanged"]))
        return result

    def _watch(self, look: str, args: dict[str, Any], progress: Any) -> str:
        """Until the unit has ended; why it cannot be said how, or ''."""
        from loadfleet_aggregator.fleet.look import end_with_playbook, look_at_host

        parent, news = os.getppid(), time.monotonic()
        while True:
            text, error = look_at_host(
                self._low_level_execute_command, self._connection.reset, look, MARK
            )
            end_with_playbook(parent)
            if text is None:
                if time.monotonic() - news > args["lost_s"]:
                    return f"unreachable for {args['lost_s']:.0f} s: {error}"
                progress.tell(f"link lost, trying again ({error})")
            else:
                news = time.monotonic()
                state, code, line = (*text.splitlines(), "", "", "")[:3]
                if state not in ("active", "activating", "deactivating"):
                    if code == "none":
                        return "the host was rebooted meanwhile: give the same command again"
                    self._exit = int(code) if code.isdigit() else 1  # the name of a signal
                    return ""
                progress.tell(line or "started")
            time.sleep(args["poll_s"])
