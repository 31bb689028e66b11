"""The geometry of Llama-3.1-8B as a model folder without weights; no download, no token.

The engine fills in random weights (``load_format: dummy``). A token then costs what it costs in
the real model: its layers, heads and vocabulary are the same.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from .tiny_llama import write_tokenizer

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 128_256,
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 131_072,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500_000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": False,
    "bos_token_id": 128_000,
    "eos_token_id": [128_001, 128_008, 128_009],
    "torch_dtype": "bfloat16",
}
"""Published in Meta's model card and paper ("The Llama 3 Herd of Models", arXiv:2407.21783)."""


def make_dummy_llama(folder: Path) -> None:
    """Writes the folder, whole or not at all.

    Its tokenizer is that of the tiny model: 2,048 tokens of our own articles, all of them within
    the vocabulary. What ids a prompt has changes nothing in its cost.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    write_tokenizer(temporary)
    (temporary / "config.json").write_text(
        json.dumps(CONFIG, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )
    shutil.rmtree(folder, ignore_errors=True)
    temporary.replace(folder)
