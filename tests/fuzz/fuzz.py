"""Fuzzes one target with libFuzzer: python tests/fuzz/fuzz.py TARGET SECONDS.

Ends with 0 if nothing was found; else the input is written to the folder that is printed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["loadfleet_agent", "loadfleet_aggregator", "tarfile"]):
    import targets


def main() -> None:
    name, seconds = sys.argv[1], int(sys.argv[2])
    scratch = Path(tempfile.mkdtemp(prefix=f"loadfleet-fuzz-{name}-"))
    targets.write_seeds(name, scratch / "corpus")
    print(f"{name}: {seconds} s, corpus and findings in {scratch}", flush=True)
    arguments = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-max_len=65536",
        "-print_final_stats=1",
        f"-artifact_prefix={scratch}/found-",
        str(scratch / "corpus"),
    ]
    atheris.Setup(arguments, targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
