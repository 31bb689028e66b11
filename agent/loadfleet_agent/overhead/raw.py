"""vLLM by itself: all prompts of a plan in one call of ``LLM.generate``, timed.

usage: python -m loadfleet_agent.overhead.raw PLAN_JSON HOME ANSWER_JSON
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from ..contract.plan import RunPlan
from ..dataset.library import build_library
from ..engine.vllm import engine_arguments, sampling_arguments
from ..model.resolve import model_facts, resolve_model
from ..worker import WARM_UP_SAMPLES
from .figures import Throughput


def main(plan_path: str, home_path: str, answer_path: str) -> None:
    from vllm import LLM, SamplingParams

    plan, home = RunPlan.model_validate_json(Path(plan_path).read_bytes()), Path(home_path)
    facts = model_facts(*resolve_model(plan.model, home))
    prompts = [{"prompt_token_ids": ids} for ids in build_library(plan, facts, home).prompts]
    llm = LLM(**engine_arguments(plan, facts.path))
    sampling = SamplingParams(**sampling_arguments(plan, facts))
    llm.generate(prompts[:WARM_UP_SAMPLES], sampling, use_tqdm=False)
    cpu, began = time.process_time(), time.monotonic()
    outputs = llm.generate(prompts, sampling, use_tqdm=False)
    seconds = time.monotonic() - began
    found = Throughput(
        samples=len(outputs),
        seconds=seconds,
        output_tokens=sum(len(item.outputs[0].token_ids) for item in outputs),
        cpu_share=(time.process_time() - cpu) / seconds,
    )
    Path(answer_path).write_text(json.dumps(found.model_dump()), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
