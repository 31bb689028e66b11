"""NVIDIA's GPUs on the PCI bus, which is seen without a driver."""

from __future__ import annotations

import pathlib

DEVICES = pathlib.Path("/sys/bus/pci/devices")
NVIDIA_VENDOR = "0x10de"
DISPLAY_CLASSES = ("0x0300", "0x0302")
"""PCI classes of a GPU: VGA and 3D controller."""


def nvidia_gpus() -> list[dict[str, str]]:
    """``address`` and ``device`` (the id, as 20b7) of each, with or without a driver."""
    found = []
    for device in sorted(DEVICES.glob("*")):
        try:
            vendor = (device / "vendor").read_text().strip()
            kind = (device / "class").read_text().strip()
            number = (device / "device").read_text().strip()
        except OSError:
            continue
        if vendor == NVIDIA_VENDOR and kind.startswith(DISPLAY_CLASSES):
            found.append({"address": device.name, "device": number.replace("0x", "").lower()})
    return found
