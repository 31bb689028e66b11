"""Compiles the stand-in's C sources; each program knows the version that it stands in for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).parent / "source"
PROGRAMS = {
    "libnvidia-ml.so.1": ("nvml.c",),
    "nvidia-smi": ("nvidia_smi.c", "smi_query.c", "smi_set.c", "smi_show.c"),
    "nvidia-standin-load": ("load.c",),
    "nvidia-persistenced": ("persistenced.c",),
    "nvidia-ctk": ("ctk.c",),
}
CUDA = {"580": "13.0", "590": "13.1"}
"""CUDA version that a branch of the driver answers with."""

# No GNU extensions: a newer glibc's headers would then ask for a newer glibc at run time.
FLAGS = ("-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O2")
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
# A container of another distribution does not search Debian's folder.
LINK = ("-Wl,-rpath,/usr/lib/x86_64-linux-gnu",)
SHARED = ("-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-soname,libnvidia-ml.so.1")


def compile_program(name: str, version: str, folder: Path) -> Path:
    """One of PROGRAMS for a driver's (or the toolkit's) version; RuntimeError says what failed."""
    if shutil.which("gcc") is None:
        raise RuntimeError("no gcc: install what tests/fleet/standin/README.md lists")
    program = folder / name
    cuda = CUDA.get(version.partition(".")[0], "0.0")
    definitions = (f'-DSTANDIN_VERSION="{version}"', f'-DSTANDIN_CUDA_VERSION="{cuda}"')
    sources = [str(SOURCE / source) for source in (*PROGRAMS[name], "state.c")]
    kind = SHARED if name.startswith("lib") else ()
    command = ["gcc", *FLAGS, *WARNINGS, *definitions, *kind, *LINK, "-o", str(program), *sources]
    done = subprocess.run([*command, "-lcjson", "-lm"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"gcc could not build {name}:\n{done.stderr}")
    return program


def compile_driver(version: str, folder: Path) -> Path:
    """The folder with all programs of a driver's version."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PROGRAMS:
        if name != "nvidia-ctk":
            compile_program(name, version, folder)
    return folder
