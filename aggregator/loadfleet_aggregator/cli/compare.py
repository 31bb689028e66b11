"""loadfleet compare and history: runs side by side, and over time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from loadfleet_agent.contract.benchmark import Scenario

from ..text.listing import some
from .exit import refuse

app = typer.Typer()


@app.command(
    epilog="Example: loadfleet compare results/20261122T024033Z-llama3-1-8b results/latest"
)
def compare(
    old: Annotated[Path, typer.Argument(help="A run's folder under results/, or a report.json.")],
    new: Annotated[Path, typer.Argument(help="The run that may have become slower, likewise.")],
    fail_on: Annotated[
        str, typer.Option(help="Loss of a scenario's result beyond which it fails: 3% or 0.03.")
    ] = "3%",
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown for a pull request.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two runs of a fleet, host by host, and say whether the new one lost; needs no host.

    Exit code 0: pass; 1: fail; 3: inconclusive, the measurements do not tell; 2: the two cannot
    be compared, or one cannot be read.
    """
    from ..compare.build import Incomparable, compare_runs
    from ..compare.loss import parse_loss
    from ..compare.render import render_markdown, render_text
    from ..report.read import ReportUnreadable, open_report

    if markdown and json_:
        refuse("--markdown and --json: give one of them")
    try:
        compared = compare_runs(open_report(old), open_report(new), parse_loss(fail_on))
    except ReportUnreadable as error:
        refuse(str(error))
    except ValueError as error:
        refuse(f"--fail-on {error}")
    except Incomparable as error:
        refuse(f"{old} and {new} cannot be compared: {error}; give two runs of the same")
    if json_:
        print(compared.model_dump_json(indent=2))
    else:
        print(render_markdown(compared) if markdown else render_text(compared), end="")
    raise typer.Exit(compared.outcome.exit_code)


@app.command(epilog="Example: loadfleet history results/ --scenario Server")
def history(
    results: Annotated[Path, typer.Argument(help="The folder that has the runs.")] = Path(
        "results"
    ),
    scenario: Annotated[
        Scenario | None, typer.Option(case_sensitive=False, help="Default: all that were run.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="One host alone. Default: the fleet.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a fleet's results over time, and what changed from run to run; needs no host.

    Runs of another suite, model, dataset or with other labels are a series of their own.
    """
    from ..history.build import build_history
    from ..history.read import read_reports
    from ..history.render import render_text
    from ..report.read import ReportUnreadable

    try:
        reports, skipped = read_reports(results)
    except ReportUnreadable as error:
        refuse(str(error))
    names = {item.name for report in reports for item in report.hosts}
    if host is not None and reports and host not in names:
        refuse(f"--host {host}: in no run below {results}, which have {some(sorted(names))}")
    built = build_history(reports, skipped, scenario=scenario, host=host)
    print(built.model_dump_json(indent=2) + "\n" if json_ else render_text(built), end="")
