"""host_preflight: checks the host, compares the clocks, and fails with one line a finding."""

from __future__ import annotations

import time
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

CLOCK = "clock"


class ActionModule(ActionBase):
    """Adds the check ``clock`` to the module's. ``max_clock_skew_s``: default 2 seconds.

    ``refuse: false`` returns the findings and does not fail for them.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        allowed_s = float(arguments.pop("max_clock_skew_s", 2.0))
        refuse = boolean(arguments.pop("refuse", True))
        host = (task_vars or {}).get("inventory_hostname", "?")
        before = time.time()
        done = self._execute_module(
            module_name="host_preflight", module_args=arguments, task_vars=task_vars
        )
        after = time.time()
        result.update(done)
        if done.get("failed") or done.get("unreachable"):
            return result
        findings = done["findings"]
        checks = arguments.get("checks")
        if checks is None or CLOCK in checks:
            skew_s = clock_skew_s(before, after, done["host_time"])
            if skew_s > allowed_s:
                findings.append(
                    {
                        "check": CLOCK,
                        "severity": "error",
                        "cause": f"its clock is {skew_s:.1f} s or more from the controller's",
                        "remedy": "set both by NTP (timedatectl set-ntp true)",
                    }
                )
        result["findings"] = findings
        if findings and refuse:
            result.update(
                failed=True,
                msg="\n".join(f"{host}: {item['cause']}: {item['remedy']}" for item in findings),
            )
        return result


def clock_skew_s(before: float, after: float, host_time: float) -> float:
    """How far the clocks are apart at least, in seconds.

    The host read its clock somewhere between the controller's ``before`` and ``after``; only what
    lies outside of that is certain, so a slow link is never taken for a wrong clock.
    """
    return max(0.0, before - host_time, host_time - after)
