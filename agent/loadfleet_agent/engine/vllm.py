"""vLLM in this process through AsyncLLM: one code path for the CPU and the CUDA build."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
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
from .base import ContinuationScore, EngineDied, EngineLoad, EngineStartError
from .version import installed
from .vllm_load import LoadMeter, MeteredLLM

MOST_GIVEN_TOKENS = 20
"""vLLM's own limit (``max_logprobs``) unless it is raised."""
ONE_TOKEN = {"temperature": 0.0, "max_tokens": 1, "detokenize": False}
"""Of a request that is scored: vLLM generates one token at least, here the likeliest."""
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
        # Not all of the versions that we take have it; without, each token is a pass of its own.
        self._scores_given_tokens = "logprob_token_ids" in SamplingParams.__struct_fields__
        self._sampling_of = functools.lru_cache(self._make_sampling)

    def _sampling(self, kind: RequestOutputKind) -> SamplingParams:
        return SamplingParams(**sampling_arguments(self._plan, self._model), output_kind=kind)

    def _make_sampling(self, stream: bool, max_tokens: int) -> SamplingParams:
        """As the plan's, but for the length: what asks so knows its answers' form, and one may
        be empty."""
        arguments = sampling_arguments(self._plan, self._model)
        return SamplingParams(
            **(arguments | {"max_tokens": max_tokens, "min_tokens": 0}),
            output_kind=RequestOutputKind.DELTA if stream else RequestOutputKind.FINAL_ONLY,
        )

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
        self,
        request_id: str,
        prompt: Sequence[int],
        *,
        stream: bool,
        max_tokens: int | None = None,
    ) -> AsyncGenerator[Sequence[int], None]:
        if self._llm is None:
            raise EngineDied("the engine was not started")
        sampling = self._streamed if stream else self._whole
        if max_tokens is not None:
            sampling = self._sampling_of(stream, max_tokens)
        outputs = self._llm.generate({"prompt_token_ids": prompt}, sampling, request_id=request_id)
        try:
            async for output in outputs:
                if tokens := output.outputs[0].token_ids:
                    yield tokens
        except EngineDeadError as error:
            raise EngineDied(str(error) or "vLLM's engine core is dead") from error
        finally:
            await outputs.aclose()  # aborts what was left before its end

    async def score(
        self, request_id: str, prompt: Sequence[int], continuations: Sequence[Sequence[int]]
    ) -> list[ContinuationScore]:
        single = sorted({tokens[0] for tokens in continuations if len(tokens) == 1})
        scored: dict[int, ContinuationScore] = {}
        if self._scores_given_tokens and 0 < len(single) <= MOST_GIVEN_TOKENS:
            scored = await self._score_next(request_id, prompt, single)

        async def one(index: int, tokens: Sequence[int]) -> ContinuationScore:
            if len(tokens) == 1 and tokens[0] in scored:
                return scored[tokens[0]]
            return await self._score_after(f"{request_id}-{index}", prompt, tokens)

        return await asyncio.gather(
            *(one(index, tokens) for index, tokens in enumerate(continuations))
        )

    async def _score_next(
        self, request_id: str, prompt: Sequence[int], tokens: list[int]
    ) -> dict[int, ContinuationScore]:
        """Of these tokens as the next one, in one pass; without those that vLLM left out."""
        sampling = SamplingParams(
            **ONE_TOKEN,
            logprobs=len(tokens),
            logprob_token_ids=tokens,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        answer = (await self._last_output(request_id, prompt, sampling)).outputs[0]
        told = answer.logprobs[0]
        return {
            token: ContinuationScore(told[token].logprob, greedy=answer.token_ids[0] == token)
            for token in tokens
            if token in told
        }

    async def _score_after(
        self, request_id: str, prompt: Sequence[int], tokens: Sequence[int]
    ) -> ContinuationScore:
        """Of several tokens, from what vLLM finds of each token of prompt and continuation."""
        sampling = SamplingParams(
            **ONE_TOKEN, prompt_logprobs=1, output_kind=RequestOutputKind.FINAL_ONLY
        )
        output = await self._last_output(request_id, [*prompt, *tokens], sampling)
        told = output.prompt_logprobs[len(prompt) :]
        return ContinuationScore(
            sum(of[token].logprob for of, token in zip(told, tokens, strict=True)),
            greedy=all(of[token].rank == 1 for of, token in zip(told, tokens, strict=True)),
        )

    async def _last_output(
        self, request_id: str, prompt: Sequence[int], sampling: SamplingParams
    ) -> Any:
        if self._llm is None:
            raise EngineDied("the engine was not started")
        last = None
        try:
            async for output in self._llm.generate(
                {"prompt_token_ids": prompt}, sampling, request_id=request_id
            ):
                last = output
        except EngineDeadError as error:
            raise EngineDied(str(error) or "vLLM's engine core is dead") from error
        if last is None:
            raise EngineDied("vLLM gave no answer")
        return last

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
