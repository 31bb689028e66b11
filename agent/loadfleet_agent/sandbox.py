"""What the transient unit of a run in a virtual environment may do: as little as CUDA, NVML and
vLLM need.

Every property is one that systemd 249 (Ubuntu 22.04) knows. SECURITY.md states the score of
``systemd-analyze security``; tests/fleet/test_security.py holds it. Left out, and why:

- MemoryDenyWriteExecute: torch.compile, Triton and the driver write the code that they run
- PrivateDevices, ProcSubset=pid: hide the GPUs, and the host's facts
- PrivateUsers: shows files of root, as the model's, as nobody's, and saves nothing beside these
- RestrictAddressFamilies without AF_INET: vLLM's processes talk over 127.0.0.1, in a network of
  their own
- SystemCallFilter without @resources: threads are bound to the processors beside their GPU
- limits of memory and tasks: the host is there for the run
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .contract.dataset import DatasetFile, MlcommonsDataset, RebuiltDataset
from .contract.evaluation import MmluFolder
from .contract.model import HubModel, ModelFolder
from .contract.plan import RunPlan
from .host.facts import BOOT_ID_VARIABLE, boot_id
from .host.locks import GPU_LOCKS
from .host.owner import Owner

SECRETS = "/etc/loadfleet"
"""Folder of the Hugging Face token, which a benchmark never needs."""
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN")
"""Variables with that token, which a run is not given either."""
EMPTIED = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))
"""Folders of which the unit sees none of the host's files but those it is given."""
NVIDIA_MODPROBE_S = 60.0
PROPERTIES = (
    "UMask=0077",
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "ProtectSystem=strict",
    "ProtectHome=tmpfs",
    "PrivateTmp=yes",
    "ProtectProc=invisible",
    # The GPUs and /dev/null and its like; nvidia, -uvm, -caps, -nvswitch are names of drivers.
    "DevicePolicy=closed",
    "DeviceAllow=char-nvidia* rw",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    # Nothing but 127.0.0.1, and that of this unit alone: as in the container, no port is reached
    # from outside, whatever listens on it.
    "PrivateNetwork=yes",
    "IPAddressDeny=any",
    "IPAddressAllow=localhost",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "PrivateIPC=yes",
    "KeyringMode=private",
    "RemoveIPC=yes",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged",
    # A call that is not allowed fails, as in Docker, and does not kill.
    "SystemCallErrorNumber=EPERM",
    f"InaccessiblePaths=-{SECRETS}",
)


@dataclass(frozen=True)
class Sandbox:
    """Of one run."""

    home: Path
    folder: Path
    """Of the run; below ``home``."""
    owner: Owner | None
    """Who the unit runs as; None: root, without its rights."""
    reads: tuple[Path, ...]
    """Outside of ``home``, where the plan names them."""

    def properties(self) -> Iterator[str]:
        """Of the unit, as Name=value."""
        yield from PROPERTIES
        if self.owner is not None:
            yield f"User={self.owner.uid}"
            yield f"Group={self.owner.gid}"
        for path in (self.home, *self._given()):
            yield f"BindReadOnlyPaths=-{_quoted(path)}"
        for path in (self.folder, self.home / "cache", self.home / "run.lock", GPU_LOCKS):
            yield f"BindPaths=-{_quoted(path)}"

    def environment(self) -> Iterator[str]:
        """As NAME=value."""
        yield "HF_HUB_OFFLINE=1"
        yield "VLLM_HOST_IP=127.0.0.1"  # there is no other, and vLLM must not look for one
        yield f"HOME={self.home / 'cache'}"
        # In the unit's own /proc a host that is itself a container has that of its host.
        yield f"{BOOT_ID_VARIABLE}={boot_id()}"

    def _given(self) -> list[Path]:
        """What stands in a folder that is emptied: Python with the agent, model and dataset."""
        wanted = (Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parent, *self.reads)
        found = {path.expanduser().absolute() for path in wanted}
        return sorted(
            path
            for path in found
            if any(path.is_relative_to(emptied) for emptied in EMPTIED)
            and not path.is_relative_to(self.home)
        )


def read_paths(plan: RunPlan) -> tuple[Path, ...]:
    """Files and folders that a plan or the environment names, to be read."""
    named: list[str | None] = [os.environ.get(name) for name in ("HF_HOME", "HF_HUB_CACHE")]
    named += os.environ.get("NLTK_DATA", "").split(os.pathsep)
    for source in plan.dataset:
        if isinstance(source, MlcommonsDataset):
            named.append(source.folder)
        elif isinstance(source, DatasetFile | RebuiltDataset):
            named.append(source.path)
    named += [item.data.path for item in plan.evaluations if isinstance(item.data, MmluFolder)]
    if isinstance(plan.model, ModelFolder):
        named.append(plan.model.path)
    elif isinstance(plan.model, HubModel):
        named.append(plan.model.cache)
    return tuple(Path(name) for name in named if name)


def load_device_nodes() -> None:
    """Has NVIDIA's own command make /dev/nvidia-uvm and its like, where it is installed.

    CUDA does that by itself at its first use, by a program with root's rights that the unit may
    not start.
    """
    if command := shutil.which("nvidia-modprobe"):
        subprocess.run(
            [command, "-c", "0", "-u"], capture_output=True, timeout=NVIDIA_MODPROBE_S, check=False
        )


def _quoted(path: Path) -> str:
    """A path in a list of paths of systemd."""
    text = str(path).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text.replace(":", chr(92) + ":")}"'
