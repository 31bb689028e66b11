"""How long a newcomer waits: from a clone of this commit to the report of ``make run``.

With empty caches of uv and loadfleet, so everything is downloaded; a machine that has to share its
cores or its link takes longer.

usage: python benchmarks/first_run.py [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(
            ["git", "clone", "--quiet", str(ROOT), str(folder / "loadfleet")], check=True
        )
        began = time.monotonic()
        done = subprocess.run(
            ["make", "run"], cwd=folder / "loadfleet", check=False, stdout=sys.stderr,
            env=os.environ | {"UV_CACHE_DIR": str(folder / "uv")},
        )  # fmt: skip
        seconds = time.monotonic() - began
        if done.returncode != 0:
            sys.exit(f"make run ended with {done.returncode}")
        report = folder / "loadfleet" / "results" / "latest" / "report.html"
        if not report.is_file():
            sys.exit(f"make run left no {report.relative_to(folder)}")
    cores = len(os.sched_getaffinity(0))
    if options.json:
        print(json.dumps({"seconds": seconds, "processors": cores}))
    else:
        print(f"make run: {seconds / 60:.1f} min on {cores} processors, downloads included")


if __name__ == "__main__":
    main()
