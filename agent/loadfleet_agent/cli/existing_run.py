"""A run that is there: wait, status, stop, pack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..contract.status import FailureCode
from .exit import NOT_VALID, VALID, fail, guarded
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
