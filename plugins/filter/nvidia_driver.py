"""nvidia_driver_packages: which packages make up a driver, by system, source and branch."""

from __future__ import annotations

import re
from typing import Any

from ansible.errors import AnsibleFilterError

LAST_NUMBERED_BRANCH = 580
"""NVIDIA's own Ubuntu packages carry the branch in their names up to this one; from 590 on they
do not (driver installation guide, "Recent updates"). Its Debian packages never did."""
FIRST_OPEN_ONLY_GPUS_BRANCH = 515
"""The first branch with open kernel modules for data-centre GPUs."""


def nvidia_driver_packages(
    branch: int | str,
    *,
    distribution: str,
    source: str,
    open_modules: bool = True,
    kernel_flavour: str = "generic",
) -> dict[str, Any]:
    """Packages of a compute-only driver (no X).

    ``source``: "nvidia" is NVIDIA's own repository, "ubuntu" is Ubuntu's archive with its prebuilt
    signed modules. Returns pin (installed before all else; '' if none), packages (one apt call),
    version_of (the package whose version is the driver's) and blacklist (expressions for
    unattended-upgrades). Raises AnsibleFilterError for what does not exist.
    """
    if not re.fullmatch(r"\d{3}", str(branch)):
        raise AnsibleFilterError(
            f"nvidia_driver_branch: {branch} is not a branch: give three digits, as 580"
        )
    number = int(branch)
    if open_modules and number < FIRST_OPEN_ONLY_GPUS_BRANCH:
        raise AnsibleFilterError(
            f"nvidia_driver_branch: {number} has no open kernel modules: "
            "set nvidia_driver_open_modules: false, or take 580"
        )
    if source == "ubuntu":
        if distribution != "Ubuntu":
            raise AnsibleFilterError(
                f"nvidia_driver_source: ubuntu has no packages for {distribution}: set it to nvidia"
            )
        return _ubuntu_archive(number, open_modules, kernel_flavour)
    if distribution == "Ubuntu":
        return _nvidia_for_ubuntu(number, open_modules)
    return _nvidia_for_debian(number, open_modules)


def _ubuntu_archive(branch: int, open_modules: bool, flavour: str) -> dict[str, Any]:
    kind = f"{branch}-server" + ("-open" if open_modules else "")
    return {
        "pin": "",  # the branch is in every name
        "packages": [
            f"linux-modules-nvidia-{kind}-{flavour}",
            f"nvidia-headless-no-dkms-{kind}",
            f"nvidia-utils-{branch}-server",
            f"nvidia-compute-utils-{branch}-server",
        ],
        "version_of": f"nvidia-utils-{branch}-server",
        "blacklist": ["nvidia-", "libnvidia-", "linux-modules-nvidia-"],
    }


def _nvidia_for_ubuntu(branch: int, open_modules: bool) -> dict[str, Any]:
    suffix = "-open" if open_modules else ""
    if branch <= LAST_NUMBERED_BRANCH:
        packages = [
            f"libnvidia-compute-{branch}",
            f"nvidia-dkms-{branch}{suffix}",
            f"nvidia-utils-{branch}",
        ]
    else:
        packages = ["libnvidia-compute", f"nvidia-dkms{suffix}"]
    return {
        "pin": f"nvidia-driver-pinning-{branch}",
        "packages": [*packages, "nvidia-persistenced"],
        "version_of": packages[0],
        "blacklist": ["nvidia-", "libnvidia-", "cuda-drivers"],
    }


def _nvidia_for_debian(branch: int, open_modules: bool) -> dict[str, Any]:
    return {
        "pin": f"nvidia-driver-pinning-{branch}",
        "packages": [
            "nvidia-driver-cuda",
            "nvidia-kernel-open-dkms" if open_modules else "nvidia-kernel-dkms",
            "nvidia-persistenced",
        ],
        "version_of": "nvidia-driver-cuda",
        "blacklist": ["nvidia-", "libnvidia-", "cuda-drivers"],
    }


class FilterModule:
    """Filters about the NVIDIA driver."""

    def filters(self) -> dict[str, Any]:
        return {"nvidia_driver_packages": nvidia_driver_packages}
