"""Makes a Llama of about 2 M random weights with a tokenizer of its own; no download.

The same seed gives the same bytes on every host: the tokenizer is trained on our own
synthetic articles and the weights come from NumPy's PCG64 stream.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from ..dataset.articles import write_articles

HIDDEN = 256
LAYERS = 2
HEADS = 4
KEY_VALUE_HEADS = 2
INTERMEDIATE = 512
VOCABULARY = 2048
CONTEXT = 4096
TOKENIZER_CONFIG = "tokenizer_config.json"
BOS, END, END_OF_TURN = "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "<|{{ message['role'] }}|>\n\n{{ message['content'] | trim }}<|eot_id|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n\n{% endif %}"
)
"""Of Llama-3.1's form: BOS, then each turn under its role and closed by the end-of-turn token."""


def make_tiny_llama(folder: Path, seed: int) -> None:
    """Writes the model folder, whole or not at all."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    vocabulary = write_tokenizer(temporary)
    ids = {name: vocabulary[name] for name in (BOS, END, END_OF_TURN)}
    _write_json(temporary / "config.json", _config(ids))
    _write_json(
        temporary / "generation_config.json",
        {
            "bos_token_id": ids[BOS],
            "eos_token_id": [ids[END], ids[END_OF_TURN]],
            "do_sample": False,
        },
    )
    _write_weights(temporary / "model.safetensors", seed)
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that left it without weights
    temporary.replace(folder)


def write_tokenizer(folder: Path) -> dict[str, int]:
    """tokenizer.json, trained on our own articles, and what tells its special tokens and chat
    template; returns its vocabulary, token to id."""
    tokenizer = _train_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(
        folder / TOKENIZER_CONFIG,
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": BOS,
            "eos_token": END_OF_TURN,
            "clean_up_tokenization_spaces": True,
            "model_max_length": CONTEXT,
            "chat_template": CHAT_TEMPLATE,
        },
    )
    return tokenizer.get_vocab()


def _train_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [BOS, END, END_OF_TURN]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(special),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    corpus = [article.text for article in write_articles([400] * 300, seed=0)]
    tokenizer.train_from_iterator(corpus, trainer)
    spare = VOCABULARY - len(special) - tokenizer.get_vocab_size()
    tokenizer.add_special_tokens(special + [f"<|reserved_{index}|>" for index in range(spare)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    return tokenizer


def _config(ids: dict[str, int]) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_VALUE_HEADS,
        "head_dim": HIDDEN // HEADS,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": ids[BOS],
        "eos_token_id": [ids[END], ids[END_OF_TURN]],
        "torch_dtype": "float16",
    }


def _write_weights(path: Path, seed: int) -> None:
    generator = np.random.Generator(np.random.PCG64(seed))
    width = HIDDEN // HEADS * KEY_VALUE_HEADS
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN)}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}"
        shapes |= {
            f"{prefix}.input_layernorm.weight": (HIDDEN,),
            f"{prefix}.post_attention_layernorm.weight": (HIDDEN,),
            f"{prefix}.self_attn.q_proj.weight": (HIDDEN, HIDDEN),
            f"{prefix}.self_attn.k_proj.weight": (width, HIDDEN),
            f"{prefix}.self_attn.v_proj.weight": (width, HIDDEN),
            f"{prefix}.self_attn.o_proj.weight": (HIDDEN, HIDDEN),
            f"{prefix}.mlp.gate_proj.weight": (INTERMEDIATE, HIDDEN),
            f"{prefix}.mlp.up_proj.weight": (INTERMEDIATE, HIDDEN),
            f"{prefix}.mlp.down_proj.weight": (HIDDEN, INTERMEDIATE),
        }
    shapes["model.norm.weight"] = (HIDDEN,)
    tensors = {}
    for name, shape in shapes.items():
        # Wide enough that greedy decoding does not fall into one token for every prompt.
        norm = name.endswith("norm.weight")
        values = np.ones(shape) if norm else generator.normal(0.0, 0.08, shape)
        tensors[name] = values.astype(np.float16)
    # Through memory: safetensors hides the reason when a file cannot be written.
    path.write_bytes(save(tensors, {"format": "pt"}))


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
