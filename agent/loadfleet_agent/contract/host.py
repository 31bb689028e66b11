"""HostFacts: the hardware and software of a host, as far as it decides a result."""

from __future__ import annotations

from pydantic import Field

from .base import Document, Frozen, UtcTime


def capability_number(capability: str) -> tuple[int, ...]:
    """CUDA's compute capability as it is ordered: 8.0 is (8, 0)."""
    return tuple(int(part) for part in capability.split("."))


class GpuFacts(Frozen):
    """One GPU as NVML reports it; None where the driver does not say."""

    index: int = Field(ge=0)
    name: str
    uuid: str
    memory_mib: int
    pci_bus_id: str | None = None
    power_limit_w: float | None = None
    power_limit_default_w: float | None = None
    ecc_enabled: bool | None = None
    mig_enabled: bool | None = None
    persistence_mode: bool | None = None
    pcie_generation_max: int | None = None
    pcie_width_max: int | None = None
    sm_clock_max_mhz: int | None = None
    compute_capability: str | None = None


class HostFacts(Document):
    """host.json. Read at the start and at the end of a run; a change is reported."""

    taken_utc: UtcTime
    hostname: str
    machine_id: str = Field(description="/etc/machine-id; '' if there is none")
    boot_id: str
    virtualization: str = Field(description="systemd-detect-virt's word, or 'unknown'")
    operating_system: str = Field(description="the host's, also in a container")
    kernel: str
    architecture: str
    cpu_model: str
    cpu_sockets: int = Field(ge=1)
    cpu_cores: int = Field(ge=1, description="physical cores")
    cpu_threads: int = Field(ge=1, description="logical processors this process may use")
    numa_nodes: int = Field(ge=1)
    memory_mib: int = Field(ge=1)
    nvidia_driver: str | None
    cuda_driver: str | None = Field(description="highest CUDA version that the driver supports")
    gpus: tuple[GpuFacts, ...]
    container_image: str | None = Field(
        default=None, description="image that the agent runs in, by id or digest; None: a venv"
    )
    python: str
    packages: dict[str, str] = Field(description="versions of the packages that decide a result")

    @property
    def lasting(self) -> dict[str, object]:
        """The facts that must not change during a run."""
        return self.model_dump(mode="json", exclude={"taken_utc"})
