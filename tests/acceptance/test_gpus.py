"""The driver, and the state of the GPUs."""

from __future__ import annotations

from typing import Any

from .conftest import Expected, require


def each(gpus: list[dict[str, str]], key: str, wanted: str) -> str:
    """The GPUs that have another value, as text."""
    return ", ".join(f"GPU {gpu['index']} {gpu[key]}" for gpu in gpus if gpu[key] != wanted)


def test_driver_of_the_branch_is_loaded(gpus: list[dict[str, str]], expected: Expected) -> None:
    branch = str(expected["nvidia_driver_branch"])
    loaded = gpus[0]["driver_version"]
    require(loaded.split(".")[0] == branch, f"driver {loaded} is loaded, wanted is {branch}")


def test_driver_is_held(host: Any) -> None:
    held = set(host.run("apt-mark showhold").stdout.split())
    names = host.run("dpkg-query -W -f '${db:Status-Status} ${Package}\n' 'nvidia-*' 'libnvidia-*'")
    installed = {
        line.split()[1]
        for line in names.stdout.splitlines()
        if line.startswith("installed ") and "container" not in line and "pinning" not in line
    }
    loose = sorted(installed - held)
    require(not loose, f"an upgrade may break the driver: not held: {', '.join(loose[:4])}")


def test_nouveau_is_not_loaded(host: Any) -> None:
    require(not host.file("/sys/module/nouveau").exists, "nouveau is loaded: reboot the host")


def test_gpus_stay_initialised(gpus: list[dict[str, str]]) -> None:
    off = each(gpus, "persistence_mode", "Enabled")
    require(not off, f"persistence mode: {off}: start nvidia-persistenced")


def require_mode(gpus: list[dict[str, str]], name: str, on: bool) -> None:
    """Every GPU that has the mode is in it, now and after the next boot."""
    wanted = ("Enabled" if on else "Disabled", "[N/A]")
    for key in (f"{name}.mode.current", f"{name}.mode.pending"):
        off = ", ".join(f"GPU {gpu['index']} {gpu[key]}" for gpu in gpus if gpu[key] not in wanted)
        require(not off, f"{key}: {off}: run role gpu_settings")


def test_mig_is_as_wanted(gpus: list[dict[str, str]], expected: Expected) -> None:
    require_mode(gpus, "mig", expected["gpu_settings_mig"])


def test_ecc_is_as_wanted(gpus: list[dict[str, str]], expected: Expected) -> None:
    require_mode(gpus, "ecc", expected["gpu_settings_ecc"])


def test_power_limit_is_as_wanted(gpus: list[dict[str, str]], expected: Expected) -> None:
    asked = expected["gpu_settings_power_limit_w"]
    for gpu in gpus:
        if "[N/A]" in (gpu["power.limit"], gpu["power.default_limit"]):
            continue
        wanted_w = float(asked or gpu["power.default_limit"])
        require(
            abs(float(gpu["power.limit"]) - wanted_w) < 0.5,
            f"GPU {gpu['index']}: power limit {gpu['power.limit']} W, wanted {wanted_w:g} W: "
            "run role gpu_settings",
        )


def test_nothing_else_is_on_the_gpus(host: Any) -> None:
    done = host.run("nvidia-smi --query-compute-apps=pid,process_name --format=csv,noheader")
    lines = done.stdout.strip().splitlines() if done.rc == 0 else []
    require(not lines, f"other processes are on the GPU: {'; '.join(lines[:3])}")
