"""A run that is there: wait, status, go, stop, pack."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from ..contract.status import FailureCode
from .exit import NOT_VALID, VALID, fail, guarded, refuse
from .input import known_run
from .options import DEFAULT_HOME, Home, Json, RunId
from .output import every, print_json, print_result, print_status, quiet, status_line

app = typer.Typer()


@app.command(epilog="Example: loadfleet-agent wait")
def wait(run_id: RunId = None, home: Home = DEFAULT_HOME, json_: Json = False) -> None:
    """Show a run's progress until it ends. Ending this command does not end the run."""

    def work() -> None:
        from ..runs import Runs, read_result

        runs = Runs(home)
        wanted = known_run(runs, run_id)
        show = quiet if json_ else every(10.0, print_status)
        view = runs.wait(wanted, show)
        status = view.status
        if status is None or view.interrupted:
            phase = status.phase if status else "its start"
            fail("wait", FailureCode.INTERRUPTED, f"the agent is gone, during {phase}", json_)
        result = read_result(view.folder)
        if json_:
            print(result.model_dump_json(indent=2))
        else:
            print_result(result)
        raise typer.Exit(VALID if result.valid else NOT_VALID)

    guarded(work, "wait", json_)


@app.command(epilog="Example: loadfleet-agent status --json")
def status(
    run_id: RunId = None,
    healthy: Annotated[
        bool, typer.Option("--healthy", help="Exit with 1 unless it runs and told so just now.")
    ] = False,
    home: Home = DEFAULT_HOME,
    json_: Json = False,
) -> None:
    """Show how far a run is."""

    def work() -> None:
        from ..runs import Runs

        runs = Runs(home)
        view = runs.view(known_run(runs, run_id))
        if json_:
            print_json({"alive": view.alive, "status": view.status, "folder": str(view.folder)})
        elif view.status is None:
            print("no status yet")
        else:
            print(status_line(view.status) + (" (the agent is gone)" if view.interrupted else ""))
        if healthy and not view.healthy:
            raise typer.Exit(NOT_VALID)

    guarded(work, "status", json_)


@app.command(
    epilog="Example: loadfleet-agent go --run-id 20261122T024033Z-llama3-1-8b "
    "--phase offline-performance --at 2026-11-22T02:45:00Z"
)
def go(
    run_id: RunId = None,
    phase: Annotated[
        str | None,
        typer.Option(help="Refuse unless this phase is the one that waits. Default: any."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(help="Moment by this host's clock, with its zone. Default: at once."),
    ] = None,
    home: Home = DEFAULT_HOME,
    json_: Json = False,
) -> None:
    """Start the phase for which a run is ready and waits (setting sync_start).

    A playbook gives all hosts one moment; by hand it is for a single host.
    """
    moment = None if at is None else _moment(at)

    def work() -> None:
        from ..barrier import tell_start
        from ..host.owner import as_owner
        from ..runs import Runs

        runs = Runs(home)
        view = runs.view(known_run(runs, run_id))
        try:
            with as_owner(runs.home):
                told = tell_start(view, phase, moment)
        except ValueError as error:
            refuse(f"--at: {error}")
        if json_:
            print_json({"run_id": view.folder.name, "phase": told.phase, "at_utc": told.at_utc})
        else:
            print(f"run {view.folder.name}: {told.phase} starts at {told.at_utc.isoformat()}")

    guarded(work, "go", json_)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        refuse(f"--at {text}: not a time: write it as 2026-11-22T02:45:00Z")
    if moment.tzinfo is None:
        refuse(f"--at {text}: write its zone too, as 2026-11-22T02:45:00Z")
    return moment


@app.command(epilog="Example: loadfleet-agent stop")
def stop(run_id: RunId = None, home: Home = DEFAULT_HOME, json_: Json = False) -> None:
    """End a run in order: LoadGen flushed, engine stopped, a result written."""

    def work() -> None:
        from ..runs import Runs

        runs = Runs(home)
        wanted = known_run(runs, run_id)
        stopped = runs.stop(wanted)
        if json_:
            print_json({"run_id": wanted, "stopped": stopped})
        else:
            print(f"run {wanted} {'stopped' if stopped else 'was not running'}")

    guarded(work, "stop", json_)


@app.command(epilog="Example: loadfleet-agent pack --output run.tar.gz")
def pack(
    output: Annotated[Path, typer.Option(help="Archive to write (.tar.gz).")],
    run_id: RunId = None,
    accuracy_logs: Annotated[
        bool, typer.Option("--accuracy-logs", help="Include mlperf_log_accuracy.json.")
    ] = False,
    home: Home = DEFAULT_HOME,
    json_: Json = False,
) -> None:
    """Put a run's files into one archive, for the controller to fetch."""

    def work() -> None:
        from ..pack import pack_run
        from ..runs import Runs

        runs = Runs(home)
        wanted = known_run(runs, run_id)
        size = pack_run(runs.folder(wanted), output, accuracy_logs=accuracy_logs)
        if json_:
            print_json({"run_id": wanted, "archive": str(output), "size_bytes": size})
        else:
            print(f"{output}: {size / 1e6:.1f} MB")

    guarded(work, "pack", json_)
