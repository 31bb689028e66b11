"""Makes the files of this folder anew: python locks/make_locks.py (or make lock).

The CPU build of torch comes from PIP_FIND_LINKS where that names a folder with it, else from
PyTorch's own index; the lock holds the hashes of PyTorch's index in both cases.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

LOCKS = Path(__file__).parent
ROOT = LOCKS.parent
PYTORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
AGENT = "agent/pyproject.toml"
RUNS = ("run", "data", "evaluate", "fast-rouge", "tune")
"""Extras of an environment that runs, beside its engine."""


def compile_lock(target: str, *arguments: str) -> None:
    """uv pip compile for Linux on x86-64 and the oldest Python that we support."""
    subprocess.run(
        [
            "uv", "pip", "compile", "--quiet", "--generate-hashes", "--no-annotate",
            "--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28",
            "--custom-compile-command", "make lock", "--output-file", f"locks/{target}",
            *arguments,
        ],
        cwd=ROOT,
        check=True,
    )  # fmt: skip


def extras(*names: str) -> list[str]:
    return [word for name in names for word in ("--extra", name)]


def torch_source() -> list[str]:
    folder = os.environ.get("PIP_FIND_LINKS", "")
    if folder and any(Path(folder).glob("torch-*+cpu-*.whl")):
        return ["--find-links", folder]
    return ["--extra-index-url", PYTORCH_CPU_INDEX, "--index-strategy", "unsafe-best-match"]


def put_torch_hashes(path: Path) -> None:
    """Replaces torch's hashes by those of every wheel on PyTorch's CPU index."""
    lines = (LOCKS / "torch-cpu.sha256").read_text(encoding="utf-8").split("\n")
    hashes = [line.split()[0] for line in lines if line]
    entry = "torch==2.13.0+cpu \\\n" + " \\\n".join(f"    --hash=sha256:{one}" for one in hashes)
    text, count = re.subn(
        r"^torch==2\.13\.0\+cpu \\\n(?:    --hash=\S+(?: \\)?\n)+",
        entry + "\n",
        path.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    if count != 1:
        raise SystemExit(f"{path}: torch is not where it was expected")
    path.write_text(text, encoding="utf-8")


def main() -> None:
    compile_lock("nltk-data.txt", "--no-deps", "locks/nltk-data.in")
    compile_lock(
        "agent-cpu.txt", *extras(*RUNS, "cpu"), AGENT,
        "--override", "locks/no-torchvision.txt", *torch_source(),
    )  # fmt: skip
    put_torch_hashes(LOCKS / "agent-cpu.txt")
    compile_lock("agent-cuda.txt", *extras(*RUNS, "cuda"), AGENT)
    # Of the same versions as the CUDA build: a host may go from the one runtime to the other.
    cuda = ["--constraint", "locks/agent-cuda.txt"]
    compile_lock("agent-client.txt", *extras("client"), AGENT, *cuda)
    compile_lock("agent-image.txt", *extras(*RUNS), AGENT, *cuda)
    cpu = ["--constraint", "locks/agent-cpu.txt"]
    compile_lock(
        "controller.txt", AGENT, "aggregator/pyproject.toml", *cpu,
        "--no-emit-package", "loadfleet-agent",
    )  # fmt: skip
    compile_lock(
        "tools.txt", "--group", "pyproject.toml:dev", *cpu,
        "--constraint", "locks/controller.txt",
    )  # fmt: skip
    compile_lock("fuzz.txt", "--group", "pyproject.toml:fuzz")
    compile_lock("audit.txt", "--group", "pyproject.toml:audit")


if __name__ == "__main__":
    main()
