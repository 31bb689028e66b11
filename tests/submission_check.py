"""Runs MLCommons' submission checker, which is not part of this project."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SOURCE = "MLCOMMONS_INFERENCE"
"""Environment variable: folder of a checkout of mlcommons/inference."""
TIMEOUT_S = 900.0


def mlcommons(*parts: str) -> Path:
    """A path in the checkout."""
    return Path(os.environ[SOURCE]).joinpath(*parts)


def check_package(root: Path, round_name: str, submitter: str, summary: Path) -> tuple[int, str]:
    """The checker's exit code and all that it printed; it writes ``summary``."""
    done = subprocess.run(
        [sys.executable, "-m", "submission_checker.main", "--input", root, "--version",
         round_name, "--submitter", submitter, "--csv", summary],
        cwd=mlcommons("tools", "submission"),
        capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr + done.stdout
