"""agent_facts: what the controller must know of a host before it deploys the agent."""

from __future__ import annotations

import os
import pathlib
import platform
import shutil
import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule

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
    description: Python for the agent; Ansible's own on the host if not given.
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
"""

OLDEST = (3, 11)


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
    asked = module.params["python"] or os.path.realpath("/proc/self/exe")
    version, path = python_version(module, asked)
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
    )


if __name__ == "__main__":
    main()
