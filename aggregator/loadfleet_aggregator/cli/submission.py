"""loadfleet submission: a run as an MLPerf package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..text.terminal import printable
from .exit import BAD_INPUT, refuse, tell_on_stderr

app = typer.Typer()


@app.command(
    epilog="Example: loadfleet submission results/latest --submitter Example --division closed "
    "--system-file system.yaml"
)
def submission(
    folder: Annotated[Path, typer.Argument(help="A run's folder under results/.")],
    submitter: Annotated[str, typer.Option(help="Name of the organisation that submits.")],
    division: Annotated[str, typer.Option(help="closed or open.")],
    round_: Annotated[str, typer.Option("--round", help="Round of MLPerf Inference.")] = "v6.1",
    host: Annotated[
        list[str] | None,
        typer.Option(help="Host to package; give it again for more. Default: all that took part."),
    ] = None,
    system_file: Annotated[
        Path | None, typer.Option(help="YAML or JSON file with what no host knows of itself.")
    ] = None,
    write_system_file: Annotated[
        Path | None,
        typer.Option(help="Write such a file, MISSING where a value is needed, and no package."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder to write. Default: submission/DIVISION in the run's."),
    ] = None,
    rehearsal: Annotated[
        bool,
        typer.Option(
            "--rehearsal",
            help="Try the whole way with what cannot be submitted: made-up articles, random "
            "weights, shorter answers, an accuracy below its target. Every page says so.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make an MLPerf submission package from a run's collected files; needs no host.

    Every log is checked against its hash of the moment it was written. What is missing or wrong
    is listed whole, and nothing is written then: exit code 2.
    """
    from ..fleet.settings import InventoryError
    from ..submission.build import build_submission, parse_request, write_template
    from ..submission.finding import SubmissionRefused
    from ..submission.outcome import refusal_json, refusal_lines, submission_json, submission_lines

    try:
        request = parse_request(
            folder=folder.resolve(),
            output=output,
            submitter=submitter,
            division=division,
            round_name=round_,
            hosts=tuple(host or ()),
            system_file=system_file,
            rehearsal=rehearsal,
            force=force,
        )
        if write_system_file is not None:
            write_template(request, write_system_file)
            print(write_system_file)
            return
        made = build_submission(request)
    except SubmissionRefused as error:
        if json_:
            print(refusal_json(error.findings))
        for line in refusal_lines(error.findings):
            tell_on_stderr(f"loadfleet: {printable(line)}")
        raise typer.Exit(BAD_INPUT) from error
    except (InventoryError, OSError) as error:
        refuse(str(error))
    print(submission_json(made) if json_ else "\n".join(map(printable, submission_lines(made))))
