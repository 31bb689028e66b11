"""vLLM alone and LoadGen through the agent, in turns, on the same prompts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ..contract.benchmark import Scenario
from ..contract.files import write_model
from ..contract.plan import RunPlan
from ..contract.status import FailureCode
from ..engine_process import engine_environment
from ..failure import RunFailure
from ..runs import Runs
from .figures import Overhead, Pair, Throughput, join_pairs
from .null_ceiling import completed, cpu_share

FOLDER = "overhead"


def measure_pairs(plan: RunPlan, home: Path, pairs: int, tell: Callable[[str], None]) -> Overhead:
    """``pairs`` times both, each with an engine of its own, which is started anew.

    Which of the two comes first changes from pair to pair, so that a host that gets warmer or
    busier favours neither. Raises RunFailure.
    """
    done = []
    for index in range(pairs):
        found: dict[str, Throughput] = {}
        for what in ("raw", "loadgen") if index % 2 == 0 else ("loadgen", "raw"):
            tell(f"pair {index + 1} of {pairs}: {what}")
            measure = _raw if what == "raw" else _loadgen
            found[what] = measure(plan, home, index)
            tell(f"  {found[what].tokens_per_s:,.1f} tokens/s")
        ratio = found["loadgen"].tokens_per_s / found["raw"].tokens_per_s
        done.append(Pair(raw=found["raw"], loadgen=found["loadgen"], ratio=ratio))
    return join_pairs(plan.engine.kind, plan.samples, done)


def _loadgen(plan: RunPlan, home: Path, index: int) -> Throughput:
    named = plan.model_copy(update={"run_id": f"{plan.run_id}-{index + 1}"})
    phase = completed(Runs(home).run(named), Scenario.OFFLINE)
    tokens = round(phase.output_tokens.mean * phase.output_tokens.count)
    assert phase.loadgen.tokens_per_second
    return Throughput(
        samples=phase.samples,
        seconds=tokens / phase.loadgen.tokens_per_second,
        output_tokens=tokens,
        cpu_share=cpu_share(phase),
    )


def _raw(plan: RunPlan, home: Path, index: int) -> Throughput:
    folder = home / FOLDER / f"{plan.run_id}-{index + 1}"
    folder.mkdir(parents=True, exist_ok=True)
    write_model(folder / "plan.json", plan)
    answer, log = folder / "raw.json", folder / "raw.log"
    with log.open("wb") as stream:
        done = subprocess.run(
            [sys.executable, "-m", "loadfleet_agent.overhead.raw",
             str(folder / "plan.json"), str(home), str(answer)],
            stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
            env=engine_environment(plan, home), check=False,
        )  # fmt: skip
    if done.returncode != 0:
        raise RunFailure(FailureCode.ENGINE_START, f"vLLM by itself failed: see {log}")
    return Throughput.model_validate(json.loads(answer.read_text("utf-8")))
