"""Asks nvidia-smi, which is on a host as soon as the driver is."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from collections.abc import Sequence

ABSENT = ("[N/A]", "N/A", "[Not Supported]", "")
"""What it says of a value that this GPU does not have."""
TIMEOUT_S = 45


class SmiError(RuntimeError):
    """It is not there, or fails; the text is its own."""


def run_smi(*arguments: str) -> str:
    """What it prints. Raises SmiError."""
    tool = shutil.which("nvidia-smi")
    if not tool:
        raise SmiError("nvidia-smi is not installed")
    try:
        done = subprocess.run(
            [tool, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise SmiError(f"nvidia-smi does not answer for {TIMEOUT_S} s") from None
    if done.returncode != 0:
        text = " ".join((done.stdout + done.stderr).split())[:200]
        raise SmiError(text or f"nvidia-smi ends with {done.returncode}")
    return done.stdout


def query(subject: str, fields: Sequence[str]) -> list[dict[str, str]]:
    """Rows of ``--query-<subject>``, as field to text without its unit. Raises SmiError."""
    text = run_smi(f"--query-{subject}=" + ",".join(fields), "--format=csv,noheader,nounits")
    rows = csv.reader(io.StringIO(text), skipinitialspace=True)
    return [dict(zip(fields, (value.strip() for value in row))) for row in rows if row]  # noqa: B905 - Python 3.9 on hosts
