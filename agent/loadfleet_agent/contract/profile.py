"""Profiles: named engine settings in a YAML file, which a user overrides key by key."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError

from .base import Frozen
from .benchmark import MAX_OUTPUT_TOKENS, MIN_OUTPUT_TOKENS, Mode
from .dataset import DatasetChain
from .model import ModelSource
from .needs import Needs
from .tuning import Tuning

PROFILES = Path(__file__).parent.parent / "profiles"


class Build(StrEnum):
    """The build of vLLM that a profile needs; the two are never installed together."""

    CPU = "cpu"
    CUDA = "cuda"


class EngineSettings(Frozen):
    """What the engine is started with. Names are vLLM's own where it has one."""

    kind: Literal["vllm", "null"] = Field(
        default="vllm",
        description="vllm, or null: instant made-up tokens, to measure the harness alone",
    )
    dtype: Literal["bfloat16", "float16", "float32"] = Field(
        default="bfloat16", description="of weights and activations"
    )
    quantization: str | None = Field(default=None, description="vLLM's name; None: as the model")
    kv_cache_dtype: str = Field(default="auto", description="vLLM's name; auto: as dtype")
    max_model_len: int = Field(
        default=2688, ge=64, description="longest prompt plus answer, tokens"
    )
    max_num_seqs: int = Field(default=256, ge=1, description="sequences in one engine step")
    max_num_batched_tokens: int | None = Field(
        default=None, ge=1, description="tokens in one engine step; default: vLLM's choice"
    )
    gpu_memory_utilization: float = Field(
        default=0.92, gt=0, le=1, description="share of the GPU's memory that vLLM may take"
    )
    cpu_kv_cache_gib: int = Field(default=1, ge=1, description="KV cache of the CPU build, GiB")
    tensor_parallel_size: int = Field(default=1, ge=1, description="GPUs that share one model")
    replicas: int | None = Field(
        default=None,
        ge=1,
        description="engines on a host, each with tensor_parallel_size GPUs and a copy of the "
        "model, behind one LoadGen; default: as many as its GPUs allow, 1 on the CPU build",
    )
    enforce_eager: bool = Field(default=False, description="no CUDA graphs, no torch.compile")
    enable_prefix_caching: bool = Field(
        default=False, description="MLPerf forbids reuse of KV blocks across queries"
    )
    attention_backend: str | None = Field(
        default=None, description="vLLM's name, e.g. FLASH_ATTN; default: vLLM's choice"
    )
    performance_mode: Literal["balanced", "interactivity", "throughput"] = Field(
        default="balanced", description="vLLM's choice of kernels and CUDA graphs"
    )
    stream_interval: int = Field(
        default=1,
        ge=1,
        description="tokens that vLLM hands over at a time in Server and Interactive, after the "
        "first",
    )
    load_format: Literal["auto", "dummy"] = Field(
        default="auto", description="dummy: random weights, a speed without an accuracy"
    )
    seed: int = Field(default=0, description="vLLM's own; decoding is greedy all the same")


class Generation(Frozen):
    """Greedy decoding as MLPerf's reference does it; other values make the result non-MLPerf."""

    max_tokens: int = Field(
        default=MAX_OUTPUT_TOKENS, ge=2, le=4096, description="longest answer, tokens"
    )
    min_tokens: int = Field(default=MIN_OUTPUT_TOKENS, ge=1, description="shortest answer, tokens")


class Profile(Frozen):
    """A profile file."""

    description: str
    build: Build
    engine: EngineSettings = EngineSettings()
    generation: Generation = Generation()
    environment: dict[str, str] = Field(
        default={}, description="environment variables of the engine's process"
    )
    model: ModelSource | None = Field(default=None, description="unless the user names one")
    dataset: DatasetChain | None = Field(default=None, description="unless the user names one")
    needs: Needs = Field(default=Needs(), description="of the GPUs and of the model")
    modes: tuple[Mode, ...] = Field(
        default=(Mode.PERFORMANCE, Mode.ACCURACY), min_length=1, description="unless the user does"
    )
    tuning: Tuning | None = Field(
        default=None, description="evidence, where loadfleet-agent tune has made the profile"
    )


class ProfileError(ValueError):
    """A profile that is absent or wrong; the text says which file and key."""


def known_profiles() -> list[str]:
    """Names of the profiles that ship with the agent."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def load_profile(name_or_path: str) -> Profile:
    """Reads a shipped profile by name, or a profile file by path.

    Raises ProfileError if there is none, or if it has a wrong key or value.
    """
    path = PROFILES / f"{name_or_path}.yaml"
    if "/" in name_or_path or name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path).expanduser()
    if not path.is_file():
        raise ProfileError(
            f"no profile {name_or_path!r}: give one of {', '.join(known_profiles())} "
            "or the path of a profile file"
        )
    try:
        return Profile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise ProfileError(f"{path}: not YAML: {str(error).splitlines()[0]}") from error
    except UnicodeDecodeError as error:
        raise ProfileError(f"{path}: not UTF-8 text") from error
    except ValidationError as error:
        raise ProfileError(f"{path}: {describe_errors(error)}") from error


def describe_errors(error: ValidationError) -> str:
    """Pydantic's findings on one line: key, what is wrong, the value."""
    parts = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"]) or "the whole"
        if item["type"] == "extra_forbidden":
            parts.append(f"{key}: no such key")
        elif item["type"] == "missing":
            parts.append(f"{key}: missing")
        else:
            message = item["msg"].removeprefix("Value error, ")
            parts.append(f"{key}: {message[:1].lower()}{message[1:]} (got {item['input']!r:.60})")
    return "; ".join(parts)
