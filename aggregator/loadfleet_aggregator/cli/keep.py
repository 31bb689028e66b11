"""loadfleet collect and clean: what is kept of runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .exit import refuse, tell_on_stderr
from .options import (
    ExtraVars,
    Inventory,
    Json,
    Limit,
    Project,
    VaultPasswordFile,
    checked_run,
    make_selection,
    selected,
)

if TYPE_CHECKING:
    from ..operate.clean import OldRun

app = typer.Typer()


@app.command(epilog="Example: loadfleet collect --missing")
def collect(
    run: Annotated[
        str | None, typer.Argument(help="A run under results/. Default: the newest.")
    ] = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="Only from hosts whose files are not whole here.")
    ] = False,
    inventory: Inventory = None,
    limit: Limit = None,
    extra_vars: ExtraVars = None,
    vault_password_file: VaultPasswordFile = None,
    json_: Json = False,
    project: Project = Path(),
) -> None:
    """Fetch a run's files from its hosts, and make its report anew.

    It is run_benchmark.yml --tags collect,report: give the -e that the run had. What is here and
    whole is replaced only by what is whole.

    Exit code 0: the files of all these hosts are whole; 1: some are not; 2: the input is wrong.
    """
    from ..fleet.settings import InventoryError
    from ..operate.missing import chosen_run, missing_hosts
    from .playbooks import play_quietly

    selection = make_selection(inventory, limit, extra_vars, vault_password_file)
    fleet = selected(selection, project)
    try:
        run_id = chosen_run(fleet.results, checked_run(run))
        lacking = {item.host: item.why for item in missing_hosts(fleet.results / run_id)}
    except InventoryError as error:
        refuse(str(error))
    wanted = [host.name for host in fleet.hosts if not missing or host.name in lacking]
    if not wanted:
        _tell_collected(run_id, {}, [], json_)
        return
    for name in wanted:
        tell_on_stderr(f"{name}: {lacking.get(name, 'whole')}; collecting")
    arguments = [
        *selection.model_copy(update={"limit": ",".join(wanted)}).arguments,
        *("--tags", "collect,report", "--extra-vars", json.dumps({"loadfleet_run_id": run_id})),
    ]
    advice = "if its plan differs, give the -e options that the run was started with"
    view = play_quietly(project, arguments, advice)
    try:
        after = {item.host: item.why for item in missing_hosts(fleet.results / run_id)}
    except InventoryError as error:
        refuse(str(error))
    still = {name: why for name, why in after.items() if name in wanted}
    _tell_collected(run_id, still, [name for name in wanted if name not in still], json_)
    for line in () if json_ else view.report:
        print(line)
    raise typer.Exit(1 if still else 0)


def _tell_collected(run_id: str, still: dict[str, str], whole: Sequence[str], json_: bool) -> None:
    if json_:
        print(json.dumps({"run_id": run_id, "collected": list(whole), "missing": still}, indent=2))
        return
    if not still and not whole:
        print(f"run {run_id}: the files of all hosts are whole")
    for name in whole:
        print(f"{name}: collected")
    for name, why in still.items():
        print(f"{name}: still not whole: {why}")


@app.command(epilog="Example: loadfleet clean --older-than 30d --hosts --dry-run")
def clean(
    older_than: Annotated[str, typer.Option(help="Age from which a run goes: 30d, 12h, 4w.")],
    hosts: Annotated[
        bool, typer.Option("--hosts", help="Also the hosts' own folders of their runs.")
    ] = False,
    keep: Annotated[
        list[str] | None, typer.Option(help="A run that stays; again for more.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    inventory: Inventory = None,
    limit: Limit = None,
    extra_vars: ExtraVars = None,
    vault_password_file: VaultPasswordFile = None,
    json_: Json = False,
    project: Project = Path(),
) -> None:
    """Remove old runs under results/, and with --hosts their folders on the hosts.

    A run that is open, the latest or named in --keep stays; on a host its newest run, and one that
    its agent works on. Without a terminal it removes only with --yes.

    Exit code 0: done, or nothing to do; 1: something could not be removed, or a host not asked.
    """
    from loadfleet_agent.contract.base import utc_now

    from ..hosts.links import Links
    from ..operate.clean import (
        old_host_runs,
        old_results,
        open_runs,
        parse_age,
        remove_host_runs,
        remove_results,
    )

    try:
        age = parse_age(older_than)
    except ValueError as error:
        refuse(f"--older-than {error}")
    fleet = selected(make_selection(inventory, limit, extra_vars, vault_password_file), project)
    kept, now = {checked_run(name) or "" for name in keep or ()}, utc_now()
    here = old_results(fleet.results, age, kept, now)
    there: list[OldRun] = []
    failures: list[str] = []
    with Links(fleet.hosts) as links:
        if hosts:
            kept |= open_runs(fleet.results)
            there, failures = old_host_runs(links, age, kept, now)
        runs = [*here, *there]
        if not json_:
            _tell_old(runs, dry_run)
        removed = bool(runs) and not dry_run and _agreed(runs, yes)
        if removed:
            failures += remove_results(here) + (remove_host_runs(links, there) if there else [])
    if json_:
        told = [run.model_dump(mode="json") for run in runs]
        print(json.dumps({"removed": removed, "runs": told, "failures": failures}, indent=2))
    for line in failures:
        tell_on_stderr(f"loadfleet: {line}")
    raise typer.Exit(1 if failures else 0)


def _tell_old(runs: Sequence[OldRun], dry_run: bool) -> None:
    from ..text.terminal import aligned

    if not runs:
        print("no run is old enough to go")
        return
    rows = [
        (run.host or "results", run.run_id, f"{run.age_days:.0f} days", _size(run.size_bytes))
        for run in runs
    ]
    print("\n".join(aligned(rows, left=2)))
    verb = "would go" if dry_run else "to remove"
    print(f"{len(runs)} folders, {_size(sum(run.size_bytes for run in runs))} {verb}")


def _agreed(runs: Sequence[OldRun], yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        refuse(f"{len(runs)} folders would be removed: give --yes, or --dry-run to only look")
    return typer.confirm("Remove them?")


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
