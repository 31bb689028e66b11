"""Facts of the host, also as they are seen from inside a container."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
from loadfleet_agent.contract.host import HostFacts
from loadfleet_agent.host import facts
from loadfleet_agent.host.facts import (
    BOOT_ID_VARIABLE,
    IMAGE_VARIABLE,
    boot_id,
    changed_facts,
    host_facts,
)

IMAGE = "sha256:" + "1" * 64


@pytest.fixture
def host_os_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "os-release"
    path.write_text('# the host\nNAME=Other\nPRETTY_NAME="Other \\"OS\\" 7"\nID=other\n')
    monkeypatch.setattr(facts, "HOST_OS_RELEASE", path)
    return path


@pytest.mark.usefixtures("host_os_release")
def test_outside_of_a_container_there_is_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """An nspawn machine has that os-release too, and is a host of its own."""
    monkeypatch.delenv(IMAGE_VARIABLE, raising=False)
    now = host_facts()
    assert now.container_image is None
    assert now.operating_system == platform.freedesktop_os_release()["PRETTY_NAME"]


@pytest.mark.usefixtures("host_os_release")
def test_in_a_container_image_and_host_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(IMAGE_VARIABLE, IMAGE)
    now = host_facts()
    assert now.container_image == IMAGE
    assert now.operating_system == 'Other "OS" 7'


@pytest.mark.parametrize("text", [None, "", "NAME=Other\n", 'PRETTY_NAME="open\n'])
def test_the_images_name_is_never_given_for_the_hosts(
    monkeypatch: pytest.MonkeyPatch, host_os_release: Path, text: str | None
) -> None:
    monkeypatch.setenv(IMAGE_VARIABLE, IMAGE)
    host_os_release.unlink()
    if text is not None:
        host_os_release.write_text(text)
    assert host_facts().operating_system == "Linux"


def test_another_image_is_a_change_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(IMAGE_VARIABLE, raising=False)
    before = host_facts()
    monkeypatch.setenv(IMAGE_VARIABLE, IMAGE)
    after = host_facts().model_copy(update={"operating_system": before.operating_system})
    assert changed_facts(before, after) == (f"container_image: None -> {IMAGE}",)


def test_the_boot_id_is_the_hosts_also_where_the_kernel_has_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(BOOT_ID_VARIABLE, raising=False)
    kernels = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert boot_id() == kernels
    # As systemd writes it and as the kernel would.
    monkeypatch.setenv(BOOT_ID_VARIABLE, "0123456789abcdef0123456789abcdef")
    assert boot_id() == host_facts().boot_id == "01234567-89ab-cdef-0123-456789abcdef"


def test_facts_of_before_there_were_containers_can_be_read() -> None:
    values = host_facts().model_dump(mode="json", exclude={"container_image"})
    assert HostFacts.model_validate(values).container_image is None
