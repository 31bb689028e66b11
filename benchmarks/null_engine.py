"""What LoadGen and the agent can do at most, with an engine that answers at once.

Prints Offline samples per second and the Server queries per second that were held, each as the
median and the range of several measurements. No GPU, no model, no network.

usage: python benchmarks/null_engine.py [--repeats 5] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

FIGURES = {
    "offline_samples_per_s": "Offline samples/s",
    "server_queries_per_s_held": "Server queries/s held",
}


def measure() -> dict[str, float]:
    """One measurement by the agent's own command, in an empty data folder."""
    command = Path(sys.executable).with_name("loadfleet-agent")
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [command, "overhead", "--engine", "null", "--json", "--home", home],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"loadfleet-agent overhead failed: {done.stdout or done.stderr}")
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="measurements (5; a minute each)")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    options = parser.parse_args()
    found = []
    for number in range(1, options.repeats + 1):
        print(f"measurement {number} of {options.repeats}", file=sys.stderr, flush=True)
        found.append(measure())
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{found[0]['processors']} processors, answers of {found[0]['answer_tokens']} tokens")
    for key, name in FIGURES.items():
        values = [item[key] for item in found]
        print(
            f"{name}: {statistics.median(values):,.0f} "
            f"({min(values):,.0f} to {max(values):,.0f}, {len(values)} measurements)"
        )


if __name__ == "__main__":
    main()
