"""Greedy answers of vLLM used directly, without LoadGen and without the agent.

usage: python direct_generate.py MODEL PROMPTS_JSON ANSWERS_JSON MAX_TOKENS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from vllm import LLM, SamplingParams


def main(model: str, prompts: str, answers: str, max_tokens: str) -> None:
    llm = LLM(
        model=model,
        dtype="bfloat16",
        max_model_len=512,
        max_num_seqs=32,
        enforce_eager=True,
        enable_prefix_caching=False,
        skip_tokenizer_init=True,
    )
    stop = json.loads((Path(model) / "generation_config.json").read_text())["eos_token_id"]
    sampling = SamplingParams(
        temperature=0, max_tokens=int(max_tokens), stop_token_ids=stop, detokenize=False
    )
    outputs = llm.generate(
        [{"prompt_token_ids": ids} for ids in json.loads(Path(prompts).read_text())], sampling
    )
    Path(answers).write_text(json.dumps([list(item.outputs[0].token_ids) for item in outputs]))


if __name__ == "__main__":
    main(*sys.argv[1:])
