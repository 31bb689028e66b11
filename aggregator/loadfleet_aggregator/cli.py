"""The command loadfleet."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from . import __version__
from .image import BASE_IMAGE, BASE_PYTHON, image_context

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


@app.command(epilog="Example: loadfleet report results/latest")
def report(
    folder: Annotated[Path, typer.Argument(help="A run's folder under results/.")],
    json_: Annotated[bool, typer.Option("--json", help="Print report.json.")] = False,
) -> None:
    """Make the report of a run anew from its collected files; needs no host.

    Exit code 0: every selected host is valid; 1: some is not.
    """
    from .fleet.settings import InventoryError
    from .report.build import build_report
    from .report.render import write_reports

    try:
        built = build_report(folder.resolve())
        write_reports(built, folder.resolve())
    except (InventoryError, OSError) as error:
        _refuse(str(error))
    if json_:
        print(built.model_dump_json(indent=2))
    else:
        print(built.headline)
        for host in built.hosts:
            print(f"  {host.name}: {host.verdict}")
        print(folder / "report.html")
    raise typer.Exit(0 if built.all_ok else 1)


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
    app()


def _tell_on_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _refuse(message: str) -> None:
    print(f"loadfleet: {message}", file=sys.stderr)
    raise typer.Exit(2)
