"""Sealed folders of hosts with GPUs: saved LoadGen logs of 600 s, what a GPU would tell made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from loadfleet_agent.contract.benchmark import Scenario
from loadfleet_agent.contract.run_folder import HOST_FACTS, RESULT

from ..helpers import HostRun, edit_json, reseal
from ..submission.official_runs import official_plan, seal_host

LOGS = Path(__file__).parents[1] / "submission" / "logs" / "v6.1" / "datacenter"
POWER_W = 400.0
"""Of each GPU, all the time."""
H100: dict[str, Any] = {"name": "NVIDIA H100 80GB HBM3", "memory_mib": 81_559}
ENGINE: dict[str, Any] = {
    "dtype": "torch.bfloat16",
    "quantization": None,
    "kv_cache_dtype": "auto",
    "kv_cache_blocks": 28_000,
    "kv_cache_block_size": 16,
    "max_num_seqs": 512,
    "gpu_memory_utilization": 0.92,
    "tensor_parallel_size": 1,
}


def gpu_host(
    folder: Path,
    name: str,
    *,
    gpus: int = 1,
    gpu: dict[str, Any] | None = None,
    precision: str | None = "bf16",
    reason: str = "",
    **settings: Any,
) -> HostRun:
    """A host with an Offline and a Server performance run on all of its GPUs.

    ``reason``: why there is no energy. ``settings``: of the engine, as it tells them.
    """
    plan = official_plan(name, modes=["performance"])
    logs = {s: LOGS / s.value.lower() for s in (Scenario.OFFLINE, Scenario.SERVER)}
    run = seal_host(folder, plan, folder, logs)

    def tell_facts(facts: dict[str, Any]) -> None:
        (one,) = facts["gpus"]
        same = one | (gpu or H100)
        facts["gpus"] = [same | {"index": i, "uuid": f"GPU-{name}-{i}"} for i in range(gpus)]

    def tell_result(result: dict[str, Any]) -> None:
        result["model"] |= {"precision": precision, "geometry": {}}
        result["engine"] |= {"settings": ENGINE | settings, "gpus": list(range(gpus))}
        result["energy"] = [
            {
                "phase": phase["name"],
                "gpus": [_energy(index, reason) for index in range(gpus)],
            }
            for phase in result["phases"]
        ]

    change_host(run.folder, result=tell_result, facts=tell_facts)
    return run


def _energy(gpu: int, reason: str) -> dict[str, Any]:
    """An hour, which the saved runs are said to have taken."""
    joules = None if reason else POWER_W * 3600
    return {
        "gpu": gpu,
        "joules": joules,
        "joules_by_power": joules,
        "mean_power_w": None if reason else POWER_W,
        "reason": reason,
    }


def change_host(
    folder: Path,
    *,
    result: Callable[[Any], None] = lambda _: None,
    facts: Callable[[Any], None] = lambda _: None,
) -> None:
    """Changes what a host tells, and seals it again."""
    edit_json(folder / RESULT, result)
    edit_json(folder / HOST_FACTS, facts)
    reseal(folder)
