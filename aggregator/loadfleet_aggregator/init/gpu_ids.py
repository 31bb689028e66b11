"""NVIDIA's GPUs by their PCI device id: what a host has before it has a driver.

Source: the PCI ID Repository (pci-ids.ucw.cz), vendor 10de; memory by NVIDIA's data sheets.
"""

from __future__ import annotations

PCI_MODELS: dict[str, tuple[str, int]] = {
    "20b7": ("NVIDIA A30", 24),
    "20b0": ("NVIDIA A100-SXM4-40GB", 40),
    "20b1": ("NVIDIA A100-PCIE-40GB", 40),
    "20f1": ("NVIDIA A100-PCIE-40GB", 40),
    "20b2": ("NVIDIA A100-SXM4-80GB", 80),
    "20b5": ("NVIDIA A100 80GB PCIe", 80),
    "2235": ("NVIDIA A40", 48),
    "2236": ("NVIDIA A10", 24),
    "27b8": ("NVIDIA L4", 24),
    "26b9": ("NVIDIA L40S", 48),
    "2330": ("NVIDIA H100 80GB HBM3", 80),
    "2331": ("NVIDIA H100 PCIe", 80),
    "2321": ("NVIDIA H100 NVL", 94),
    "2335": ("NVIDIA H200", 141),
    "233b": ("NVIDIA H200 NVL", 141),
    "1eb8": ("Tesla T4", 16),
}
"""Id to NVML's name and GiB."""
USABLE = 0.93
"""Of that memory NVML shows at least so much: the rest is ECC's and the driver's."""
