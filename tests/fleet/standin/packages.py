"""The packages that loadfleet's roles install: NVIDIA's, and Docker's from docker.py.

Names, versions and the relations that matter are those of the real packages, so that roles run
unchanged. README.md says what differs.
"""

from __future__ import annotations

from pathlib import Path

from . import units
from .compiler import compile_driver, compile_program
from .debian import Package, build
from .docker import build_docker as build_docker

DRIVER = "580.105.08"
OLD_DRIVER = "580.95.05"
NEW_BRANCH_DRIVER = "590.48.01"
DRIVERS = (OLD_DRIVER, DRIVER, NEW_BRANCH_DRIVER)
TOOLKIT = "1.20.0"

LIBRARIES = "libc6 (>= 2.34), libcjson1"
SYSTEM = "/usr/lib/systemd/system"


def build_nvidia(folder: Path) -> list[Path]:
    """All that NVIDIA's repositories hold: three drivers, the pin and the container toolkit."""
    drivers = [deb for version in DRIVERS for deb in build_driver(folder, version)]
    return [*drivers, build_pin(folder), *build_container_toolkit(folder)]


def build_driver(folder: Path, version: str) -> list[Path]:
    """One version of the driver: library, nvidia-smi, kernel module and persistence daemon."""
    programs = compile_driver(version, folder / f"programs-{version}")

    def package(name: str, summary: str, **described: object) -> Package:
        return Package.model_validate(
            {
                "name": name,
                "version": f"{version}-1",
                "summary": summary,
                "source": "nvidia-graphics-drivers",
                "relations": {"Depends": LIBRARIES},
            }
            | described
        )

    library = f"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.{version}"
    load = (programs / "nvidia-standin-load").read_bytes()
    daemon = (programs / "nvidia-persistenced").read_bytes()
    described = [
        package(
            "libnvidia-ml1",
            "NVIDIA Management Library (NVML) runtime library",
            files={library: (programs / "libnvidia-ml.so.1").read_bytes()},
            links={"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1": Path(library).name},
            scripts={"triggers": "activate-noawait ldconfig\n"},
        ),
        package(
            "nvidia-driver-cuda",
            "NVIDIA driver for compute, with nvidia-smi",
            relations={"Depends": f"libnvidia-ml1 (= {version}-1), {LIBRARIES}"},
            files={"/usr/bin/nvidia-smi": (programs / "nvidia-smi").read_bytes()},
        ),
        package(
            "nvidia-kernel-open-dkms",
            "NVIDIA open kernel modules",
            files={
                "/usr/lib/nvidia-standin/bin/nvidia-standin-load": load,
                f"{SYSTEM}/nvidia-standin-load.service": units.LOAD_SERVICE,
            },
            scripts=units.scripts(
                "nvidia-standin-load.service",
                start=False,
                before="install -D /dev/null /run/nvidia-standin/installed-since-boot",
            ),
        ),
        package(
            "nvidia-persistenced",
            "daemon to maintain persistent software state in the NVIDIA driver",
            relations={"Depends": f"passwd, {LIBRARIES}"},
            files={
                "/usr/bin/nvidia-persistenced": daemon,
                f"{SYSTEM}/nvidia-persistenced.service": units.PERSISTENCED_SERVICE,
            },
            scripts=units.scripts(
                "nvidia-persistenced.service",
                start=True,
                before="getent passwd nvpd >/dev/null || useradd --system --user-group nvpd",
            ),
        ),
    ]
    return [build(described_package, folder) for described_package in described]


def build_pin(folder: Path, branch: str = "580") -> Path:
    """The package that keeps apt on a branch of the driver, with NVIDIA's preferences file."""
    preferences = f"""\
Explanation: {branch} and no other branch, also where that is a downgrade (stand-in)
Package: src:*nvidia*:any src:cuda-drivers:any src:cuda-compat:any
Pin: version {branch}.*
Pin-Priority: 1000
"""
    name = "nvidia-driver-pinning"
    package = Package(
        name=f"{name}-{branch}",
        version=f"{branch}-5",
        summary=f"APT driver pinning file for driver branch {branch}",
        architecture="all",
        relations={"Provides": name, "Conflicts": name, "Replaces": name},
        files={f"/etc/apt/preferences.d/{name}-{branch}": preferences},
    )
    return build(package, folder)


def build_container_toolkit(folder: Path) -> list[Path]:
    """The four packages of the NVIDIA Container Toolkit."""
    version, source = f"{TOOLKIT}-1", "nvidia-container-toolkit"
    folder.mkdir(parents=True, exist_ok=True)
    ctk = compile_program("nvidia-ctk", TOOLKIT, folder)
    libraries = Package(
        name="libnvidia-container1",
        version=version,
        source="libnvidia-container",
        summary="NVIDIA container runtime library",
    )
    tools = Package(
        name="libnvidia-container-tools",
        version=version,
        source="libnvidia-container",
        summary="NVIDIA container runtime library (command-line tools)",
        relations={"Depends": f"libnvidia-container1 (>= {version})"},
    )
    base = Package(
        name=f"{source}-base",
        version=version,
        source=source,
        summary="NVIDIA Container Toolkit Base, with nvidia-ctk",
        relations={"Depends": LIBRARIES},
        files={
            "/usr/bin/nvidia-ctk": ctk.read_bytes(),
            "/etc/nvidia-container-toolkit/nvidia-cdi-refresh.env": "",
            f"{SYSTEM}/nvidia-cdi-refresh.service": units.CDI_REFRESH_SERVICE,
            f"{SYSTEM}/nvidia-cdi-refresh.path": units.CDI_REFRESH_PATH,
        },
        scripts=units.scripts("nvidia-cdi-refresh.path", "nvidia-cdi-refresh.service", start=True),
    )
    toolkit = Package(
        name=source,
        version=version,
        source=source,
        summary="NVIDIA Container toolkit",
        relations={
            "Depends": f"{source}-base (= {version}), libnvidia-container-tools (= {version})"
        },
    )
    return [build(package, folder) for package in (libraries, tools, base, toolkit)]
