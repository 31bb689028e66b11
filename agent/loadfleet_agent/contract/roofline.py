"""What a GPU can do at most for a model: the time of its arithmetic and of its memory traffic.

The roofline model (Williams, Waterman, Patterson, CACM 52/4, 2009) for a transformer that answers
prompts: a multiply and an add for each weight and token, the weights read once in each step of
decoding for all sequences of the batch, the KV cache read once for each token that is made.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .base import Frozen

GIB = 1 << 30
RESERVE_BYTES = 1.2 * GIB
"""Activations, CUDA graphs and the CUDA context beside weights and KV cache: an estimate."""
EXPECTED_SHARE = (0.5, 0.75)
"""Of the limit without overlap that vLLM reaches: 0.67 (bfloat16) and 0.59 (fp8) were measured on
an H100 with Llama-3.1-8B's geometry."""


KV_VALUE_BYTES = {
    "auto": 2.0,
    "bfloat16": 2.0,
    "float16": 2.0,
    "fp8": 1.0,
    "fp8_e4m3": 1.0,
    "fp8_e5m2": 1.0,
}
"""vLLM's kv_cache_dtype to bytes of a value; auto is the model's dtype, here 16 bit."""


class Precision(StrEnum):
    """Of weights, and of the arithmetic that goes with them where the GPU has it."""

    BF16 = "bf16"
    FP8 = "fp8"
    W8A8 = "w8a8"
    """int8 weights and activations."""
    W4A16 = "w4a16"
    """int4 weights, 16-bit arithmetic."""

    @property
    def weight_bytes(self) -> float:
        """Bytes of a weight of the layers. int4 has a 16-bit scale for each group of 128."""
        return {"bf16": 2.0, "fp8": 1.0, "w8a8": 1.0, "w4a16": 0.5 + 2 / 128}[self.value]


class GpuModel(Frozen):
    """Published peaks of a GPU: dense matrix arithmetic on its tensor cores, memory bandwidth."""

    name: str = Field(description="pattern over NVML's name")
    memory_bytes_per_s: float
    bf16_flops: float
    int8_ops: float | None
    fp8_flops: float | None

    def peak(self, precision: Precision) -> float:
        """Operations a second in the arithmetic that a precision runs in.

        Without units of its own a precision saves memory only: it runs in 16 bit.
        """
        if precision is Precision.FP8 and self.fp8_flops:
            return self.fp8_flops
        if precision is Precision.W8A8 and self.int8_ops:
            return self.int8_ops
        return self.bf16_flops

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """Those whose arithmetic it has; 16-bit arithmetic also serves int4 weights."""
        has = {
            Precision.BF16: True,
            Precision.FP8: self.fp8_flops is not None,
            Precision.W8A8: self.int8_ops is not None,
            Precision.W4A16: True,
        }
        return tuple(precision for precision in Precision if has[precision])

    def times(self, count: int) -> GpuModel:
        """``count`` of these GPUs as if they were one: tensor parallelism at its very best."""
        return GpuModel(
            name=self.name,
            memory_bytes_per_s=self.memory_bytes_per_s * count,
            bf16_flops=self.bf16_flops * count,
            int8_ops=self.int8_ops * count if self.int8_ops else None,
            fp8_flops=self.fp8_flops * count if self.fp8_flops else None,
        )


def _gpu(
    name: str, gigabytes_per_s: float, bf16: float, int8: float | None, fp8: float | None
) -> GpuModel:
    """Bandwidth in GB/s, arithmetic in TFLOP/s or TOP/s."""
    return GpuModel(
        name=name,
        memory_bytes_per_s=gigabytes_per_s * 1e9,
        bf16_flops=bf16 * 1e12,
        int8_ops=int8 * 1e12 if int8 else None,
        fp8_flops=fp8 * 1e12 if fp8 else None,
    )


GPU_MODELS = (
    _gpu(r"A30\b", 933, 165, 330, None),
    _gpu(r"A100.*80GB", 2039, 312, 624, None),
    _gpu(r"A100.*40GB", 1555, 312, 624, None),
    _gpu(r"A10\b", 600, 125, 250, None),
    _gpu(r"A40\b", 696, 149.7, 299.3, None),
    _gpu(r"L4\b", 300, 121, 242, 242),
    _gpu(r"L40S", 864, 362, 733, 733),
    _gpu(r"H100 PCIe", 2039, 756, 1513, 1513),
    _gpu(r"H100 NVL", 3938, 835, 1671, 1671),
    _gpu(r"H100", 3352, 989, 1979, 1979),
    _gpu(r"H200 NVL", 4800, 835, 1671, 1671),
    _gpu(r"H200", 4800, 989, 1979, 1979),
)
"""NVIDIA's data sheets, without sparsity; the first that fits a name counts."""


