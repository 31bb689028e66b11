"""Every check there is: its name, its title, and what it looks at."""

from __future__ import annotations

from loadfleet_agent.contract.base import Frozen

from .model import CONTROLLER, Check, Severity


class CheckKind(Frozen):
    """A check, whatever it finds."""

    id: str
    title: str
    looks_at: str


CONTROLLER_CHECKS = (
    CheckKind(id="python", title="Python", looks_at="version of the Python that runs loadfleet"),
    CheckKind(
        id="packages",
        title="Packages",
        looks_at="every package of `locks/controller.txt` at its locked version; ansible-core "
        "in the supported range, and first in `PATH`",
    ),
    CheckKind(
        id="config",
        title="ansible.cfg",
        looks_at="which `ansible.cfg` a command here takes: not another one by "
        "`ANSIBLE_CONFIG`, not none because all may write to the folder",
    ),
    CheckKind(
        id="wheelhouse",
        title="Wheelhouse",
        looks_at="uv and pip, which build what the hosts install from, and the room for it",
    ),
    CheckKind(
        id="results",
        title="Results",
        looks_at="whether results can be written, and the room for those of the planned run",
    ),
    CheckKind(
        id="ssh",
        title="SSH",
        looks_at="ssh client, key files of the inventory, keys of the agent or of `~/.ssh`",
    ),
    CheckKind(
        id="clock",
        title="Clock",
        looks_at="whether the controller's clock is synchronised (timedatectl or chronyc)",
    ),
    CheckKind(
        id="inventory",
        title="Inventory",
        looks_at="that it can be read, has hosts, and its settings neither contradict each "
        "other nor are misspelt",
    ),
    CheckKind(
        id="settings",
        title="Settings",
        looks_at="every `loadfleet_*` setting, by the code that plans a run: an unknown key, a "
        "wrong value, a missing model; and what the next command would do: a new run, "
        "or which open one it goes on with",
    ),
    CheckKind(id="forks", title="Forks", looks_at="a worker for each host while a run is watched"),
    CheckKind(
        id="token",
        title="Token",
        looks_at="a Hugging Face token where the model is of the hub (never printed); with "
        "`--online` whether the hub gives the model",
    ),
    CheckKind(
        id="report",
        title="Last report",
        looks_at="that the newest run's record and report can be read",
    ),
)

HOST_CHECKS = (
    CheckKind(
        id="connection",
        title="Connection",
        looks_at="that the host is reached as the playbooks reach it, or the reason of ssh",
    ),
    CheckKind(
        id="sudo",
        title="Root",
        looks_at="root, sudo without a password, or sudo with the password that Ansible was given",
    ),
    CheckKind(
        id="clock",
        title="Clock",
        looks_at="the host's clock against the controller's, by the least round trip of five",
    ),
    CheckKind(
        id="system",
        title="System",
        looks_at="a supported operating system on x86-64, with systemd",
    ),
    CheckKind(
        id="agent",
        title="Agent",
        looks_at="Python 3.11 or newer, room, and whether the agent installed there is this "
        "checkout's",
    ),
    CheckKind(id="run", title="Run", looks_at="a run in progress: nothing is changed meanwhile"),
    CheckKind(id="reboot", title="Reboot", looks_at="a pending reboot"),
    CheckKind(id="memory", title="Memory", looks_at="`preflight_memory_gib`"),
    CheckKind(
        id="disk",
        title="Disk",
        looks_at="room for agent, model and results (`preflight_disk`), and for the runs of "
        "the plan",
    ),
    CheckKind(
        id="gpu",
        title="GPUs on the bus",
        looks_at="NVIDIA GPUs on the PCI bus, and other processes on them",
    ),
    CheckKind(
        id="secure_boot",
        title="Secure boot",
        looks_at="whether modules without a signature could load; where no driver works yet",
    ),
    CheckKind(
        id="kernel_headers",
        title="Kernel headers",
        looks_at="whether a module can be built; where no driver works yet",
    ),
    CheckKind(
        id="driver",
        title="Driver",
        looks_at="that the driver works, and is of branch 580 or newer",
    ),
    CheckKind(id="gpus", title="GPUs", looks_at="that the driver sees all of them"),
    CheckKind(
        id="profile",
        title="Profile",
        looks_at="that the GPUs have the memory and the compute capability that the profile needs",
    ),
    CheckKind(
        id="mig",
        title="MIG",
        looks_at="MIG mode as `gpu_settings_mig`, and none that waits for a reboot",
    ),
    CheckKind(
        id="ecc",
        title="ECC",
        looks_at="ECC mode as `gpu_settings_ecc`; uncorrected errors; memory rows to remap",
    ),
    CheckKind(
        id="power",
        title="Power limit",
        looks_at="the board's default, or `gpu_settings_power_limit_w`",
    ),
    CheckKind(id="persistence", title="Persistence", looks_at="persistence mode"),
    CheckKind(
        id="throttling",
        title="Throttling",
        looks_at="heat, power brake or slowdown now; 70 degrees Celsius or more without work",
    ),
    CheckKind(id="pcie", title="PCIe", looks_at="16 lanes"),
    CheckKind(
        id="docker",
        title="Docker",
        looks_at="that Docker answers and knows CDI; only with `loadfleet_runtime: container`",
    ),
    CheckKind(
        id="toolkit",
        title="Container toolkit",
        looks_at="NVIDIA's toolkit and its CDI specification; likewise",
    ),
    CheckKind(id="image", title="Image", looks_at="the image that the agent runs in; likewise"),
    CheckKind(
        id="model",
        title="Model",
        looks_at="the model's files in the cache or folder that the plan names",
    ),
    CheckKind(id="dataset", title="Dataset", looks_at="the file of one of the plan's datasets"),
    CheckKind(
        id="ports",
        title="Ports",
        looks_at="nothing: no part of a run listens on a port of the host",
    ),
    CheckKind(
        id="hub",
        title="Hub",
        looks_at="with `--online`: that this host reaches the hub, and the token reads the model",
    ),
)

_KINDS = {
    **{(False, kind.id): kind for kind in CONTROLLER_CHECKS},
    **{(True, kind.id): kind for kind in HOST_CHECKS},
}


def make_check(
    check_id: str, severity: Severity, found: str, remedy: str = "", *, host: str | None = None
) -> Check:
    """A check of the catalogue with what it found; ``host`` None: of the controller."""
    return Check(
        id=check_id,
        title=_KINDS[host is not None, check_id].title,
        place=CONTROLLER if host is None else host,
        is_host=host is not None,
        severity=severity,
        found=found,
        remedy=remedy,
    )


def catalogue_table() -> str:
    """Both tables of docs/doctor.md."""
    parts = []
    for heading, kinds in (("controller", CONTROLLER_CHECKS), ("host", HOST_CHECKS)):
        rows = [f"| `{kind.id}` | {kind.title} | {kind.looks_at} |" for kind in kinds]
        parts.append("\n".join([f"| {heading} | | looks at |", "| --- | --- | --- |", *rows]))
    return "\n\n".join(parts) + "\n"
