"""agent_facts: what the controller must know of a host before it deploys the agent."""

from __future__ import annotations

import os
import pathlib
import platform
import shutil
import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.run_lock import run_in_progress

DOCUMENTATION = r"""
module: agent_facts
short_description: Read what decides how the agent is deployed on a host
description:
  - Python of the agent, architecture, C library, free space, and the environments that are
    there. Changes nothing.
options:
  home:
    description: The agent's data folder.
    type: path
    required: true
  python:
    description: Python for the agent; if not given, Ansible's own on the host or a newer one there.
    type: str
  free_gib:
    description: Free space that the disk of I(home) must have if the agent is not there yet.
    type: float
    default: 6
author:
  - loadfleet developers (@loadfleet)
"""

EXAMPLES = r"""
- name: Look at the host
  agent_facts:
    home: /var/lib/loadfleet
"""

RETURN = r"""
python:
  description: Path of the agent's Python.
  type: str
  returned: always
python_version:
  description: Its version, as 3.11.
  type: str
  returned: always
environments:
  description: Keys of the agent environments that are installed.
  type: list
  elements: str
  returned: always
run:
  description: Who runs a benchmark there now, with run_id and since; none if nobody does.
  type: dict
  returned: always
"""

OLDEST = (3, 11)
OTHERS = ("python3.12", "python3.11", "python3.13")
"""Where Ansible's Python is too old, as on Ubuntu 22.04; in the order of our liking."""


def python_version(module: Any, path: str) -> tuple[tuple[int, int], str]:
    """(major, minor) of an interpreter, and its real path."""
    code = "import sys; print(sys.version_info[0], sys.version_info[1], sys.executable)"
    try:
        text = subprocess.run(
            [path, "-c", code], capture_output=True, text=True, timeout=30, check=True
        ).stdout.split(None, 2)
    except (OSError, subprocess.SubprocessError) as error:
        module.fail_json(msg=f"{path} cannot be run as Python: {error}")
    return (int(text[0]), int(text[1])), text[2].strip()


def find_python(module: Any) -> str:
    asked: str | None = module.params["python"]
    if asked:
        return asked
    own = os.path.realpath("/proc/self/exe")
    if python_version(module, own)[0] >= OLDEST:
        return own
    return next((path for name in OTHERS if (path := shutil.which(name))), own)


def existing_parent(path: pathlib.Path) -> pathlib.Path:
    while not path.exists():
        path = path.parent
    return path


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "home": {"type": "path", "required": True},
            "python": {"type": "str"},
            "free_gib": {"type": "float", "default": 6.0},
        },
        supports_check_mode=True,
    )
    home = pathlib.Path(module.params["home"])
    version, path = python_version(module, find_python(module))
    if version < OLDEST:
        module.fail_json(
            msg="the agent needs Python 3.11 or newer, {} is {}.{}: install one and name it in "
            "loadfleet_python".format(path, *version)
        )
    if platform.machine() != "x86_64":
        module.fail_json(
            msg=f"the agent's wheels are for x86_64, this host is {platform.machine()}"
        )
    environments = sorted(
        marker.parent.name for marker in home.glob("environments/*/.complete") if marker.is_file()
    )
    free = shutil.disk_usage(existing_parent(home)).free / (1 << 30)
    if not environments and free < module.params["free_gib"]:
        module.fail_json(
            msg="{:.1f} GiB free at {}, {:g} are needed for the agent: free some or set "
            "loadfleet_home to another disk".format(free, home, module.params["free_gib"])
        )
    module.exit_json(
        changed=False,
        python=path,
        python_version="{}.{}".format(*version),
        free_gib=round(free, 1),
        environments=environments,
        run=run_in_progress(str(home)),
    )


if __name__ == "__main__":
    main()
