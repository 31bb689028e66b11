"""HostFacts: the hardware and software of a host, as far as it decides a result."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from .base import MOST_GPUS, Amount, Count, Document, Frozen, Line, Name, UtcTime

AtLeastOne = Annotated[Count, Field(ge=1)]
Version = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+!_-]{0,99}$")]
"""Of a Python package (PEP 440)."""


def capability_number(capability: str) -> tuple[int, ...]:
    """CUDA's compute capability as it is ordered: 8.0 is (8, 0)."""
    return tuple(int(part) for part in capability.split("."))


class GpuFacts(Frozen):
    """One GPU as NVML reports it; None where the driver does not say."""

    index: Count
    name: Line
    uuid: Line
    memory_mib: Count
    pci_bus_id: Line | None = None
    power_limit_w: Amount | None = None
    power_limit_default_w: Amount | None = None
    ecc_enabled: bool | None = None
    mig_enabled: bool | None = None
    persistence_mode: bool | None = None
    pcie_generation_max: Count | None = None
    pcie_width_max: Count | None = None
    sm_clock_max_mhz: Count | None = None
    compute_capability: str | None = Field(default=None, pattern=r"^[0-9]{1,3}\.[0-9]{1,3}$")


class HostFacts(Document):
    """host.json. Read at the start and at the end of a run; a change is reported."""

    taken_utc: UtcTime
    hostname: Line
    machine_id: Line = Field(description="/etc/machine-id; '' if there is none")
    boot_id: Line
    virtualization: Line = Field(description="systemd-detect-virt's word, or 'unknown'")
    operating_system: Line = Field(description="the host's, also in a container")
    kernel: Line
    architecture: Line
    cpu_model: Line
    cpu_sockets: AtLeastOne
    cpu_cores: AtLeastOne = Field(description="physical cores")
    cpu_threads: AtLeastOne = Field(description="logical processors this process may use")
    numa_nodes: AtLeastOne
    memory_mib: AtLeastOne
    nvidia_driver: Line | None
    cuda_driver: Line | None = Field(description="highest CUDA version that the driver supports")
    gpus: tuple[GpuFacts, ...] = Field(max_length=MOST_GPUS)
    container_image: Line | None = Field(
        default=None, description="image that the agent runs in, by id or digest; None: a venv"
    )
    python: Version
    packages: dict[Name, Version] = Field(
        max_length=100, description="versions of the packages that decide a result"
    )

    @model_validator(mode="after")
    def _tells_a_gpu_once(self) -> HostFacts:
        if len({gpu.index for gpu in self.gpus}) < len(self.gpus):
            raise ValueError("gpus: an index is told twice")
        return self

    @property
    def lasting(self) -> dict[str, object]:
        """The facts that must not change during a run."""
        return self.model_dump(mode="json", exclude={"taken_utc"})
