"""Run the benchmark: start, run."""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import Annotated

import typer

from ..contract.estimate import RunEstimate, estimate_run
from ..contract.estimate_text import describe_estimate
from ..contract.run_folder import AGENT_LOG
from .exit import NOT_VALID, VALID, guarded
from .input import read_plan
from .options import DEFAULT_HOME, Home, Json, PlanFile, RunId, Sets, SettingsFile
from .output import print_json, print_result
from .streams import log_to, stdout_to_stderr

app = typer.Typer()


@app.command(
    epilog="Example: loadfleet-agent start --settings settings.yaml && loadfleet-agent wait"
)
def start(
    plan: PlanFile = None,
    settings: SettingsFile = None,
    sets: Sets = None,
    run_id: RunId = None,
    home: Home = DEFAULT_HOME,
    json_: Json = False,
) -> None:
    """Start a run that goes on without this terminal; attach if it runs already.

    The same id again: a run that was broken off goes on after its finished phases, a finished
    one is left as it is. Another id while a run is on is refused as busy.
    """
    resolved = read_plan(plan, settings, sets, run_id)

    def work() -> None:
        from ..runs import Runs

        runs = Runs(home)
        how = runs.start(resolved)
        folder = str(runs.folder(resolved.run_id))
        if json_:
            print_json({"how": how, "run_id": resolved.run_id, "folder": folder})
        else:
            print(f"{how}: run {resolved.run_id} in {folder}")

    guarded(work, "start", json_)


@app.command(
    epilog="Example: loadfleet-agent run --set profile=cpu-smoke --set model.source=tiny "
    "--set dataset.source=synthetic --set length.samples=64 --home /tmp/loadfleet"
)
def run(
    plan: PlanFile = None,
    settings: SettingsFile = None,
    sets: Sets = None,
    run_id: RunId = None,
    home: Home = DEFAULT_HOME,
    plan_only: Annotated[
        bool,
        typer.Option(
            "--plan-only",
            help="Only print each LoadGen run with its length, the disk it takes, and what is "
            "unwise or no MLPerf result.",
        ),
    ] = False,
    unit: Annotated[str | None, typer.Option(hidden=True)] = None,
    log: Annotated[bool, typer.Option("--log", hidden=True)] = False,
    json_: Json = False,
) -> None:
    """Run in the foreground, to the end. Exit code 0: the result is valid."""
    # Until the run itself listens: for process 1 of a container there is no default.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    resolved = read_plan(plan, settings, sets, run_id)
    if plan_only:
        estimate = estimate_run(resolved)
        print(estimate.model_dump_json(indent=2) if json_ else _text(estimate))
        return

    def work() -> None:
        from ..host.owner import become_owner
        from ..runs import Runs

        become_owner(home)
        if log:
            log_to(Runs(home).folder(resolved.run_id) / AGENT_LOG)
        with stdout_to_stderr() if json_ else contextlib.nullcontext():
            result = Runs(home).run(resolved, unit)
        if json_:
            print(result.model_dump_json(indent=2))
        else:
            print_result(result)
        raise typer.Exit(VALID if result.valid else NOT_VALID)

    guarded(work, "run", json_)


def _text(estimate: RunEstimate) -> str:
    return "\n".join(describe_estimate(estimate))
