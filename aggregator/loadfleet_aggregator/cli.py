"""The command loadfleet."""

from __future__ import annotations

import io
import math
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
from loadfleet_agent.contract.benchmark import Scenario

from . import __version__
from .image import BASE_IMAGE, BASE_PYTHON, image_context
from .text.listing import some
from .text.terminal import printable

app = typer.Typer(
    name="loadfleet",
    help="Benchmarks a fleet of GPU hosts at Llama-3.1-8B and reports on it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command(epilog="Example: loadfleet wheelhouse --build cuda --python 3.12")
def wheelhouse(
    build: Annotated[
        str,
        typer.Option(
            help="cpu or cuda: with that build of vLLM. image: what goes on top of an image that "
            "has vLLM. client: for hosts whose runs are in a container."
        ),
    ] = "cuda",
    python: Annotated[
        str, typer.Option(help="Python version of the hosts.")
    ] = f"{sys.version_info.major}.{sys.version_info.minor}",
    project: Annotated[Path, typer.Option(help="The project's folder.")] = Path(),
    store: Annotated[Path, typer.Option(help="Where wheelhouses are kept.")] = Path(
        ".loadfleet/wheelhouses"
    ),
) -> None:
    """Build the wheels that the hosts' agents are installed from; prints the folder."""
    from .wheelhouse import WheelhouseError, build_wheelhouse

    try:
        folder = build_wheelhouse(
            project.resolve(), build, python, store.resolve(), _tell_on_stderr
        )
    except (WheelhouseError, OSError) as error:
        _refuse(str(error))
    print(folder)


@app.command(
    epilog="Example: loadfleet image --base registry.example/vllm/vllm-openai:v0.32.0 "
    "--python 3.12 --output loadfleet-image && docker build --tag loadfleet-agent loadfleet-image"
)
def image(
    output: Annotated[Path, typer.Option(help="Folder to write; new or empty.")],
    base: Annotated[
        str, typer.Option(help="Image that has vLLM 0.32 and Python: a name, better a digest.")
    ] = BASE_IMAGE,
    python: Annotated[str, typer.Option(help="Python version of the base image.")] = BASE_PYTHON,
    project: Annotated[Path, typer.Option(help="The project's folder.")] = Path(),
    store: Annotated[Path, typer.Option(help="Where wheelhouses are kept.")] = Path(
        ".loadfleet/wheelhouses"
    ),
) -> None:
    """Write the folder that the agent's container image is built from; prints it.

    It is complete but for the base image: take it to where docker build is. None is needed here.
    """
    from .wheelhouse import WheelhouseError

    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        _refuse(f"--output {output}: not an empty folder")
    try:
        key, folder = image_context(
            project.resolve(), python, base, store.resolve(), _tell_on_stderr
        )
        shutil.copytree(folder, output, dirs_exist_ok=True)
    except (WheelhouseError, OSError) as error:
        _refuse(str(error))
    _tell_on_stderr(f"now: docker build --tag loadfleet-agent:{key} {output}")
    print(output)


@app.command(epilog="Example: loadfleet report results/latest --price-per-kwh 0.3")
def report(
    folder: Annotated[Path, typer.Argument(help="A run's folder under results/.")],
    price_per_gpu_hour: Annotated[
        float | None,
        typer.Option(help="Of one GPU, in any currency. Default: as the run's settings had it."),
    ] = None,
    price_per_kwh: Annotated[
        float | None, typer.Option(help="Of electricity, in the same currency.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print report.json.")] = False,
) -> None:
    """Make the report of a run anew from its collected files; needs no host.

    With a price it says what a million output tokens cost on each host's GPUs.

    Exit code 0: every selected host is valid; 1: some is not.
    """
    from .fleet.prices import Prices
    from .fleet.settings import InventoryError
    from .report.build import build_report
    from .report.render import write_reports

    for name, price in (("gpu-hour", price_per_gpu_hour), ("kwh", price_per_kwh)):
        if price is not None and not 0 <= price < math.inf:
            _refuse(f"--price-per-{name} {price}: must be 0 or more")
    prices = Prices(per_gpu_hour=price_per_gpu_hour, per_kwh=price_per_kwh)
    try:
        built = build_report(folder.resolve(), prices)
        write_reports(built, folder.resolve())
    except (InventoryError, OSError) as error:
        _refuse(str(error))
    if json_:
        print(built.model_dump_json(indent=2))
    else:
        print(printable(built.headline))
        for host in built.hosts:
            print(f"  {printable(host.name)}: {printable(host.verdict)}")
        print(folder / "report.html")
    raise typer.Exit(0 if built.all_ok else 1)


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
    from .compare.build import Incomparable, compare_runs
    from .compare.loss import parse_loss
    from .compare.render import render_markdown, render_text
    from .report.read import ReportUnreadable, open_report

    if markdown and json_:
        _refuse("--markdown and --json: give one of them")
    try:
        compared = compare_runs(open_report(old), open_report(new), parse_loss(fail_on))
    except ReportUnreadable as error:
        _refuse(str(error))
    except ValueError as error:
        _refuse(f"--fail-on {error}")
    except Incomparable as error:
        _refuse(f"{old} and {new} cannot be compared: {error}; give two runs of the same")
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
    from .history.build import build_history
    from .history.read import read_reports
    from .history.render import render_text
    from .report.read import ReportUnreadable

    try:
        reports, skipped = read_reports(results)
    except ReportUnreadable as error:
        _refuse(str(error))
    names = {item.name for report in reports for item in report.hosts}
    if host is not None and reports and host not in names:
        _refuse(f"--host {host}: in no run below {results}, which have {some(sorted(names))}")
    built = build_history(reports, skipped, scenario=scenario, host=host)
    print(built.model_dump_json(indent=2) + "\n" if json_ else render_text(built), end="")


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
    from .fleet.settings import InventoryError
    from .submission.build import build_submission, parse_request, write_template
    from .submission.finding import SubmissionRefused
    from .submission.outcome import refusal_json, refusal_lines, submission_json, submission_lines

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
            _tell_on_stderr(f"loadfleet: {printable(line)}")
        raise typer.Exit(2) from error
    except (InventoryError, OSError) as error:
        _refuse(str(error))
    print(submission_json(made) if json_ else "\n".join(map(printable, submission_lines(made))))


def _version(wanted: bool) -> None:
    if wanted:
        print(f"loadfleet {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    return None


def main() -> None:
    """Entry point of the command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A host's words are no reason to fail on a terminal that lacks a letter of them.
        sys.stdout.reconfigure(errors="backslashreplace")
    app()


def _tell_on_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _refuse(message: str) -> None:
    print(
        "\n".join(f"loadfleet: {printable(line)}" for line in message.splitlines()), file=sys.stderr
    )
    raise typer.Exit(2)
