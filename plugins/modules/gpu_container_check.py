"""gpu_container_check: runs a container that must see the GPUs of the host."""

from __future__ import annotations

import io
import pathlib
import re
import shutil
import subprocess
import tarfile
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: gpu_container_check
short_description: Run a container that must see the GPUs of the host by CDI
description:
  - Without an image one is made of the host's own C library, so that no registry is needed; the
    toolkit brings nvidia-smi and NVML into it. It is kept, and small.
options:
  image:
    description: Image with a C library; made if not given.
    type: str
    default: ''
  device:
    description: CDI name of the devices.
    type: str
    default: nvidia.com/gpu=all
author:
  - loadfleet developers (@loadfleet)
"""

EXAMPLES = r"""
- name: A container sees the GPUs
  gpu_container_check:
"""

RETURN = r"""
gpus:
  description: The GPUs as the container sees them.
  type: list
  elements: str
  returned: always
"""

OWN_IMAGE = "loadfleet/gpu-check:host"
MINUTES_S = 300


def run(*command: str, stdin: bytes | None = None) -> tuple[int, str, str]:
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=MINUTES_S, check=False)
    return done.returncode, done.stdout.decode().strip(), done.stderr.decode().strip()


def libraries(program: str) -> list[str]:
    """The shared libraries of a program with its loader, by ldd."""
    _, text, _ = run("ldd", program)
    return sorted(set(re.findall(r"(?:=> )?(/\S+) \(0x", text)))


def make_image(program: str) -> str:
    """Imports an image of the libraries alone; what is wrong, or ''."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in libraries(program):
            real = pathlib.Path(path).resolve()
            entry = archive.gettarinfo(str(real), arcname=path.lstrip("/"))
            with real.open("rb") as stream:
                archive.addfile(entry, stream)
    code, _, text = run("docker", "import", "-", OWN_IMAGE, stdin=buffer.getvalue())
    return text if code != 0 else ""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "image": {"type": "str", "default": ""},
            "device": {"type": "str", "default": "nvidia.com/gpu=all"},
        },
        supports_check_mode=True,
    )
    tool = shutil.which("nvidia-smi")
    if not tool:
        module.fail_json(msg="nvidia-smi is not installed: install the driver first")
    code, text, error = run(str(tool), "-L")
    if code != 0:
        module.fail_json(msg=f"the host itself sees no GPU: {text or error}")
    here = text.splitlines()
    image = module.params["image"] or OWN_IMAGE
    changed = False
    if image == OWN_IMAGE and run("docker", "image", "inspect", image)[0] != 0:
        changed = True
        if module.check_mode:
            module.exit_json(changed=True, gpus=[])
        if problem := make_image(str(tool)):
            module.fail_json(msg=f"the image of the check could not be made: {problem[-300:]}")
    code, text, error = run(*container(image, module.params["device"]))
    there: list[Any] = text.splitlines()
    if code != 0 or there != here:
        module.fail_json(
            msg="a container does not see the GPUs of the host ({}): look at nvidia-ctk cdi list, "
            "and whether daemon.json has the feature cdi".format(
                " ".join(error.split())[-300:] or f"it sees {len(there)} of {len(here)}"
            )
        )
    module.exit_json(changed=changed, gpus=there)


def container(image: str, device: str) -> list[str]:
    """Without privileges, network or a writable host."""
    return [
        "docker", "run", "--rm", "--network", "none", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges", "--device", device, image, "nvidia-smi", "-L",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
