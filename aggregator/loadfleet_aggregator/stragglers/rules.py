"""The rules as data: which fact of a host, beyond which limit, is a cause of slowness."""

from __future__ import annotations

from typing import Literal

from loadfleet_agent.contract.base import Frozen
from pydantic import Field

from .clock import TOLERANCE_S

Test = Literal["above", "below", "below median by", "differs"]


class Rule(Frozen):
    """One rule; a host breaks it or not, whatever its speed is."""

    fact: str = Field(description="name in the evidence")
    test: Test = Field(
        description="above, below: of the limit. below median by: that share of the group's "
        "median. differs: not what nearly all hosts of the group have"
    )
    limit: float = Field(default=0.0, description="unused by differs")
    cause: str = Field(description="what it is called")
    hint: str = Field(description="what to do about it")

    @property
    def is_fault(self) -> bool:
        """Wrong by itself; the others are only odd beside the other hosts."""
        return self.test in ("above", "below")


RULES = (
    Rule(fact="thermal slowdown share", test="above", limit=0.02, cause="thermal throttling",
         hint="look at fans, air flow and the inlet temperature"),
    Rule(fact="power brake share", test="above", limit=0.0, cause="power brake",
         hint="the chassis asks for less power: look at its power supplies"),
    Rule(fact="hardware slowdown share", test="above", limit=0.02, cause="hardware slowdown",
         hint="heat or power supply: look at the host's management controller"),
    Rule(fact="application clocks share", test="above", limit=0.02, cause="clocks set lower",
         hint="nvidia-smi --reset-gpu-clocks and --reset-applications-clocks"),
    Rule(fact="power limit share", test="below", limit=0.995, cause="power cap",
         hint="nvidia-smi --power-limit with the GPU's default"),
    Rule(fact="power limit W", test="differs", cause="power cap",
         hint="nvidia-smi --power-limit with the value of the other hosts"),
    Rule(fact="SM clock MHz", test="below median by", limit=0.03, cause="low clocks",
         hint="compare the power limit, the temperature and the clock settings"),
    Rule(fact="PCIe lanes share", test="below", limit=0.99, cause="PCIe link narrowed",
         hint="reseat the GPU, look at the slot and the riser"),
    Rule(fact="PCIe lanes, most", test="differs", cause="PCIe link narrowed",
         hint="put the GPU into a slot with as many lanes as on the other hosts"),
    Rule(fact="PCIe generation share", test="below", limit=0.99, cause="PCIe link slowed",
         hint="look at the slot's setting in the firmware, and at PCIe replays"),
    Rule(fact="PCIe generation, highest", test="differs", cause="PCIe link slowed",
         hint="look at the slot's setting in the firmware"),
    Rule(fact="ECC errors, uncorrected", test="above", limit=0.0, cause="ECC errors",
         hint="drain the host; nvidia-smi -q -d ECC,ROW_REMAPPER"),
    Rule(fact="ECC errors, corrected", test="above", limit=100.0, cause="ECC errors",
         hint="nvidia-smi -q -d ECC,ROW_REMAPPER; plan to replace the GPU"),
    Rule(fact="ECC", test="differs", cause="ECC setting",
         hint="nvidia-smi --ecc-config as on the other hosts, and reboot"),
    Rule(fact="MIG", test="differs", cause="MIG mode", hint="nvidia-smi --multi-instance-gpu 0"),
    Rule(fact="GPU memory in use before MiB", test="above", limit=2048.0,
         cause="another process on the GPU", hint="nvidia-smi tells which; end it"),
    Rule(fact="driver", test="differs", cause="driver version",
         hint="install the driver of the other hosts"),
    Rule(fact="GPU", test="differs", cause="another GPU", hint="compare hosts of one kind only"),
    Rule(fact="GPUs in use", test="differs", cause="number of GPUs",
         hint="see why a GPU is missing: nvidia-smi, dmesg"),
    Rule(fact="NUMA nodes", test="differs", cause="NUMA setting",
         hint="set the NUMA mode of the firmware as on the other hosts"),
    Rule(fact="CPU", test="differs", cause="another processor",
         hint="compare hosts of one kind only"),
    Rule(fact="kernel", test="differs", cause="kernel version",
         hint="install the kernel of the other hosts"),
    Rule(fact="clock off s", test="above", limit=TOLERANCE_S, cause="clock",
         hint="set the clock (timedatectl, chronyc makestep): its phases lie outside the run"),
    Rule(fact="package vllm", test="differs", cause="vLLM version",
         hint="install the agent anew from one wheelhouse"),
)  # fmt: skip
