"""The acceptance tests that users run: a host that is ready is fit, one that is undone is not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from gpu_site import GPU_HOSTS, ROOT, Site
from standin import gpus


def acceptance(site: Site, *arguments: str) -> tuple[int, str]:
    """The README's command over the site's inventory."""
    inventory = site.write_inventory()
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "tests/acceptance", "--hosts=ansible://gpu_hosts",
            f"--ansible-inventory={inventory}", "-p", "no:cacheprovider", "-q", *arguments,
        ],
        cwd=ROOT, env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True, text=True, timeout=1800, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_provisioned_hosts_are_fit(provisioned: Site) -> None:
    code, output = acceptance(provisioned)
    assert code == 0, output
    for name in GPU_HOSTS:
        assert f"{name}: fit" in output


def document(change: Callable[[Any], Any]) -> Callable[[Any], None]:
    return lambda host: gpus.write(host.root, change(gpus.read(host.root)))


def shell(command: str) -> Callable[[Any], None]:
    return lambda host: host.run("sh", "-c", command, timeout=300)


UNDONE: dict[str, tuple[Callable[[Any], None], Callable[[Any], None], str]] = {
    "no driver": (
        shell("mv /run/nvidia-standin/loaded /run/nvidia-standin/away"),
        # The toolkit's units saw the driver go, and gave up.
        shell(
            "mv /run/nvidia-standin/away /run/nvidia-standin/loaded; "
            "systemctl reset-failed nvidia-cdi-refresh.service; "
            "systemctl restart nvidia-cdi-refresh.path"
        ),
        "nvidia-smi fails: NVIDIA-SMI has failed",
    ),
    "a power cap": (
        document(gpus.wrong_power_cap),
        shell("nvidia-smi -pl 165"),
        "power limit 120.00 W, wanted 165 W",
    ),
    "MIG": (
        document(gpus.mig_on),
        document(lambda doc: gpus.healthy(doc)),
        "mig.mode.current: GPU 0 Enabled",
    ),
    "ECC off": (
        document(gpus.ecc_off),
        document(lambda doc: gpus.healthy(doc)),
        "ecc.mode.current: GPU 0 Disabled",
    ),
    "another process": (
        document(gpus.other_process),
        document(lambda doc: gpus.healthy(doc)),
        "other processes are on the GPU: 4242",
    ),
    "no persistence": (
        shell("systemctl stop nvidia-persistenced"),
        shell("systemctl restart nvidia-persistenced"),
        "persistence mode: GPU 0 Disabled",
    ),
    "packages not held": (
        shell("apt-mark unhold nvidia-driver-cuda"),
        shell("apt-mark hold nvidia-driver-cuda"),
        "not held: nvidia-driver-cuda",
    ),
    "a token for all": (
        shell("chmod 644 /etc/loadfleet/hf_token"),
        shell("chmod 600 /etc/loadfleet/hf_token"),
        "can be read by others than root",
    ),
    "no CDI": (
        shell("mv /var/run/cdi/nvidia.yaml /root/"),
        shell("mv /root/nvidia.yaml /var/run/cdi/"),
        "a container sees 0 of 1 GPUs",
    ),
    "a reboot pending": (
        shell("touch /run/reboot-required"),
        shell("rm /run/reboot-required"),
        "a reboot is pending",
    ),
    "half a model": (
        shell("cd /var/lib/loadfleet/cache/hub/models--*/ && mv blobs blobs.away"),
        shell("cd /var/lib/loadfleet/cache/hub/models--*/ && mv blobs.away blobs"),
        "is not whole in /var/lib/loadfleet/cache/hub",
    ),
}


def test_what_was_undone_is_found_with_its_reason(provisioned: Site) -> None:
    """One host is broken in one way after the other; the other stays fit."""
    host = provisioned.machines["gpu-2"]
    missed = {}
    for what, (undo, redo, reason) in UNDONE.items():
        undo(host)
        try:
            code, output = acceptance(provisioned, "-k", FILES[what])
        finally:
            redo(host)
        found = any(
            line.startswith("gpu-2: not fit:") and reason in line for line in output.splitlines()
        )
        if code == 0 or not found or "gpu-1: fit" not in output:
            missed[what] = output[-2000:]
    shell("systemctl restart nvidia-persistenced")(host)
    assert not missed, "\n".join(f"{what}: {output}" for what, output in missed.items())


FILES = {
    "no driver": "test_gpus",
    "a power cap": "test_power",
    "MIG": "test_mig",
    "ECC off": "test_ecc",
    "another process": "test_nothing_else",
    "no persistence": "test_gpus_stay",
    "packages not held": "test_driver_is_held",
    "a token for all": "test_token",
    "no CDI": "test_a_container",
    "a reboot pending": "test_no_reboot",
    "half a model": "test_model",
}
"""Which of the tests must find it: the rest is left out to save time."""


def test_without_hosts_nothing_is_asked() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/acceptance", "-q", "-p", "no:cacheprovider"],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED
