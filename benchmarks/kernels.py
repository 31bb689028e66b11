"""Where a GPU's time goes: the kernels of some steps of vLLM by itself, by PyTorch's profiler.

All prompts of the settings go through one call of LLM.generate, once for the time and once under
the profiler. Needs the CUDA build, a GPU that is free, and for dummy-8b nothing else.

usage: python benchmarks/kernels.py --set profile=dummy-8b --set length.samples=2500
           [--set engine.quantization=fp8 ...] [--home FOLDER] [--output FOLDER]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from loadfleet_agent.cli.input import read_plan
from loadfleet_agent.contract.plan import RunPlan
from loadfleet_agent.contract.result import ModelFacts
from loadfleet_agent.dataset.library import build_library
from loadfleet_agent.model.resolve import model_facts, resolve_model

FIRST_STEP = 60
"""The batch is full by then: with fewer prompts in it a step has other kernels."""
STEPS = 25
KINDS = (
    ("attention", r"flash|fmha|attention|paged"),
    ("matrix products", r"gemm|nvjet|cutlass(?!.*triton)|scaled_mm|wgmma|ampere_.*_s\d+"),
    ("KV cache writes", r"reshape_and_cache"),
    ("sampling", r"argmax|sample|softmax|gumbel|topk"),
)
"""The first pattern that fits a kernel's name says its kind; the rest is norms, activations,
rotary embedding and the quantisation of activations."""


def kind_of(kernel: str) -> str:
    if kernel.startswith("triton_"):  # what torch.compile has fused, whatever it stands before
        return "norms, activations, quantisation"
    for kind, pattern in KINDS:
        if re.search(pattern, kernel, re.IGNORECASE):
            return kind
    return "norms, activations, quantisation"


def read_kernels(trace: Path) -> dict[str, tuple[float, int]]:
    """Milliseconds and calls of each kernel in a trace of PyTorch's profiler (gzip JSON)."""
    import gzip

    with gzip.open(trace, "rt", encoding="utf-8") as stream:
        events = json.load(stream)["traceEvents"]
    found: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
    for event in events:
        if event.get("cat") == "kernel":
            spent, calls = found[event["name"]]
            found[event["name"]] = (spent + event["dur"] / 1000, calls + 1)
    return dict(found)


def profile(plan: RunPlan, facts: ModelFacts, prompts: list[Any], folder: Path) -> float:
    """Writes a trace into ``folder``; returns output tokens per second without the profiler."""
    from loadfleet_agent.engine.vllm import engine_arguments, sampling_arguments
    from vllm import LLM, SamplingParams

    llm = LLM(
        **engine_arguments(plan, facts.path),
        profiler_config={
            "profiler": "torch",
            "torch_profiler_dir": str(folder),
            "torch_profiler_with_stack": False,
            "ignore_frontend": True,
            "delay_iterations": FIRST_STEP,
            "max_iterations": STEPS,
        },
    )
    sampling = SamplingParams(**sampling_arguments(plan, facts))
    llm.generate(prompts[:256], sampling, use_tqdm=False)
    began = time.monotonic()
    outputs = llm.generate(prompts, sampling, use_tqdm=False)
    seconds = time.monotonic() - began
    llm.start_profile()
    llm.generate(prompts[: len(prompts) // 2], sampling, use_tqdm=False)
    llm.stop_profile()
    return sum(len(item.outputs[0].token_ids) for item in outputs) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--set", action="append", default=[], help="one setting of a run")
    parser.add_argument("--home", type=Path, default=Path("/var/lib/loadfleet"))
    parser.add_argument("--output", type=Path, help="folder that keeps the trace")
    options = parser.parse_args()
    plan = read_plan(None, None, ["scenarios=[Offline]", *options.set], None)
    facts = model_facts(*resolve_model(plan.model, options.home))
    library = build_library(plan, facts, options.home)
    prompts = [{"prompt_token_ids": ids} for ids in library.prompts]
    with tempfile.TemporaryDirectory() as name:
        folder = (options.output or Path(name)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        speed = profile(plan, facts, prompts, folder)
        traces = sorted(folder.glob("*.pt.trace.json.gz"))
        if not traces:
            sys.exit(f"the profiler left no trace in {folder}")
        kernels = read_kernels(traces[-1])
    total = sum(spent for spent, _ in kernels.values())
    print(f"{len(prompts)} prompts: {speed:,.0f} output tokens/s without the profiler")
    print(f"{total:,.0f} ms of kernels in {STEPS} steps")
    kinds: dict[str, float] = defaultdict(float)
    for kernel, (spent, _) in kernels.items():
        kinds[kind_of(kernel)] += spent
    for kind, spent in sorted(kinds.items(), key=lambda item: -item[1]):
        print(f"{spent / total:7.1%}  {kind}")
    for kernel, (spent, calls) in sorted(kernels.items(), key=lambda item: -item[1][0])[:20]:
        print(f"{spent:10.1f} ms {calls:6d} calls  {kernel[:110]}")


if __name__ == "__main__":
    main()
