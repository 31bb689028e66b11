"""vLLM in this process through AsyncLLM: one code path for the CPU and the CUDA build."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from enum import Enum
from typing import Any

from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError

from ..contract.plan import RunPlan
from ..contract.profile import Build
from ..contract.result import EngineFacts, ModelFacts
from ..contract.status import FailureCode
from ..host.placement import Placement
from .base import EngineDied, EngineLoad, EngineStartError
from .version import installed
from .vllm_load import LoadMeter, MeteredLLM

UNIPROC = "vllm.v1.executor.uniproc_executor.UniProcExecutor"


class VllmEngine:
    """One vLLM engine; its core runs in a process of its own, apart from LoadGen's thread.

    ``placement``: its GPUs and processors; None on the CPU build, which binds its own threads.
    """

    def __init__(
        self, plan: RunPlan, model: ModelFacts, placement: Placement | None = None
    ) -> None:
        self._placement = placement
        self._plan = plan
        self._model = model
        self._llm: AsyncLLM | None = None
        self._meter = LoadMeter()
        self._streamed = self._sampling(RequestOutputKind.DELTA)
        self._whole = self._sampling(RequestOutputKind.FINAL_ONLY)

    def _sampling(self, kind: RequestOutputKind) -> SamplingParams:
        return SamplingParams(**sampling_arguments(self._plan, self._model), output_kind=kind)

    async def start(self) -> EngineFacts:
        began = time.monotonic()
        try:
            with _placed(self._placement):
                self._llm = MeteredLLM.start(
                    AsyncEngineArgs(**engine_arguments(self._plan, self._model.path)), self._meter
                )
        except Exception as error:  # vLLM raises many kinds; each becomes a coded failure
            raise EngineStartError(*_explain(error)) from error
        return EngineFacts(
            kind="vllm",
            version=_version(),
            start_s=round(time.monotonic() - began, 1),
            settings=_resolved_settings(self._llm.vllm_config),
            gpus=tuple(gpu.index for gpu in self._placement.gpus) if self._placement else (),
        )

    async def generate(
        self, request_id: str, prompt: Sequence[int], *, stream: bool
    ) -> AsyncIterator[Sequence[int]]:
        if self._llm is None:
            raise EngineDied("the engine was not started")
        try:
            async for output in self._llm.generate(
                {"prompt_token_ids": prompt},
                self._streamed if stream else self._whole,
                request_id=request_id,
            ):
                if tokens := output.outputs[0].token_ids:
                    yield tokens
        except EngineDeadError as error:
            raise EngineDied(str(error) or "vLLM's engine core is dead") from error

    def load(self) -> EngineLoad | None:
        return self._meter.load

    async def stop(self) -> None:
        if self._llm is not None:
            self._llm.shutdown()
            self._llm = None


@contextlib.contextmanager
def _placed(placement: Placement | None) -> Iterator[None]:
    """What this thread starts meanwhile sees these GPUs alone and runs on these processors."""
    if placement is None:
        yield
        return
    given = {
        # NVML counts in this order, CUDA by default in another one.
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": ",".join(str(gpu.index) for gpu in placement.gpus),
    }
    before = {name: os.environ.get(name) for name in given}
    cpus = os.sched_getaffinity(0)
    os.environ.update(given)
    if placement.cpus:
        os.sched_setaffinity(0, placement.cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cpus)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def sampling_arguments(plan: RunPlan, model: ModelFacts) -> dict[str, Any]:
    """Greedy decoding as MLPerf's reference does it, for vLLM's SamplingParams."""
    return {
        "temperature": 0.0,
        "top_k": 1,
        "top_p": 1.0,
        "max_tokens": plan.generation.max_tokens,
        "min_tokens": plan.generation.min_tokens,
        "stop_token_ids": list(model.stop_token_ids),
        "detokenize": False,
    }


def engine_arguments(plan: RunPlan, model_path: str) -> dict[str, Any]:
    """The plan's engine settings under vLLM's own names, for AsyncEngineArgs and LLM."""
    engine = plan.engine
    arguments: dict[str, Any] = {
        "model": model_path,
        "dtype": engine.dtype,
        "quantization": engine.quantization,
        "kv_cache_dtype": engine.kv_cache_dtype,
        "max_model_len": engine.max_model_len,
        "max_num_seqs": engine.max_num_seqs,
        "max_num_batched_tokens": engine.max_num_batched_tokens,
        "tensor_parallel_size": engine.tensor_parallel_size,
        "enforce_eager": engine.enforce_eager,
        "enable_prefix_caching": engine.enable_prefix_caching,
        "performance_mode": engine.performance_mode,
        "stream_interval": engine.stream_interval,
        "load_format": engine.load_format,
        "seed": engine.seed,
        # Prompts are token ids and answers stay token ids.
        "skip_tokenizer_init": True,
        "disable_log_stats": True,
    }
    if plan.build is Build.CUDA:
        arguments["gpu_memory_utilization"] = engine.gpu_memory_utilization
    elif engine.tensor_parallel_size == 1:
        # As on one GPU: the model in the engine core's process. By default the CPU build puts it
        # into a third one, which spins on its queue and takes a whole core from the others.
        arguments["distributed_executor_backend"] = UNIPROC
    if engine.attention_backend is not None:
        arguments["attention_backend"] = engine.attention_backend
    return arguments


def _version() -> str:
    return " ".join(installed() or ("vllm of unknown version",))


def _resolved_settings(config: Any) -> dict[str, str | int | float | bool | None]:
    """What vLLM made of the arguments; None where this version does not say."""

    def read(*path: str) -> str | int | float | bool | None:
        value = config
        for name in path:
            value = getattr(value, name, None)
        if isinstance(value, Enum):  # the attention backend, whose value is a module's path
            value = value.name
        return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)

    return {
        "dtype": read("model_config", "dtype"),
        "quantization": read("model_config", "quantization"),
        "max_model_len": read("model_config", "max_model_len"),
        "max_num_seqs": read("scheduler_config", "max_num_seqs"),
        "max_num_batched_tokens": read("scheduler_config", "max_num_batched_tokens"),
        "chunked_prefill": read("scheduler_config", "enable_chunked_prefill"),
        "async_scheduling": read("scheduler_config", "async_scheduling"),
        "stream_interval": read("scheduler_config", "stream_interval"),
        "performance_mode": read("performance_mode"),
        "kv_cache_dtype": read("cache_config", "cache_dtype"),
        "kv_cache_block_size": read("cache_config", "block_size"),
        "kv_cache_blocks": read("cache_config", "num_gpu_blocks"),
        "prefix_caching": read("cache_config", "enable_prefix_caching"),
        "gpu_memory_utilization": read("cache_config", "gpu_memory_utilization"),
        "tensor_parallel_size": read("parallel_config", "tensor_parallel_size"),
        "attention_backend": read("attention_config", "backend"),
        "enforce_eager": read("model_config", "enforce_eager"),
    }


def _explain(error: BaseException) -> tuple[FailureCode, str]:
    """The failure code that fits vLLM's exception, and its text on one line."""
    text = " ".join(str(error).split())[:400] or type(error).__name__
    chain = f"{type(error).__name__} {text} {error.__cause__}".lower()
    if "out of memory" in chain or ("kv cache" in chain and "memory" in chain):
        return FailureCode.OUT_OF_GPU_MEMORY, text
    if "driver" in chain and ("too old" in chain or "insufficient" in chain):
        return FailureCode.DRIVER_TOO_OLD, text
    return FailureCode.ENGINE_START, text
