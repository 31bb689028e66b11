"""Fetching is done by the client's environment too, beside a container that has all the rest."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("datasets", "numpy", "pandas", "pyarrow", "tokenizers", "nltk", "torch", "vllm")


def test_fetching_needs_nothing_that_runs() -> None:
    code = f"""
import sys
sys.modules.update(dict.fromkeys({HEAVY!r}))
import loadfleet_agent.dataset.fetch.hub, loadfleet_agent.dataset.fetch.mlcommons
print("imported")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "imported\n", done.stderr
