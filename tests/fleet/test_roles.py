"""Each role in a play of its own, and settings other than the defaults."""

from __future__ import annotations

import pytest
from gpu_site import ROOT, Site
from standin import packages

# cleanup undoes the others, and has its own tests.
ROLES = sorted({path.name for path in (ROOT / "roles").iterdir()} - {"cleanup"})


@pytest.mark.parametrize("role", ROLES)
def test_a_role_alone_finds_nothing_to_do_on_a_ready_host(provisioned: Site, role: str) -> None:
    play = provisioned.folder / f"{role}.yml"
    play.write_text(f"- hosts: gpu_hosts\n  roles: [{role}]\n")
    played = provisioned.play(str(play))
    assert played.returncode == 0, played.output
    assert set(played.changed().values()) == {0}, played.changed_tasks()


def test_locked_clocks_last_over_a_reboot_and_are_freed_again(provisioned: Site) -> None:
    host = provisioned.machines["gpu-1"]
    free = clock(provisioned)
    played = provisioned.provision(
        "--tags", "gpu_settings", hosts=("gpu-1",), gpu_settings_lock_clocks_mhz=[1200, 1200]
    )
    assert played.returncode == 0, played.output
    assert clock(provisioned) == 1200
    host.reboot()
    assert clock(provisioned) == 1200
    played = provisioned.provision("--tags", "gpu_settings", hosts=("gpu-1",))
    assert played.returncode == 0, played.output
    assert clock(provisioned) == free
    host.reboot()
    assert clock(provisioned) == free


def clock(site: Site) -> float:
    """SM clock of gpu-1, in MHz."""
    shown = site.machines["gpu-1"].run(
        "nvidia-smi", "--query-gpu=clocks.sm", "--format=csv,noheader,nounits"
    )
    return float(shown.stdout)


def test_a_driver_of_the_users_own_is_kept_and_verified(provisioned: Site) -> None:
    played = provisioned.provision(
        "--tags", "nvidia_driver", hosts=("gpu-1",), nvidia_driver_install=False
    )
    assert played.returncode == 0, played.output
    played = provisioned.provision(
        "--tags", "nvidia_driver", hosts=("gpu-1",),
        nvidia_driver_install=False, nvidia_driver_branch="590",
    )  # fmt: skip
    assert played.returncode != 0
    assert played.lines(f"not ready: driver {packages.DRIVER} is loaded, wanted is branch 590")
    assert played.changed() == {"gpu-1": 0}, played.changed_tasks()


def test_a_docker_of_the_users_own_is_kept_and_verified(provisioned: Site) -> None:
    # A version that there is not: it would be refused if it were to be installed.
    played = provisioned.provision(
        "--tags", "docker", hosts=("gpu-1",), docker_install=False, docker_version="99.9"
    )
    assert played.returncode == 0, played.output
    assert played.changed() == {"gpu-1": 0}, played.changed_tasks()
