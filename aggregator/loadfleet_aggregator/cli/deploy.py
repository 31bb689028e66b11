"""loadfleet wheelhouse and image: what the hosts' agents are installed from."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..image import BASE_IMAGE, BASE_PYTHON, image_context
from .exit import refuse, tell_on_stderr

app = typer.Typer()


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
    from ..wheelhouse import WheelhouseError, build_wheelhouse

    try:
        folder = build_wheelhouse(project.resolve(), build, python, store.resolve(), tell_on_stderr)
    except (WheelhouseError, OSError) as error:
        refuse(str(error))
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
    from ..wheelhouse import WheelhouseError

    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        refuse(f"--output {output}: not an empty folder")
    try:
        key, folder = image_context(
            project.resolve(), python, base, store.resolve(), tell_on_stderr
        )
        shutil.copytree(folder, output, dirs_exist_ok=True)
    except (WheelhouseError, OSError) as error:
        refuse(str(error))
    tell_on_stderr(f"now: docker build --tag loadfleet-agent:{key} {output}")
    print(output)
