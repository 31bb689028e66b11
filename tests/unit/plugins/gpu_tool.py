"""A stand-in for nvidia-smi that reads its GPUs from a file: there is no GPU here."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HEALTHY = {
    "index": "0",
    "uuid": "GPU-1",
    "name": "NVIDIA A30",
    "driver_version": "580.105.08",
    "memory.total": "24576",
    "compute_cap": "8.0",
    "persistence_mode": "Enabled",
    "mig.mode.current": "Disabled",
    "mig.mode.pending": "Disabled",
    "ecc.mode.current": "Enabled",
    "ecc.mode.pending": "Enabled",
    "ecc.errors.uncorrected.volatile.total": "0",
    "power.limit": "165.00",
    "power.default_limit": "165.00",
    "temperature.gpu": "31",
    "utilization.gpu": "0",
    "pcie.link.gen.max": "4",
    "pcie.link.width.max": "16",
    "clocks_throttle_reasons.active": "0x0000000000000001",
}
TOOL = f"""#!{sys.executable}
import json, pathlib, sys
state = json.loads((pathlib.Path(__file__).parent / "gpus.json").read_text())
if state["problem"]:
    sys.exit(print(state["problem"]) or 9)
name, _, fields = sys.argv[1].removeprefix("--query-").partition("=")
rows = state["rows"].get(name)
if rows is None:
    sys.exit(print("Invalid combination of input arguments.") or 2)
for row in rows:
    for field in fields.split(","):
        if field not in row:
            sys.exit(print(f'Field "{{field}}" is not a valid field to query.') or 2)
for row in rows:
    print(", ".join(row[field] for field in fields.split(",")))
"""


def put_tool(
    folder: Path,
    gpus: Sequence[dict[str, str]] = (HEALTHY,),
    *,
    problem: str = "",
    remapped: Sequence[dict[str, str]] | None = None,
    processes: Sequence[dict[str, str]] = (),
) -> Path:
    """The folder, to be first in PATH."""
    rows: dict[str, Any] = {"gpu": list(gpus), "compute-apps": list(processes)}
    if remapped is not None:
        rows["remapped-rows"] = list(remapped)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gpus.json").write_text(json.dumps({"problem": problem, "rows": rows}))
    tool = folder / "nvidia-smi"
    tool.write_text(TOOL)
    tool.chmod(0o755)
    return folder
