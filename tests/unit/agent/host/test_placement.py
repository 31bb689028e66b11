"""Engines get GPUs in order, and the processors beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loadfleet_agent.contract.host import GpuFacts
from loadfleet_agent.contract.settings import parse_settings, resolve_plan
from loadfleet_agent.host import placement
from loadfleet_agent.host.placement import place_replicas, plan_gpus


def gpu(index: int, bus: int) -> GpuFacts:
    return GpuFacts(
        index=index, name="NVIDIA A30", uuid=f"GPU-{index}", memory_mib=24_576,
        pci_bus_id=f"00000000:{bus:02X}:00.0",
    )  # fmt: skip


GPUS = [gpu(0, 0x17), gpu(1, 0x31), gpu(2, 0xB1), gpu(3, 0xCA)]
ALL = frozenset(range(16))


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """Two nodes of four cores with two threads each; GPUs 0 and 1 on the first."""
    for index, item in enumerate(GPUS):
        assert item.pci_bus_id is not None
        folder = tmp_path / "bus/pci/devices" / item.pci_bus_id[4:].lower()
        folder.mkdir(parents=True)
        (folder / "numa_node").write_text(f"{index // 2}\n")
    for node, cpus in enumerate(("0-3,8-11", "4-7,12-15")):
        folder = tmp_path / f"devices/system/node/node{node}"
        folder.mkdir(parents=True)
        (folder / "cpulist").write_text(f"{cpus}\n")
    for cpu in ALL:
        folder = tmp_path / f"devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{cpu % 8},{cpu % 8 + 8}\n")
    return tmp_path


def test_engines_of_one_node_share_its_cores(sysfs: Path) -> None:
    found = place_replicas(GPUS, 4, 1, ALL, sysfs)
    assert [item.name for item in found] == ["GPU 0", "GPU 1", "GPU 2", "GPU 3"]
    assert [item.numa_node for item in found] == [0, 0, 1, 1]
    assert [sorted(item.cpus) for item in found] == [
        [0, 1, 8, 9], [2, 3, 10, 11], [4, 5, 12, 13], [6, 7, 14, 15],
    ]  # fmt: skip


def test_an_engine_of_several_gpus_has_their_node(sysfs: Path) -> None:
    first, second = place_replicas(GPUS, 2, 2, ALL, sysfs)
    assert (first.name, first.numa_node) == ("GPUs 0 and 1", 0)
    assert sorted(first.cpus) == [0, 1, 2, 3, 8, 9, 10, 11]
    assert second.numa_node == 1


def test_gpus_of_two_nodes_are_pinned_to_none(sysfs: Path) -> None:
    (whole,) = place_replicas(GPUS, 1, 4, ALL, sysfs)
    assert (whole.numa_node, whole.cpus) == (None, frozenset())
    assert whole.name == "GPUs 0, 1, 2 and 3"


def test_only_allowed_processors_are_given(sysfs: Path) -> None:
    found = place_replicas(GPUS, 2, 1, frozenset({0, 1, 2, 5}), sysfs)
    assert [sorted(item.cpus) for item in found] == [[0], [1, 2]]


def test_too_few_cores_for_the_engines_mean_no_pinning(sysfs: Path) -> None:
    found = place_replicas(GPUS, 2, 1, frozenset({0, 8}), sysfs)
    assert [item.cpus for item in found] == [frozenset(), frozenset()]


def test_a_kernel_that_knows_no_nodes_means_no_pinning(sysfs: Path, tmp_path: Path) -> None:
    for path in sysfs.rglob("numa_node"):
        path.write_text("-1\n")
    for folder in (sysfs, tmp_path / "none"):
        found = place_replicas(GPUS, 4, 1, ALL, folder)
        assert {(item.numa_node, item.cpus) for item in found} == {(None, frozenset())}


def test_too_few_gpus_are_refused(sysfs: Path) -> None:
    with pytest.raises(ValueError, match="3 engines of 2 GPUs, but there are 4 GPUs"):
        place_replicas(GPUS, 3, 2, ALL, sysfs)


@pytest.mark.parametrize(
    ("profile", "engine", "there", "used"),
    [
        ("dummy-8b", {}, 4, [0, 1, 2, 3]),
        ("dummy-8b", {"replicas": 1}, 2, [0]),
        ("dummy-8b", {"tensor_parallel_size": 2}, 3, [0, 1]),
        ("dummy-8b", {"replicas": 2, "tensor_parallel_size": 2}, 3, [0, 1, 2]),  # too few
        ("cpu-smoke", {}, 2, []),
    ],
)
def test_gpus_that_the_engines_of_a_plan_get(
    profile: str, engine: dict[str, Any], there: int, used: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(placement, "visible_gpus", lambda _: tuple(GPUS[:there]))
    sources = {"model": {"source": "tiny"}, "dataset": {"source": "synthetic"}}
    settings = parse_settings({"profile": profile, "engine": engine} | sources)
    plan = resolve_plan(settings, run_id="run", host="host")
    assert [item.index for item in plan_gpus(plan)] == used
