"""gpu_settings: puts the GPUs of a host into a known state, and says what they are."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: gpu_settings
short_description: Set MIG, ECC, power limit and clocks of a host's NVIDIA GPUs
description:
  - MIG and ECC take effect at the next reboot; I(reboot_required) says so. The power limit and
    the clocks take effect at once and end with a reboot.
options:
  mig: {description: Whether MIG shall be on, type: bool, default: false}
  ecc: {description: Whether ECC shall be on where a GPU has it, type: bool, default: true}
  power_limit_w: {description: Watts; the board's default if not given, type: float}
  lock_clocks_mhz: {description: Lowest and highest SM clock, type: list, elements: int}
  clocks_were_locked: {description: Whether we locked them before, type: bool, default: false}
author:
  - loadfleet developers (@loadfleet)
"""

EXAMPLES = r"""
- name: Set the GPUs
  gpu_settings:
    ecc: true
"""

RETURN = r"""
gpus: {description: Each GPU by nvidia-smi's names, type: list, elements: dict, returned: always}
did: {description: What was set, type: list, elements: str, returned: always}
reboot_required: {description: Whether a change waits for a reboot, type: bool, returned: always}
"""

FIELDS = (
    "index", "uuid", "name", "driver_version", "memory.total",
    "mig.mode.current", "mig.mode.pending", "ecc.mode.current", "ecc.mode.pending",
    "power.limit", "power.default_limit", "power.min_limit", "power.max_limit",
    "pcie.link.gen.max", "pcie.link.gen.current", "pcie.link.width.max", "pcie.link.width.current",
    "persistence_mode", "clocks.max.sm",
)  # fmt: skip
ABSENT = ("[N/A]", "N/A", "[Not Supported]")
NEAR_W = 0.5


class Gpus:
    """The GPUs as nvidia-smi shows and sets them."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.did: list[str] = []

    def run(self, *arguments: str) -> str:
        tool = shutil.which("nvidia-smi")
        if not tool:
            self.module.fail_json(
                msg="nvidia-smi is not installed: install the driver first (role nvidia_driver)"
            )
        done = subprocess.run(
            [str(tool), *arguments], capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode != 0:
            text = " ".join((done.stdout + done.stderr).split())[-300:]
            self.module.fail_json(msg=f"nvidia-smi {' '.join(arguments)[:80]} failed: {text}")
        return done.stdout

    def read(self) -> list[dict[str, str]]:
        text = self.run("--query-gpu=" + ",".join(FIELDS), "--format=csv,noheader,nounits")
        rows = csv.reader(io.StringIO(text), skipinitialspace=True)
        return [dict(zip(FIELDS, (value.strip() for value in row))) for row in rows if row]  # noqa: B905

    def set(self, gpu: dict[str, str], what: str, *arguments: str) -> None:
        self.did.append("GPU {}: {}".format(gpu["index"], what))
        if not self.module.check_mode:
            self.run("-i", gpu["uuid"], *arguments)

    def settle(self, gpu: dict[str, str]) -> None:
        wanted = self.module.params
        for name, flag, on in (("mig", "-mig", wanted["mig"]), ("ecc", "-e", wanted["ecc"])):
            pending = gpu[name + ".mode.pending"]
            if pending not in ABSENT and pending != ("Enabled" if on else "Disabled"):
                self.set(gpu, f"{name.upper()} {'on' if on else 'off'}", flag, "1" if on else "0")
        self._power(gpu, wanted["power_limit_w"])
        if wanted["lock_clocks_mhz"]:
            low, high = wanted["lock_clocks_mhz"]
            if not wanted["clocks_were_locked"]:
                self.set(gpu, f"clocks {low} to {high} MHz", "-lgc", f"{low},{high}")
        elif wanted["clocks_were_locked"]:
            self.set(gpu, "clocks free", "-rgc")

    def _power(self, gpu: dict[str, str], wanted_w: float | None) -> None:
        if gpu["power.limit"] in ABSENT or gpu["power.default_limit"] in ABSENT:
            return
        limit_w = float(gpu["power.default_limit"]) if wanted_w is None else wanted_w
        low_w, high_w = float(gpu["power.min_limit"]), float(gpu["power.max_limit"])
        if not low_w <= limit_w <= high_w:
            self.module.fail_json(
                msg="gpu_settings_power_limit_w: {:g} W is outside of what GPU {} ({}) allows, "
                "{:g} to {:g} W: set one between, or none for its default".format(
                    limit_w, gpu["index"], gpu["name"], low_w, high_w
                )
            )
        if abs(float(gpu["power.limit"]) - limit_w) > NEAR_W:
            self.set(gpu, f"power limit {limit_w:g} W", "-pl", f"{limit_w:g}")


def waits_for_reboot(gpu: dict[str, str]) -> bool:
    return any(
        gpu[name + ".mode.current"] != gpu[name + ".mode.pending"]
        for name in ("mig", "ecc")
        if gpu[name + ".mode.pending"] not in ABSENT
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "mig": {"type": "bool", "default": False},
            "ecc": {"type": "bool", "default": True},
            "power_limit_w": {"type": "float"},
            "lock_clocks_mhz": {"type": "list", "elements": "int"},
            "clocks_were_locked": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    gpus = Gpus(module)
    found = gpus.read()
    if not found:
        module.fail_json(msg="nvidia-smi shows no GPU: look into dmesg for lines with NVRM")
    for gpu in found:
        gpus.settle(gpu)
    if gpus.did and not module.check_mode:
        found = gpus.read()
    module.exit_json(
        changed=bool(gpus.did),
        did=gpus.did,
        gpus=found,
        reboot_required=any(waits_for_reboot(gpu) for gpu in found),
    )


if __name__ == "__main__":
    main()
