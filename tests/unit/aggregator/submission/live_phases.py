"""Accuracy and TEST06 phases by the real LoadGen over the whole dataset, in seconds.

usage: python live_phases.py PLAN FOLDER ROUND CONFIGURATION
The engine answers at once, with three tokens. LoadGen's seeds are those of ROUND.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from loadfleet_agent.contract.benchmark import SEEDS_BY_ROUND, Mode
from loadfleet_agent.contract.plan import RunPlan, phase_name
from loadfleet_agent.contract.result import DatasetFacts, EngineFacts
from loadfleet_agent.dataset.library import SampleLibrary
from loadfleet_agent.loadgen.phase import prepare_phase, run_phase
from loadfleet_agent.loadgen.run import Drive
from loadfleet_agent.statistics import distribution

END = 7


class QuickEngine:
    async def start(self) -> EngineFacts:
        return EngineFacts(kind="vllm", version="1", start_s=0, settings={})

    async def generate(
        self, request_id: str, prompt: Sequence[int], *, stream: bool
    ) -> AsyncIterator[Sequence[int]]:
        answer = [prompt[0], 100, END]
        if stream:
            yield answer[:1]
            await asyncio.sleep(0)
            yield answer[1:]
        else:
            yield answer

    def load(self) -> None:
        return None

    async def stop(self) -> None:
        return None


def main(plan_path: str, folder: str, round_name: str, configuration: str) -> None:
    plan = RunPlan.model_validate_json(Path(plan_path).read_bytes())
    prompts = [[1000 + index, 1] for index in range(plan.samples)]
    facts = DatasetFacts(
        source="file",
        label="mlperf-dataset",
        library_sha256="0" * 64,
        samples=len(prompts),
        input_tokens=distribution([len(prompt) for prompt in prompts]),
        origin="counted",
    )
    library = SampleLibrary(prompts, [""] * len(prompts), facts)
    seeds = SEEDS_BY_ROUND[round_name]
    fields = {
        "qsl_rng_seed": seeds.qsl,
        "sample_index_rng_seed": seeds.sample_index,
        "schedule_rng_seed": seeds.schedule,
    }
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    drive = Drive(QuickEngine(), loop, prompts, lambda _sut, _total: None)
    for scenario, mode in plan.phases:
        if mode is Mode.PERFORMANCE:
            continue
        qps = 5_000.0 if scenario.paced else None
        phase = prepare_phase(plan, scenario, mode, Path(folder, phase_name(scenario, mode)), qps)
        phase = dataclasses.replace(phase, fields=phase.fields | fields)
        run_phase(plan, phase, qps, library, (END,), configuration, drive)


if __name__ == "__main__":
    main(*sys.argv[1:])
