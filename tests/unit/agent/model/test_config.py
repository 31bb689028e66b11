"""Shape and precision from config.json, in the forms that public checkpoints have."""

from __future__ import annotations

from typing import Any

import pytest
from loadfleet_agent.contract.roofline import Geometry, Precision
from loadfleet_agent.model.config import read_geometry, read_precision
from loadfleet_agent.model.dummy_llama import CONFIG


def compressed(weights: dict[str, Any], activations: dict[str, Any] | None) -> dict[str, Any]:
    group = {"targets": ["Linear"], "weights": weights, "input_activations": activations}
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}}


INT8, INT4 = {"type": "int", "num_bits": 8}, {"type": "int", "num_bits": 4}
FP8 = {"type": "float", "num_bits": 8}


@pytest.mark.parametrize(
    ("quantised", "precision"),
    [
        (None, Precision.BF16),
        (compressed(INT8, INT8), Precision.W8A8),
        (compressed(FP8, FP8), Precision.FP8),
        (compressed(INT4, None), Precision.W4A16),
        (compressed(INT8, None), None),
        ({"quant_method": "gptq", "bits": 4}, Precision.W4A16),
        ({"quant_method": "gptq", "bits": 8}, None),
        ({"quant_method": "awq", "bits": 4}, Precision.W4A16),
        ({"quant_method": "fbgemm_fp8"}, Precision.FP8),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, Precision.FP8),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, None),
        ({"quant_method": "compressed-tensors"}, None),
        ({"quant_method": "bitsandbytes"}, None),
        ("int8", None),
    ],
)
def test_the_precision_is_that_of_the_checkpoint(
    quantised: Any, precision: Precision | None
) -> None:
    config = {} if quantised is None else {"quantization_config": quantised}
    assert read_precision(config) == precision


def test_a_checkpoint_of_two_precisions_is_not_known() -> None:
    mixed = compressed(INT8, INT8)
    mixed["config_groups"]["group_1"] = {"weights": INT4, "input_activations": None}
    assert read_precision({"quantization_config": mixed}) is None


def test_the_geometry_is_read_as_it_stands() -> None:
    assert read_geometry(CONFIG) == Geometry()


def test_an_older_file_without_head_dim_has_the_same_geometry() -> None:
    older = {key: value for key, value in CONFIG.items() if key != "head_dim"}
    assert read_geometry(older) == Geometry()


@pytest.mark.parametrize("missing", ["num_hidden_layers", "hidden_size", "vocab_size"])
def test_a_file_that_does_not_tell_has_none(missing: str) -> None:
    assert read_geometry({k: v for k, v in CONFIG.items() if k != missing}) is None
    assert read_geometry(CONFIG | {missing: "many"}) is None
