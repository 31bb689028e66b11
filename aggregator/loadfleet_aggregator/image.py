"""Writes what the container image of the agent is built from: one folder, complete in itself.

It holds agent/Dockerfile with its arguments filled in and the wheelhouse of build ``image``. A
docker build of it, on any machine, needs no network but for the base image.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

from .wheelhouse import WheelhouseError, build_wheelhouse, only_one, wheelhouse_key

BASE_IMAGE = "vllm/vllm-openai:v0.32.0"
BASE_PYTHON = "3.12"
DOCKERFILE = Path("agent/Dockerfile")
IMAGE_NAME = r"[A-Za-z0-9][\w.:/@-]*"


def image_key(project: Path, python_version: str, base_image: str) -> str:
    """Tag of the image: of all that decides it. Raises WheelhouseError or OSError."""
    _check(python_version, base_image)
    total = hashlib.sha256()
    for text in (wheelhouse_key(project, "image", python_version), base_image):
        total.update(f"{text}\n".encode())
    total.update((project / DOCKERFILE).read_bytes())
    return f"py{python_version.replace('.', '')}-{total.hexdigest()[:12]}"


def image_context(
    project: Path,
    python_version: str,
    base_image: str,
    store: Path,
    tell: Callable[[str], None],
) -> tuple[str, Path]:
    """Key and folder of the build context; made in ``store`` unless it is there already.

    ``python_version`` is the base image's, as "3.12". Raises WheelhouseError or OSError.
    """
    key = image_key(project, python_version, base_image)
    target = store / f"context-{key}"
    if target.is_dir():
        return key, target
    wheelhouse = build_wheelhouse(project, "image", python_version, store, tell)
    values = {
        "BASE_IMAGE": base_image,
        "PYTHON_VERSION": python_version,
        "AGENT_VERSION": _agent_version(project),
        "IMAGE_KEY": key,
    }
    dockerfile = _filled_in((project / DOCKERFILE).read_text(encoding="utf-8"), values)
    with (
        only_one(store / f".{target.name}.lock"),
        tempfile.TemporaryDirectory(dir=store, prefix=".context-") as scratch,
    ):
        if not target.is_dir():
            folder = Path(scratch) / "context"
            shutil.copytree(wheelhouse, folder / "wheelhouse")
            (folder / "Dockerfile").write_text(dockerfile, encoding="utf-8")
            folder.replace(target)
    return key, target


def _check(python_version: str, base_image: str) -> None:
    if not re.fullmatch(r"3\.\d+", python_version):
        raise WheelhouseError(f"Python {python_version!r}: write it as 3.12")
    if not re.fullmatch(IMAGE_NAME, base_image):
        raise WheelhouseError(f"base image {base_image!r}: write it as {BASE_IMAGE}")


def _agent_version(project: Path) -> str:
    text = (project / "agent" / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["project"]["version"])


def _filled_in(dockerfile: str, values: dict[str, str]) -> str:
    """The Dockerfile with a default for each of these arguments, before and after FROM."""
    for name, value in values.items():
        dockerfile, count = re.subn(
            rf"^ARG {name}\b.*$", f"ARG {name}={value}", dockerfile, flags=re.MULTILINE
        )
        if count == 0:
            raise WheelhouseError(f"{DOCKERFILE} has no ARG {name}")
    return dockerfile
