"""host_connection: reaches a host as every task does, and compares its clock with ours."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase

ROUNDS = 5
MARK = "host_connection:"
CLOCK = f"echo {MARK}; date +%s.%N"
LOOK = (
    f"echo {MARK}; id -un; uname -srm; "
    "if test $(id -u) = 0; then echo root; "
    "elif ! command -v sudo >/dev/null; then echo none; "
    "elif sudo -n true >/dev/null 2>&1; then echo sudo; else sudo -n true 2>&1; fi"
)


class ActionModule(ActionBase):
    """Needs no Python on the host. Never as root: what sudo wants is one of its answers.

    Returns user, kernel, sudo (root: it is root; sudo: without a password; none: no sudo; else
    sudo's own words), clock_offset_s (the host's clock less the controller's) and clock_error_s.
    A host that is not reached is unreachable, with the reason of ssh.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        from loadfleet_aggregator.fleet.clock import ClockWatch, read_clock

        result: dict[str, Any] = super().run(tmp, task_vars)
        user, kernel, *sudo = [*self._ask(LOOK), "", ""][:6]
        watch = ClockWatch()
        for _ in range(ROUNDS):
            before = time.time()
            told = self._ask(CLOCK)
            after = time.time()
            try:
                host_time = float(told[0])
            except (IndexError, ValueError):
                continue
            watch.add(read_clock(before, host_time, host_time, after))
        result.update(
            changed=False,
            user=user,
            kernel=kernel,
            sudo=" ".join(line for line in sudo if line),
            clock_offset_s=watch.best.offset_s if watch.best else None,
            clock_error_s=watch.best.error_s if watch.best else None,
        )
        return result

    def _ask(self, command: str) -> list[str]:
        done = self._low_level_execute_command(command, sudoable=False)
        text = str(done["stdout"])
        return text.partition(MARK)[2].strip().splitlines()
