"""Which packages make up a driver."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ..helpers import load_plugin

packages = load_plugin("nvidia_driver", "filter").nvidia_driver_packages


def chosen(branch: str, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"distribution": "Ubuntu", "source": "nvidia"} | changes
    result: dict[str, Any] = packages(branch, **values)
    return result


def test_580_from_nvidia_for_ubuntu_has_the_branch_in_its_names() -> None:
    assert chosen("580")["packages"] == [
        "libnvidia-compute-580",
        "nvidia-dkms-580-open",
        "nvidia-utils-580",
        "nvidia-persistenced",
    ]


def test_590_has_not_so_that_only_the_pin_holds_the_branch() -> None:
    set_ = chosen("590")
    assert set_["pin"] == "nvidia-driver-pinning-590"
    assert not any("590" in name for name in set_["packages"])
    assert set_["packages"][:2] == ["libnvidia-compute", "nvidia-dkms-open"]


def test_proprietary_modules_have_another_name() -> None:
    assert "nvidia-dkms-580" in chosen("580", open_modules=False)["packages"]


def test_debian_names_never_had_the_branch() -> None:
    set_ = chosen("580", distribution="Debian")
    assert set_["pin"] == "nvidia-driver-pinning-580"
    assert set_["packages"] == [
        "nvidia-driver-cuda",
        "nvidia-kernel-open-dkms",
        "nvidia-persistenced",
    ]


def test_ubuntus_archive_has_signed_modules_for_the_kernels_flavour() -> None:
    set_ = chosen("580", source="ubuntu", kernel_flavour="aws")
    assert set_["pin"] == ""
    assert "linux-modules-nvidia-580-server-open-aws" in set_["packages"]
    assert "nvidia-headless-no-dkms-580-server-open" in set_["packages"]
    assert not any("dkms-580" in name and "no-dkms" not in name for name in set_["packages"])


def test_the_versions_package_is_one_that_is_installed() -> None:
    for distribution, source, branch in (
        ("Ubuntu", "nvidia", "580"),
        ("Ubuntu", "nvidia", "595"),
        ("Ubuntu", "ubuntu", "580"),
        ("Debian", "nvidia", "580"),
    ):
        set_ = chosen(branch, distribution=distribution, source=source)
        assert set_["version_of"] in set_["packages"]


@pytest.mark.parametrize("branch", ["", "latest", "58", "580.105.08"])
def test_what_is_no_branch_is_refused_by_name(branch: str) -> None:
    with pytest.raises(AnsibleFilterError, match="nvidia_driver_branch"):
        chosen(branch)


def test_debian_has_no_packages_in_ubuntus_archive() -> None:
    with pytest.raises(AnsibleFilterError, match="nvidia_driver_source"):
        chosen("580", distribution="Debian", source="ubuntu")


def test_old_branches_have_no_open_modules() -> None:
    with pytest.raises(AnsibleFilterError, match="open"):
        chosen("470")
