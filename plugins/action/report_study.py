"""report_study: writes the report on a study from the runs that it has so far."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

SPEC: dict[str, dict[str, Any]] = {
    "folder": {"type": "path", "required": True},  # the study's folder on the controller
    "reports": {"type": "path", "required": True},
}


class ActionModule(ActionBase):
    """Runs on the controller, once for all hosts. Returns verdicts: name to kind and text."""

    TRANSFERS_FILES = False
    _supports_check_mode = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(SPEC)
        from loadfleet_aggregator.fleet.settings import InventoryError
        from loadfleet_aggregator.scaling.study import publish_study

        folder = Path(args["folder"])
        try:
            report = publish_study(folder, Path(args["reports"]))
        except InventoryError as error:
            raise AnsibleActionFail(str(error)) from error
        except OSError as error:
            raise AnsibleActionFail(f"{error.filename}: {error.strerror}") from error
        result.update(
            changed=True,
            verdicts={
                host: {"kind": "failed" if why else "ok", "text": why}
                for host, why in report.unfinished.items()
            },
            msg=[report.headline, *report.missing, f"report: {folder / 'report.html'}"],
        )
        return result
