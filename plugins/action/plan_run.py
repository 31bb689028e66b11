"""plan_run: checks the inventory's settings and plans the run, before any host is touched."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

display = Display()


class ActionModule(ActionBase):
    """Runs on the controller, once for all hosts of the play.

    Shows what the plans mean in time and disk, also in check mode: hours are easily burnt.
    Returns run_id, folder, reports, continued, and hosts: name to its fleet settings, every
    default filled in, with the build and the runtime of its plan, and dataset_files: what is
    copied to it (src on the controller, dest on the host). And runs: what is to be made, one after
    the other, each with run_id, folder, attempt (of this command), hosts and sync (of agent_wait).
    That is the run itself; of a study, whose name is in ``study``, its runs that are not finished.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        self.validate_argument_spec({"project": {"type": "path", "required": True}})
        project = Path(self._task.args["project"]).resolve()
        try:
            from loadfleet_agent.contract.base import utc_now
            from loadfleet_aggregator.fleet.record import only_one_controller
            from loadfleet_aggregator.fleet.settings import InventoryError, plan_hosts
        except ImportError as error:
            raise AnsibleActionFail(
                f"loadfleet is not installed beside this ansible-playbook ({error}): run "
                "make setup, then .venv/bin/ansible-playbook"
            ) from error
        hostvars = variables["hostvars"]
        selected = list(variables["ansible_play_hosts_all"])
        hosts = {name: _ours(hostvars[name]) for name in selected}
        check = bool(self._task.check_mode)
        inventory = [name for name in variables["groups"]["all"] if name in hostvars]
        try:
            planned = plan_hosts(hosts, "unnamed", _origin, project)
            first = planned[0].fleet
            results = project / first.results_dir
            with nullcontext() if check else only_one_controller(results):
                plan = _plan_study if first.study else _plan_run
                planned, made, lines = plan(planned, results, inventory, utc_now(), check)
        except InventoryError as error:
            raise AnsibleActionFail(str(error)) from error
        except OSError as error:
            raise AnsibleActionFail(f"{error.filename or project}: {error.strerror}") from error
        for line in lines:
            display.display(line)
        what = f"study {made['run_id']}" if first.study else f"run {made['run_id']}"
        result.update(
            made,
            changed=not made["continued"],
            study=first.study,
            folder=str(results / made["run_id"]),
            reports=str(project / first.reports_dir),
            hosts={
                item.name: item.fleet.model_dump()
                | {
                    "build": item.plan.build.value,
                    "runtime": item.plan.runtime.value,
                    "dataset_files": [
                        {"src": source, "dest": path} for path, source in item.brought.items()
                    ],
                }
                for item in planned
            },
            msg=f"{'going on with' if made['continued'] else 'new'} {what}: {len(planned)} hosts",
        )
        return result


Planned = tuple[list[Any], dict[str, Any], list[str]]
"""The hosts as they are planned; run_id, continued and runs; and lines to show."""


def _plan_run(
    planned: list[Any], results: Path, inventory: list[str], now: datetime, check: bool
) -> Planned:
    from loadfleet_aggregator.fleet.estimate import describe_plans
    from loadfleet_aggregator.fleet.record import choose_run_id, open_run, read_plans
    from loadfleet_aggregator.fleet.settings import keep_shards
    from loadfleet_aggregator.fleet.together import require_together
    from loadfleet_aggregator.scaling.record import refuse_study

    asked = planned[0].fleet.run_id
    refuse_study(results, asked)
    run_id, continued = choose_run_id(results, asked, now)
    if continued:
        planned = keep_shards(planned, read_plans(results / run_id))
    planned = [item.in_run(run_id) for item in planned]
    together = require_together(planned, context.CLIARGS["forks"])
    if not check:
        open_run(results, run_id, planned, inventory, now, asked=asked is not None)
    run = _run(results / run_id, planned, now, together)
    return (
        planned,
        {"run_id": run_id, "continued": continued, "runs": [run]},
        describe_plans(planned),
    )


def _plan_study(
    planned: list[Any], results: Path, _inventory: list[str], now: datetime, check: bool
) -> Planned:
    from loadfleet_aggregator.fleet.estimate import describe_plans, describe_study
    from loadfleet_aggregator.fleet.together import require_together
    from loadfleet_aggregator.scaling.record import (
        choose_study,
        in_study_run,
        is_finished,
        open_study,
        study_hosts,
        study_runs,
    )

    planned = study_hosts(planned)
    require_together(planned, context.CLIARGS["forks"])
    fleet = planned[0].fleet
    study_id, continued = choose_study(results, fleet.run_id, now)
    names = [item.name for item in planned]
    runs = study_runs(study_id, names, fleet.study_repeats)
    if not check:
        asked = fleet.run_id is not None
        runs = open_study(results, study_id, planned, now, asked=asked).runs
    folder = results / study_id
    left = [run for run in runs if not is_finished(folder, run)]
    lines = [
        f"study {study_id}: each of {', '.join(names)} alone and all together, "
        f"{fleet.study_repeats} times",
        *describe_study(planned, len(runs), len(runs) - len(left)),
        *describe_plans(planned),
    ]
    by_name = {item.name: item for item in planned}
    made = {
        "run_id": study_id,
        "continued": continued,
        "runs": [
            _run(
                folder / run.run_id,
                [in_study_run(by_name[name], run) for name in run.hosts],
                now,
                run.together,
            )
            for run in left
        ],
    }
    return planned, made, lines


def _run(folder: Path, planned: list[Any], now: datetime, together: bool) -> dict[str, Any]:
    names = [item.name for item in planned]
    # A folder of this attempt: what a killed playbook has left there must not mislead.
    attempt = f"{now:%Y%m%dT%H%M%S.%fZ}"
    sync = {
        "folder": str(folder),
        "attempt": str(folder / "sync" / attempt),
        "hosts": names,
        "wait_s": planned[0].fleet.sync_wait_s,
    }
    return {
        "run_id": folder.name,
        "folder": str(folder),
        "attempt": attempt,
        "hosts": names,
        "sync": sync if together else None,
    }


def _ours(variables: Any) -> dict[str, Any]:
    return {name: variables[name] for name in variables if name.startswith("loadfleet_")}


def _origin(_name: str, value: Any) -> str:
    """File and line of a variable, as far as this Ansible knows them."""
    try:
        from ansible._internal._datatag._tags import Origin
    except ImportError:
        return ""
    origin = Origin.get_tag(value)
    if origin is None:
        for key in getattr(value, "keys", list)():
            origin = origin or Origin.get_tag(key) or Origin.get_tag(value[key])
    if origin is None:
        return ""
    return str(origin) if origin.path is None else f"{origin.path}:{origin.line_num}"
