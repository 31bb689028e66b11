"""run_preflight: reads what a run needs on a host beside its GPUs."""

from __future__ import annotations

import glob
import json
import pathlib
import re
import shutil
import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.findings import Findings

DOCUMENTATION = r"""
module: run_preflight
short_description: Read what stands against a run, beside the GPUs
description:
  - Changes nothing, and never fails for what it finds. An action plugin of the same name adds what
    the host's plan needs.
options:
  docker: {description: Whether the run is in a container, type: bool, default: false}
  gpus: {description: Whether that container gets GPUs by CDI, type: bool, default: true}
  files:
    description: Files that must be there, one entry a purpose.
    type: list
    elements: dict
    default: []
    suboptions:
      check: {description: Name of the check, type: str, required: true}
      what: {description: What it is, type: str, required: true}
      any: {description: 'Paths (globs), one will do', type: list, elements: str, required: true}
      remedy: {description: What brings it, type: str, required: true}
author:
  - loadfleet developers (@loadfleet)
"""

EXAMPLES = r"""
- name: Look for what a run needs
  run_preflight:
    docker: true
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
  description: What was read.
  type: dict
  returned: always
"""

OLDEST_DOCKER = 25
"""The first that knows CDI."""
SPECS = ("/etc/cdi/nvidia.y*ml", "/var/run/cdi/nvidia.y*ml", "/etc/cdi/nvidia.json")
UNIT = pathlib.Path("/etc/systemd/system/loadfleet-agent@.service")
PROVISION = "run playbooks/provision.yml"


def output(*command: str) -> tuple[int, str, str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout.strip(), " ".join(done.stderr.split())[-200:]


class RunPreflight:
    """The checks, by their names."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params
        self.findings = Findings()
        self.docker_answers = False

    def docker(self) -> None:
        if not self.params["docker"]:
            return
        if not shutil.which("docker"):
            self.findings.error(
                "docker",
                "docker is not installed",
                f"{PROVISION}, or set loadfleet_runtime: venv",
            )
            return
        code, text, error = output("docker", "info", "--format", "{{json .}}")
        info = json.loads(text) if code == 0 and text.startswith("{") else {}
        version = str(info.get("ServerVersion", ""))
        if not version:
            self.findings.error(
                "docker",
                "docker does not answer: {}".format(
                    error or " ".join(info.get("ServerErrors") or [])[:200] or "no message"
                ),
                "look into journalctl -u docker",
            )
            return
        self.docker_answers = True
        major = re.match(r"\d+", version)
        if self.params["gpus"] and (not major or int(major.group()) < OLDEST_DOCKER):
            self.findings.error(
                "docker",
                f"Docker {version} does not know CDI, {OLDEST_DOCKER} or newer does",
                f"{PROVISION} with docker_source: docker",
            )
        self.findings.well("docker", f"Docker {version}")

    def toolkit(self) -> None:
        if not self.docker_answers or not self.params["gpus"]:
            return
        if not shutil.which("nvidia-ctk"):
            self.findings.error("toolkit", "NVIDIA's container toolkit is not installed", PROVISION)
        elif not any(glob.glob(pattern) for pattern in SPECS):  # noqa: PTH207 - absolute patterns
            self.findings.error(
                "toolkit",
                "no CDI specification names the GPUs to Docker",
                f"start nvidia-cdi-refresh.service, or {PROVISION}",
            )
        self.findings.well("toolkit", "the GPUs are named to Docker by CDI")

    def image(self) -> None:
        if not self.docker_answers:
            return
        try:
            found = re.search(r"sha256:[0-9a-f]{64}", UNIT.read_text(encoding="utf-8"))
        except OSError:
            found = None
        if found is None:
            self.findings.warning(
                "image",
                "the agent's image is not here yet",
                "the next command brings it (10 GB): provision.yml or run_benchmark.yml",
            )
        elif output("docker", "image", "inspect", "--format", "{{.Id}}", found.group())[0] != 0:
            self.findings.error(
                "image",
                f"the agent's image {found.group()[:19]} is gone from Docker",
                "run playbooks/provision.yml --tags agent",
            )
        else:
            self.findings.well("image", f"image {found.group()[:19]} of the agent's unit")

    def files(self) -> None:
        for entry in self.params["files"]:
            there = next((path for item in entry["any"] for path in glob.glob(item)), None)  # noqa: PTH207 - absolute patterns
            if there is None:
                self.findings.error(
                    entry["check"], "{what} is not here".format(**entry), entry["remedy"]
                )
            else:
                self.findings.well(entry["check"], "{}: {}".format(entry["what"], there))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "docker": {"type": "bool", "default": False},
            "gpus": {"type": "bool", "default": True},
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "check": {"type": "str", "required": True},
                    "what": {"type": "str", "required": True},
                    "any": {"type": "list", "elements": "str", "required": True},
                    "remedy": {"type": "str", "required": True},
                },
            },
        },
        supports_check_mode=True,
    )
    checks = RunPreflight(module.params)
    checks.findings.run(
        [
            ("docker", checks.docker),
            ("toolkit", checks.toolkit),
            ("image", checks.image),
            ("model", checks.files),
        ]
    )
    module.exit_json(changed=False, **checks.findings.result)


if __name__ == "__main__":
    main()
