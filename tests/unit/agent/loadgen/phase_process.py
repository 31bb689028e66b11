"""One LoadGen phase in a process of its own: a crash in native code then fails one test only.

usage: python phase_process.py PLAN ENGINE SCENARIO MODE FOLDER [FIELDS]
       python phase_process.py PLAN ENGINE SCENARIO rate FOLDER OFFLINE_RATE
Prints the outcome as JSON: either ``result`` or ``failure``, and what the engine was asked.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import sys
import threading
import time
from array import array
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from loadfleet_agent.contract.benchmark import Mode, Scenario
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.result import DatasetFacts, EngineFacts, PhaseResult
from loadfleet_agent.contract.status import FailureCode
from loadfleet_agent.dataset.library import SampleLibrary
from loadfleet_agent.engine.base import EngineDied, EngineLoad
from loadfleet_agent.failure import RunFailure
from loadfleet_agent.loadgen.phase import prepare_phase, run_phase
from loadfleet_agent.loadgen.rate_search import find_rate
from loadfleet_agent.loadgen.run import Drive
from loadfleet_agent.loadgen.sut import SystemUnderTest
from loadfleet_agent.statistics import distribution

STOP_IDS = (7,)
SERVICE_S = 0.005
"""A sample of the engine that serves 200 a second."""


def answer_to(index: int) -> list[int]:
    """The scripted engine's answer to sample ``index``: its length and ids depend on it."""
    return [index, *range(100, 102 + index % 7)]


class ScriptedEngine:
    """Follows the engine protocol; answers by the prompt, or fails in the way it is told."""

    def __init__(self, behaviour: str, fail_after: int = 20) -> None:
        self._behaviour = behaviour
        self._fail_after = fail_after
        self._free_at = 0.0
        self.asked = 0
        self.request_ids: set[str] = set()
        self.streamed: set[bool] = set()

    def load(self) -> EngineLoad:
        return EngineLoad(running=self.asked, waiting=2, kv_cache=0.25)

    async def start(self) -> EngineFacts:
        return EngineFacts(kind="scripted", version="1", start_s=0, settings={})

    async def generate(
        self, request_id: str, prompt: Sequence[int], *, stream: bool
    ) -> AsyncIterator[Sequence[int]]:
        self.asked += 1
        self.request_ids.add(request_id)
        self.streamed.add(stream)
        tokens = answer_to(prompt[0])
        match self._behaviour:
            case "silent":
                return
            case "one-token":
                yield tokens[:1]
                return
            case "two-ends":
                tokens = [*tokens, *STOP_IDS, *STOP_IDS]
            case "capacity":
                await self._serve()
            case "late":
                await asyncio.sleep(0.6)
            case "hangs":
                await asyncio.Event().wait()
        if self.asked > self._fail_after:
            match self._behaviour:
                case "dies":
                    raise EngineDied("the core is gone")
                case "breaks":
                    raise ZeroDivisionError("a fault of the engine")
                case "dies-within":
                    yield tokens[:1]
                    raise EngineDied("the core is gone")
        if not stream:
            yield tokens
            return
        for token in tokens:
            await asyncio.sleep(0)
            yield [token]

    async def _serve(self) -> None:
        """One after the other, SERVICE_S each: a queue grows beyond 1 / SERVICE_S a second."""
        now = time.monotonic()
        self._free_at = max(now, self._free_at) + SERVICE_S
        await asyncio.sleep(self._free_at - now)

    async def stop(self) -> None:
        return None


def _library(count: int) -> SampleLibrary:
    prompts = [[index, *range(3 + index % 5)] for index in range(count)]
    facts = DatasetFacts(
        source="synthetic",
        label="synthetic",
        library_sha256="0" * 64,
        samples=count,
        input_tokens=distribution([len(prompt) for prompt in prompts]),
        origin="counted",
    )
    return SampleLibrary(prompts, [""] * count, facts)


def _phase(
    plan: RunPlan,
    scenario: Scenario,
    mode: Mode,
    folder: Path,
    fields: dict[str, int],
    drive: Drive,
) -> PhaseResult:
    qps = plan.scenario(scenario).target_qps
    phase = prepare_phase(plan, scenario, mode, folder, qps)
    phase = dataclasses.replace(phase, fields=phase.fields | fields)
    return run_phase(plan, phase, qps, _library(plan.samples), STOP_IDS, "c" * 64, drive)


def main(plan_path: str, behaviour: str, scenario: str, mode: str, folder: str, *more: str) -> None:
    plan = RunPlan.model_validate_json(Path(plan_path).read_bytes())
    loop = asyncio.new_event_loop()
    if behaviour == "loop-closed":
        loop.close()
    else:
        threading.Thread(target=loop.run_forever, daemon=True).start()
    engine = ScriptedEngine(behaviour)
    library = _library(plan.samples)

    def watch(sut: SystemUnderTest, _total: int) -> None:
        if behaviour != "hangs":
            return

        def abort_once_it_works() -> None:
            while not sut.issued:
                time.sleep(0.01)
            sut.abort(RunFailure(FailureCode.STOPPED, "stopped by the test"))

        threading.Thread(target=abort_once_it_works, daemon=True).start()

    outcome: dict[str, Any] = {}
    try:
        drive = Drive(engine, loop, library.prompts, watch)
        if mode == "rate":
            start = json.loads(more[0])
            found = find_rate(plan, Scenario(scenario), Path(folder), start, drive)
            outcome["result"] = found.model_dump(mode="json")
        else:
            fields = json.loads(more[0]) if more else {}
            result = _phase(plan, Scenario(scenario), Mode(mode), Path(folder), fields, drive)
            outcome["result"] = result.model_dump(mode="json")
    except RunFailure as failure:
        outcome["failure"] = {"code": failure.code, "message": failure.message}
    outcome["hashes"] = [
        hashlib.sha256(array("i", answer_to(index)).tobytes()).hexdigest()
        for index in range(plan.samples)
    ]
    outcome["asked"] = engine.asked
    outcome["distinct_request_ids"] = len(engine.request_ids)
    outcome["streamed"] = sorted(engine.streamed)
    print(json.dumps(outcome))


if __name__ == "__main__":
    main(*sys.argv[1:])
