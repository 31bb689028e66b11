"""What playbooks/doctor.yml wrote of an inventory and its hosts."""

from __future__ import annotations

from typing import Any, Literal

from loadfleet_agent.contract.base import Frozen
from loadfleet_agent.contract.plan import RunPlan
from pydantic import BaseModel, ConfigDict, Field

from ..fleet.settings import FleetSettings

NO_TOKEN = "no token"
"""Of roles/hf_auth/tasks/look.yml."""


class Answer(BaseModel):
    """Of an Ansible task: what a reader does not know is not read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    msg: Any = Field(default="", description="of a task that failed; of others whatever they say")

    module_stderr: str = Field(default="", description="of a module that could not run")

    @property
    def text(self) -> str:
        """The message on one line, as our tasks and Ansible word it."""
        if self.module_stderr:
            last = self.module_stderr.strip().splitlines()[-1:]
            return f"no module of Ansible runs there: {' '.join(last)}"[:400]
        lines = self.msg if isinstance(self.msg, list) else str(self.msg).splitlines()
        return " ".join(" ".join(str(line) for line in lines).split())[:400]


class Finding(Answer):
    """One finding of a module of checks."""

    check: str
    severity: Literal["error", "warning"] = "error"
    cause: str
    remedy: str


class Findings(Answer):
    """The answer of a module of checks; ``passed`` is None where it could not run."""

    findings: tuple[Finding, ...] = ()
    passed: dict[str, str] | None = None
    facts: dict[str, Any] = {}


class Reach(Answer):
    """Of host_connection; without ``user`` the host was not reached."""

    unreachable: bool = False
    user: str | None = None
    kernel: str = ""
    sudo: str = ""
    clock_offset_s: float | None = None
    clock_error_s: float | None = None


class Agent(Answer):
    """Of agent_facts; without ``python`` the host is not fit for the agent."""

    python: str | None = None
    python_version: str = ""
    environments: tuple[str, ...] = ()


class Token(Answer):
    """Of hf_auth's tasks_from: look, which fails where there is none."""

    failed: bool = False

    @property
    def stored(self) -> bool | None:
        """Whether there is a token; None: its place could not be read."""
        if not self.failed:
            return True
        return False if self.msg == NO_TOKEN else None


class Proof(Answer):
    """Of the hub: "proved", "not asked", or None where it refused."""

    access: str | None = None


class HostPlan(Frozen):
    """A host's settings and plan."""

    fleet: FleetSettings
    plan: RunPlan


class HostAnswers(Answer):
    """Of one host; None: not asked."""

    connection: str
    key_file: str | None = None
    plan: HostPlan | None = Field(description="None: its settings are wrong")
    token: Token | None = None
    reach: Reach | None = None
    gpus: Findings | None = None
    system: Findings | None = None
    agent: Agent | None = None
    needs: Findings | None = None
    hub: Proof | None = None


class Contradictions(Answer):
    """Of check_inventory; ``hosts`` is None where it failed."""

    hosts: dict[str, tuple[str, ...]] | None = None


class Planned(Answer):
    """Of plan_run; without a run id the settings are wrong."""

    run_id: str | None = None
    continued: bool = False


class InventoryAnswers(Answer):
    """Of the inventory as a whole."""

    contradictions: Contradictions = Contradictions()
    plan: Planned = Planned()


class Answers(Answer):
    """The file."""

    forks: int
    inventory: InventoryAnswers
    hosts: dict[str, HostAnswers]
