"""nvidia_driver_facts: which NVIDIA driver is installed, and which one the kernel really runs."""

from __future__ import annotations

import pathlib
import platform
import re
import shutil
import subprocess

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.secure_boot import secure_boot

DOCUMENTATION = r"""
module: nvidia_driver_facts
short_description: Read the installed and the loaded NVIDIA driver
description:
  - Changes nothing. The two differ between an upgrade and the next reboot.
options:
  package:
    description: Package whose version is the installed driver's.
    type: str
    default: ''
author:
  - loadfleet developers (@loadfleet)
"""

EXAMPLES = r"""
- name: Look at the driver
  nvidia_driver_facts:
    package: nvidia-driver-cuda
"""

RETURN = r"""
installed: {description: Version of the package as 580.105.08 or '', type: str, returned: always}
loaded: {description: Version of the loaded driver or '', type: str, returned: always}
problem: {description: What nvidia-smi says if it fails, type: str, returned: always}
nouveau: {description: Whether nouveau is loaded, type: bool, returned: always}
secure_boot: {description: Whether secure boot is on, type: bool, returned: always}
kernel_flavour: {description: generic or aws or so on Ubuntu, type: str, returned: always}
packages: {description: Installed packages of it, type: list, elements: str, returned: always}
"""

DRIVER_PACKAGES = re.compile(
    r"^(nvidia-(driver|dkms|kernel|utils|headless|compute|persistenced|firmware|modprobe|open)"
    r"|libnvidia-(?!container)|linux-(modules|objects|signatures)-nvidia|cuda-drivers|xserver-xorg-video-nvidia)"
)
"""Names of the packages of a driver, of NVIDIA's own packaging and of Ubuntu's."""


def output(*command: str) -> tuple[int, str]:
    if not shutil.which(command[0]):
        return 127, f"{command[0]} is not installed"
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, (done.stdout + done.stderr).strip()


def loaded_version() -> tuple[str, str]:
    """Version that the kernel runs, and what is wrong if there is none."""
    code, text = output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    if code != 0:
        return "", " ".join(text.split())[:200]
    return text.splitlines()[0].strip() if text else "", ""


def upstream(version: str) -> str:
    """580.105.08 of 580.105.08-1ubuntu1, or of 1:580.105.08-1."""
    match = re.match(r"(?:\d+:)?(\d+(?:\.\d+)+)", version)
    return match.group(1) if match else ""


def package_version(name: str) -> str:
    code, text = output("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", name)
    status, _, version = text.partition(" ")
    return upstream(version) if code == 0 and status == "installed" else ""


def driver_packages() -> list[str]:
    _, text = output("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\n")
    names = [line.split(" ", 1)[1] for line in text.splitlines() if line.startswith("installed ")]
    return sorted({name for name in names if DRIVER_PACKAGES.match(name)})


def main() -> None:
    module = AnsibleModule(
        argument_spec={"package": {"type": "str", "default": ""}}, supports_check_mode=True
    )
    loaded, problem = loaded_version()
    package = module.params["package"]
    module.exit_json(
        changed=False,
        installed=package_version(package) if package else "",
        loaded=loaded,
        problem=problem,
        nouveau=pathlib.Path("/sys/module/nouveau").is_dir(),
        secure_boot=secure_boot(),
        # 6.8.0-31-generic on Ubuntu; other systems name their kernels otherwise.
        kernel_flavour=re.sub(r"^\d+(\.\d+)*-\d+-", "", platform.release()),
        packages=driver_packages(),
    )


if __name__ == "__main__":
    main()