def gpu_model(name: str) -> GpuModel | None:
    """The peaks of a GPU by NVML's name; None if it is not one of those above."""
    return next((model for model in GPU_MODELS if re.search(model.name, name)), None)


Size = Annotated[int, Field(gt=0, le=2**32)]


class Geometry(Frozen):
    """What of a Llama decides the work of a token. The defaults are Llama-3.1-8B's."""

    layers: Size = 32
    hidden: Size = 4096
    intermediate: Size = 14_336
    heads: Size = 32
    kv_heads: Size = 8
    head_size: Size = 128
    vocabulary: Size = 128_256

    @property
    def layer_weights(self) -> int:
        """Of all layers, without norms."""
        attention = self.hidden * self.head_size * (2 * self.heads + 2 * self.kv_heads)
        return self.layers * (attention + 3 * self.hidden * self.intermediate)

    @property
    def head_weights(self) -> int:
        """Of the output projection; the embedding of the input is as large."""
        return self.hidden * self.vocabulary

    def kv_bytes(self, cache_bytes: float) -> float:
        """Bytes of KV cache a token takes, with ``cache_bytes`` for each value."""
        return 2 * self.layers * self.kv_heads * self.head_size * cache_bytes

    def weight_bytes(self, precision: Precision) -> float:
        """Of the whole model in memory; the two projections of the vocabulary stay in 16 bit."""
        return self.layer_weights * precision.weight_bytes + 2 * 2.0 * self.head_weights

    def operations(self, prompt: float, answer: float) -> float:
        """Of one sample: two for each weight and token, and those of causal attention.

        The output projection is needed for the tokens that are made alone.
        """
        tokens = prompt + answer
        attention = 2 * self.layers * self.heads * self.head_size * tokens**2
        return 2 * (self.layer_weights * tokens + self.head_weights * answer) + attention


class Roofline(Frozen):
    """Limits of one GPU for samples of one size. No run can be faster than ``limit``."""

    gpu: str
    precision: Precision
    prompt_tokens: float
    answer_tokens: float
    weight_gib: float
    kv_tokens: int = Field(description="tokens that the KV cache holds")
    sequences: int = Field(description="whole samples that it holds at once")
    prefill_tokens_per_s: float = Field(description="prompt tokens, by arithmetic alone")
    decode_tokens_per_s: float = Field(description="answer tokens, by memory traffic alone")
    limit_samples_per_s: float = Field(
        description="if arithmetic and memory traffic overlapped wholly"
    )
    serial_samples_per_s: float = Field(description="if they did not overlap at all")

    @property
    def expected_samples_per_s(self) -> tuple[float, float]:
        """Where a well-set vLLM is likely to end."""
        low, high = EXPECTED_SHARE
        return low * self.serial_samples_per_s, high * self.serial_samples_per_s


def roofline(
    gpu: GpuModel,
    gpu_name: str,
    memory_bytes: float,
    precision: Precision,
    *,
    geometry: Geometry | None = None,
    prompt_tokens: float,
    answer_tokens: float,
    memory_share: float = 0.92,
    kv_value_bytes: float = 2.0,
    max_sequences: int | None = None,
    kv_tokens: int | None = None,
) -> Roofline | None:
    """The limits of one GPU that holds the whole model; None if it cannot hold it.

    ``kv_tokens``: as the engine has measured it; else the memory that weights and
    ``RESERVE_BYTES`` leave of ``memory_share``.
    """
    geometry = geometry or Geometry()
    weights = geometry.weight_bytes(precision)
    kv_of_token = geometry.kv_bytes(kv_value_bytes)
    if kv_tokens is None:
        kv_tokens = int((memory_bytes * memory_share - weights - RESERVE_BYTES) / kv_of_token)
    sequences = int(kv_tokens / (prompt_tokens + answer_tokens))
    if sequences < 1:
        return None
    # Sequences in all stages of their answers are in the batch: each has half of it on average.
    held = kv_tokens / (prompt_tokens + answer_tokens / 2)
    batch = min(held, max_sequences or held)
    peak = gpu.peak(precision)
    arithmetic_s = geometry.operations(prompt_tokens, answer_tokens) / peak
    read_weights = (
        geometry.layer_weights * precision.weight_bytes + 2.0 * geometry.head_weights
    ) / batch
    read_cache = kv_of_token * (prompt_tokens + answer_tokens / 2)
    step_s = (read_weights + read_cache) / gpu.memory_bytes_per_s
    memory_s = answer_tokens * step_s
    return Roofline(
        gpu=gpu_name,
        precision=precision,
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
        weight_gib=weights / GIB,
        kv_tokens=kv_tokens,
        sequences=sequences,
        prefill_tokens_per_s=peak * prompt_tokens / geometry.operations(prompt_tokens, 0),
        decode_tokens_per_s=1 / step_s,
        limit_samples_per_s=1 / max(arithmetic_s, memory_s),
        serial_samples_per_s=1 / (arithmetic_s + memory_s),
    )
