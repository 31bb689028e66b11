"""gpu_preflight: reads the driver and the state of the GPUs, and what stands against a run."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.findings import Findings
from ansible.module_utils.nvidia_smi import ABSENT, SmiError, query
from ansible.module_utils.pci_bus import nvidia_gpus

DOCUMENTATION = r"""
module: gpu_preflight
short_description: Read what stands against a run on a host's GPUs
description:
  - Asks nvidia-smi and the PCI bus; needs no root. Changes nothing, and never fails for what it
    finds.
options:
  branch: {description: Oldest branch of the driver that will do, type: int, default: 580}
  mig: {description: Whether MIG shall be on, type: bool, default: false}
  ecc: {description: Whether ECC shall be on where a GPU has it, type: bool, default: true}
  power_limit_w: {description: Watts that are wanted; the board's default if not given, type: float}
author:
  - loadfleet developers (@loadfleet)
"""

EXAMPLES = r"""
- name: Look at the GPUs
  gpu_preflight:
    branch: 580
"""

RETURN = r"""
findings:
  description: What stands against a run, each with check, severity, cause and remedy.
  type: list
  elements: dict
  returned: always
passed:
  description: Check to what was found, of those that found nothing against it.
  type: dict
  returned: always
facts:
  description: bus (GPUs on the PCI bus) and gpus (by nvidia-smi's names).
  type: dict
  returned: always
"""

FIELDS = (
    "index", "uuid", "name", "driver_version", "memory.total", "compute_cap", "persistence_mode",
    "mig.mode.current", "mig.mode.pending", "ecc.mode.current", "ecc.mode.pending",
    "ecc.errors.uncorrected.volatile.total", "power.limit", "power.default_limit",
    "temperature.gpu", "utilization.gpu", "pcie.link.gen.max", "pcie.link.width.max",
)  # fmt: skip
REASONS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")
"""Names of one field: of drivers from 535 on, and of older ones."""
ROW_FIELDS = ("gpu_uuid", "remapped_rows.pending", "remapped_rows.failure")
SLOWED = (
    (0x80, "power brake", "the chassis asks for less power: look at its power supplies"),
    (0x40, "heat", "look at fans, air flow and the inlet temperature"),
    (0x20, "heat", "look at fans, air flow and the inlet temperature"),
    (0x08, "heat or power", "look at fans, power supply and the management controller"),
)
"""NVML's nvmlClocksEventReason bits that slow a GPU down, the plainest first."""
WARM_C = 70
"""An idle GPU that is as hot as this has no reserve for work: a passive card without air flow."""
BUSY_PERCENT = 5
LANES = 16
NEAR_W = 0.5

Gpu = dict[str, str]


class GpuPreflight:
    """The checks, by their names. Those of a GPU's state have nothing to say without a driver."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params
        self.findings = Findings()
        self.bus = self.findings.facts["bus"] = nvidia_gpus()
        self.gpus: list[Gpu] = []

    def driver(self) -> None:
        try:
            self.gpus = query("gpu", FIELDS)
        except SmiError as error:
            if self.bus:  # that there is no GPU at all is host_preflight's to say
                self.findings.error(
                    "driver",
                    f"no NVIDIA driver works: {error}",
                    "run playbooks/provision.yml; dmesg has lines with NVRM that tell more",
                )
            return
        self.findings.facts["gpus"] = self.gpus
        versions = sorted({gpu["driver_version"] for gpu in self.gpus})
        for version in versions:
            branch = version.split(".")[0]
            if not branch.isdigit() or int(branch) < self.params["branch"]:
                self.findings.error(
                    "driver",
                    f"driver {version} is too old for the build of vLLM",
                    f"install branch {self.params['branch']} or newer: playbooks/provision.yml",
                )
        if versions:
            self.findings.well("driver", "driver " + ", ".join(versions))

    def count(self) -> None:
        seen = len(self.gpus)
        if "gpus" in self.findings.facts and seen < len(self.bus):
            self.findings.error(
                "gpus",
                f"the driver sees {seen} of the {len(self.bus)} GPUs on the PCI bus",
                "look into dmesg for lines with NVRM or Xid; nvidia_driver_open_modules must fit "
                "the GPU",
            )
        kinds: dict[str, int] = {}
        for gpu in self.gpus:
            name = "{} ({:.0f} GiB)".format(gpu["name"], float(gpu["memory.total"]) / 1024)
            kinds[name] = kinds.get(name, 0) + 1
        if kinds:
            self.findings.well("gpus", ", ".join(f"{n} x {name}" for name, n in kinds.items()))

    def mig(self) -> None:
        self._mode("mig", self.params["mig"], "a part of a GPU is slower than the whole")

    def ecc(self) -> None:
        self._mode("ecc", self.params["ecc"], "memory size and speed differ by it")
        for gpu in self.gpus:
            errors = gpu["ecc.errors.uncorrected.volatile.total"]
            if errors not in ABSENT and int(errors) > 0:
                self.findings.error(
                    "ecc",
                    f"{named(gpu)} has {errors} uncorrected memory errors since its driver loaded",
                    "drain the host and reset the GPU; nvidia-smi -q -d ECC,ROW_REMAPPER",
                )
        for row in self._rows():
            if row["remapped_rows.failure"] not in (*ABSENT, "0", "No"):
                self._row_finding(row, "could not be remapped", "replace the GPU")
            elif row["remapped_rows.pending"] not in (*ABSENT, "0", "No"):
                self._row_finding(row, "wait to be remapped", "reset the GPU or reboot the host")

    def power(self) -> None:
        wanted_w = self.params["power_limit_w"]
        for gpu in self.gpus:
            limit, default = gpu["power.limit"], gpu["power.default_limit"]
            if limit in ABSENT or (default in ABSENT and wanted_w is None):
                continue
            target_w = float(default) if wanted_w is None else wanted_w
            if abs(float(limit) - target_w) > NEAR_W:
                self.findings.warning(
                    "power",
                    f"{named(gpu)} is capped at {float(limit):g} W, wanted is {target_w:g} W",
                    "run role gpu_settings (provision.yml --tags gpu_settings), or nvidia-smi -pl "
                    f"{target_w:g}",
                )
        limits = sorted({gpu["power.limit"] for gpu in self.gpus})
        self._well("power", ", ".join(f"{limit} W" for limit in limits if limit not in ABSENT))

    def persistence(self) -> None:
        off = [named(gpu) for gpu in self.gpus if gpu["persistence_mode"] == "Disabled"]
        if off:
            self.findings.warning(
                "persistence",
                "{} let go of the driver when idle".format(", ".join(off)),
                "start nvidia-persistenced (role nvidia_driver does)",
            )
        self._well("persistence", "persistence mode is on")

    def throttling(self) -> None:
        reasons = self._reasons()
        for gpu in self.gpus:
            mask = reasons.get(gpu["uuid"], 0)
            cause = next((item for item in SLOWED if mask & item[0]), None)
            if cause is not None:
                self.findings.warning(
                    "throttling", f"{named(gpu)} is slowed down now by {cause[1]}", cause[2]
                )
            idle = gpu["utilization.gpu"] in ABSENT or int(gpu["utilization.gpu"]) <= BUSY_PERCENT
            temperature = gpu["temperature.gpu"]
            if idle and temperature not in ABSENT and int(temperature) >= WARM_C:
                self.findings.warning(
                    "throttling",
                    f"{named(gpu)} is {temperature} degrees Celsius hot without work",
                    "look at fans, air flow and the inlet temperature",
                )
        hottest = max((gpu["temperature.gpu"] for gpu in self.gpus), default="")
        self._well("throttling", f"no GPU is slowed down; {hottest} degrees Celsius at the most")

    def pcie(self) -> None:
        for gpu in self.gpus:
            width = gpu["pcie.link.width.max"]
            if width not in ABSENT and int(width) < LANES:
                self.findings.warning(
                    "pcie",
                    f"{named(gpu)} has {width} PCIe lanes of {LANES}",
                    "reseat the GPU, look at the slot and the riser",
                )
        links = sorted(
            {"gen {} x{}".format(gpu["pcie.link.gen.max"], gpu["pcie.link.width.max"])
             for gpu in self.gpus}
        )  # fmt: skip
        self._well("pcie", ", ".join(links))

    def _well(self, check: str, text: str) -> None:
        if self.gpus:
            self.findings.well(check, text)

    def _mode(self, name: str, on: bool, why: str) -> None:
        wanted = "Enabled" if on else "Disabled"
        for gpu in self.gpus:
            now, pending = gpu[name + ".mode.current"], gpu[name + ".mode.pending"]
            if now in ABSENT:
                continue
            if pending not in (now, *ABSENT):
                self.findings.error(
                    name,
                    f"{named(gpu)}: {name.upper()} is {now.lower()}, {pending.lower()} from the "
                    "next boot on",
                    "reboot the host",
                )
            elif now != wanted:
                self.findings.error(
                    name,
                    f"{named(gpu)}: {name.upper()} is {now.lower()}: {why}",
                    "run role gpu_settings (provision.yml --tags gpu_settings), or set "
                    f"gpu_settings_{name}",
                )
        self._well(name, f"{name.upper()} {wanted.lower()} where there is any")

    def _reasons(self) -> dict[str, int]:
        for name in REASONS:
            try:
                rows = query("gpu", ("uuid", name))
            except SmiError:
                continue
            return {
                row["uuid"]: int(row[name], 16) for row in rows if row[name].startswith("0x")
            }  # fmt: skip
        return {}

    def _rows(self) -> list[Gpu]:
        try:
            return query("remapped-rows", ROW_FIELDS) if self.gpus else []
        except SmiError:
            return []  # GPUs before Ampere have none

    def _row_finding(self, row: Gpu, what: str, remedy: str) -> None:
        gpu = next((item for item in self.gpus if item["uuid"] == row["gpu_uuid"]), None)
        name = named(gpu) if gpu else row["gpu_uuid"]
        self.findings.error("ecc", f"rows of the memory of {name} {what}", remedy)


def named(gpu: Gpu) -> str:
    return "GPU {}".format(gpu["index"])


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "branch": {"type": "int", "default": 580},
            "mig": {"type": "bool", "default": False},
            "ecc": {"type": "bool", "default": True},
            "power_limit_w": {"type": "float"},
        },
        supports_check_mode=True,
    )
    checks = GpuPreflight(module.params)
    checks.findings.run(
        [
            ("driver", checks.driver),
            ("gpus", checks.count),
            ("mig", checks.mig),
            ("ecc", checks.ecc),
            ("power", checks.power),
            ("persistence", checks.persistence),
            ("throttling", checks.throttling),
            ("pcie", checks.pcie),
        ]
    )
    module.exit_json(changed=False, **checks.findings.result)


if __name__ == "__main__":
    main()
