"""What init saw, chose and wrote."""

from __future__ import annotations

from typing import Any

from loadfleet_agent.contract.base import Document, Frozen, Name
from pydantic import Field


class SeenGpu(Frozen):
    """A GPU by its driver, or by its id on the PCI bus where no driver works."""

    name: str
    memory_mib: int | None = Field(description="None: not known of that id")
    compute_capability: str | None = None
    by_driver: bool

    def __str__(self) -> str:
        memory = f", {self.memory_mib / 1024:.0f} GiB" if self.memory_mib else ""
        return f"{self.name}{memory}"


class SeenHost(Frozen):
    """A host as it was scanned."""

    name: Name
    scanned: bool = Field(description="False: it was not to be")
    reached: bool
    reason: str = Field(default="", description="why it was not reached, or what is odd about it")
    system: str = ""
    driver: str | None = None
    docker: bool = False
    gpus: tuple[SeenGpu, ...] = ()

    @property
    def kind(self) -> str:
        """Names of its GPUs; '' if none was seen."""
        return " and ".join(sorted({gpu.name for gpu in self.gpus}))


class Choice(Frozen):
    """A profile, with why."""

    profile: str
    engine: dict[str, Any] = Field(default={}, description="settings that replace the profile's")
    reason: str
    faster: str = Field(default="", description="what would be faster, and what it needs")
    unmet: str = Field(default="", description="why the GPUs cannot run it; '' if they can")


class HostGroup(Frozen):
    """Hosts with GPUs of one kind."""

    name: Name
    kind: str
    hosts: tuple[Name, ...]
    choice: Choice


class InitReport(Document):
    """The answer of ``loadfleet init --json``."""

    files: tuple[str, ...] = Field(description="that were written")
    kept: tuple[str, ...] = Field(description="copies of what was there before")
    hosts: tuple[SeenHost, ...]
    groups: tuple[HostGroup, ...]
    runtime: str
    runtime_reason: str
    next_steps: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """1 where a host was not reached, or cannot run what was chosen."""
        odd = any(host.reason for host in self.hosts)
        return 1 if odd or any(group.choice.unmet for group in self.groups) else 0
