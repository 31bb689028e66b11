"""What a model's config.json says of its shape and of the precision of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ..contract.roofline import Geometry, Precision

FP8_METHODS = frozenset({"fp8", "fbgemm_fp8"})
KINDS: dict[tuple[Any, ...], Precision] = {
    ("float", 8, True): Precision.FP8,
    ("int", 8, True): Precision.W8A8,
    ("int", 4, False): Precision.W4A16,
}
"""Type and bits of the weights, and whether activations are quantised too."""
INT4_METHODS = frozenset({"gptq", "awq", "gptq_marlin", "awq_marlin"})


def read_geometry(config: Mapping[str, Any]) -> Geometry | None:
    """The shape of a Llama; None where the file does not tell all of it."""
    try:
        heads = config["num_attention_heads"]
        return Geometry(
            layers=config["num_hidden_layers"],
            hidden=config["hidden_size"],
            intermediate=config["intermediate_size"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads", heads),
            head_size=config.get("head_dim") or config["hidden_size"] // heads,
            vocabulary=config["vocab_size"],
        )
    except (KeyError, TypeError, ZeroDivisionError, ValidationError):
        return None


def read_precision(config: Mapping[str, Any]) -> Precision | None:
    """Of the weights as they are stored; None for a form that is not known here.

    The forms are those of compressed-tensors, GPTQ, AWQ, FBGEMM and ModelOpt checkpoints.
    """
    quantised = config.get("quantization_config")
    if not quantised:
        return Precision.BF16
    if not isinstance(quantised, Mapping):
        return None
    method = str(quantised.get("quant_method", "")).lower()
    if method in FP8_METHODS or str(quantised.get("quant_algo", "")).upper() == "FP8":
        return Precision.FP8
    if method in INT4_METHODS:
        return Precision.W4A16 if quantised.get("bits", 4) == 4 else None
    if method == "compressed-tensors":
        found = {_of_group(group) for group in _groups(quantised)}
        return found.pop() if len(found) == 1 else None
    return None


def _groups(quantised: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    groups = quantised.get("config_groups")
    if not isinstance(groups, Mapping):
        return []
    return [group for group in groups.values() if isinstance(group, Mapping)]


def _of_group(group: Mapping[str, Any]) -> Precision | None:
    weights, activations = group.get("weights") or {}, group.get("input_activations")
    kind = (weights.get("type"), weights.get("num_bits"), activations is not None)
    return KINDS.get(kind)
