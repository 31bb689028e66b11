"""Our engine as a language model of lm_eval."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from ..contract.status import FailureCode
from ..engine.base import ContinuationScore, Engine, EngineDied
from ..failure import RunFailure
from .decoding import DecodedText
from .prompts import Pair, PromptEncoder, prompt_sha256

Result = TypeVar("Result")

USUAL_ANSWER_TOKENS = 256
"""Of a task that names no limit, as in lm_eval's own vLLM backend."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt as the engine got it."""

    tokens: int
    sha256: bytes


@dataclass
class Progress:
    """What was asked and answered so far; read from another thread."""

    total: int = 0
    done: int = 0
    output_tokens: int = 0
    prompt_tokens: list[int] = field(default_factory=list)
    busy_s: float = 0.0
    """In which lm_eval waited for answers: prompts become token ids, the engine works."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What a task wants generated."""

    stops: tuple[str, ...]
    max_tokens: int
    greedy: bool


def generation_of(arguments: dict[str, Any], end: str) -> Generation:
    """From a task's ``generation_kwargs``, as lm_eval reads them; ``end`` is a stop string too."""
    known: Any = normalize_gen_kwargs(arguments, default_max_gen_toks=USUAL_ANSWER_TOKENS)
    stops = handle_stop_sequences(known["until"], eos=end)
    greedy = not known.get("temperature") and not known.get("do_sample")
    return Generation(tuple(stops), int(known["max_gen_toks"]), greedy)


class EngineLanguageModel(TemplateLM):  # type: ignore[misc]  # lm_eval is not looked at
    """Answers lm_eval's requests with an engine that is loaded already.

    lm_eval calls from one thread; ``loop`` is the engine's and runs in another. Whatever is asked
    at once goes to the engine at once, which makes its own batches. Raises RunFailure if the engine
    dies, or after ``abort``.
    """

    def __init__(
        self,
        encoder: PromptEncoder,
        engine: Engine,
        loop: asyncio.AbstractEventLoop,
        stop_token_ids: Iterable[int],
        tag: str,
    ) -> None:
        super().__init__()
        self._encoder = encoder
        self._engine = engine
        self._loop = loop
        self._stop_ids = frozenset(stop_token_ids)
        self._tag = tag
        self._count = 0
        self._working: Future[Any] | None = None
        self._is_aborted = False
        self.tokenizer = encoder.tokenizer
        self.progress = Progress()
        self.asked: dict[str, Asked] = {}
        """By the text of the context."""

    def abort(self) -> None:
        """Ends what is asked now, and lets nothing more be asked. From any thread."""
        self._is_aborted = True
        if self._working is not None:
            self._working.cancel()

    # What lm_eval asks of every model.

    @property
    def eot_token_id(self) -> int:
        return self._encoder.end_id

    @property
    def prefix_token_id(self) -> int:
        return self._encoder.prefix_id

    @property
    def tokenizer_name(self) -> str:
        return str(self.tokenizer.name_or_path).replace("/", "__")

    def tok_encode(
        self,
        string: str,
        add_special_tokens: bool | None = None,
        **_: Any,
    ) -> list[int]:
        (ids,) = self._encoder.encode([string], special_tokens=add_special_tokens is not False)
        return ids

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        return self._encoder.apply_chat_template(chat_history, add_generation_prompt)

    def loglikelihood(
        self,
        requests: list[Instance],
        disable_tqdm: bool = False,  # noqa: ARG002
    ) -> list[tuple[float, bool]]:
        texts = [request.args for request in requests]
        with self._busy():
            pairs = self._encoder.encode_pairs(texts)
            for (context, _), pair in zip(texts, pairs, strict=True):
                self._note(context, pair.context)
            return [(item.log_probability, item.greedy) for item in self._score(pairs)]

    def _loglikelihood_tokens(
        self, requests: list[tuple[tuple[str, str], list[int], list[int]]], **_: Any
    ) -> list[tuple[float, bool]]:
        pairs = [Pair(tuple(context), tuple(after)) for _, context, after in requests]
        with self._busy():
            return [(item.log_probability, item.greedy) for item in self._score(pairs)]

    def loglikelihood_rolling(
        self,
        requests: list[Instance],
        disable_tqdm: bool = False,  # noqa: ARG002
    ) -> list[float]:
        pairs: list[Pair] = []
        counts: list[int] = []
        with self._busy():
            for request in requests:
                (text,) = request.args
                windows = self._windows(text)
                pairs += windows
                counts.append(len(windows))
            scores = iter(self._score(pairs))
            return [sum(next(scores).log_probability for _ in range(count)) for count in counts]

    def _windows(self, text: str) -> list[Pair]:
        """A text in parts that fit, each after what the context has room for of those before."""
        windows = get_rolling_token_windows(
            token_list=self.tok_encode(text),
            prefix_token=self.prefix_token_id,
            max_seq_len=self.max_length - 2,
            context_len=1,
        )
        found = map(make_disjoint_window, windows)
        return [Pair(tuple(before), tuple(after)) for before, after in found]

    def generate_until(
        self,
        requests: list[Instance],
        disable_tqdm: bool = False,  # noqa: ARG002
    ) -> list[str]:
        texts = [request.args[0] for request in requests]
        with self._busy():
            prompts = self._encoder.encode(texts)
            for text, prompt in zip(texts, prompts, strict=True):
                self._note(text, prompt)
            wanted = [generation_of(request.args[1], self._encoder.end) for request in requests]
            work = [self._generate(*item) for item in zip(prompts, wanted, strict=True)]
            self.progress.prompt_tokens += map(len, prompts)
            return self._ask(work)

    # Over the engine.

    max_length = 0
    """The engine's context; set by who makes this."""

    def _score(self, pairs: Sequence[Pair]) -> list[ContinuationScore]:
        """The continuations of one context together, so that letters are one request."""
        groups: dict[tuple[int, ...], dict[tuple[int, ...], None]] = {}
        for pair in pairs:
            groups.setdefault(pair.context, {})[pair.continuation] = None
        self.progress.prompt_tokens += map(len, groups)
        scores = self._ask(
            [self._score_group(context, list(after)) for context, after in groups.items()]
        )
        found = {
            (context, tokens): score
            for (context, after), of_group in zip(groups.items(), scores, strict=True)
            for tokens, score in zip(after, of_group, strict=True)
        }
        return [found[pair.context, pair.continuation] for pair in pairs]

    async def _score_group(
        self, context: tuple[int, ...], continuations: list[tuple[int, ...]]
    ) -> list[ContinuationScore]:
        scores = await self._engine.score(self._name(), context, continuations)
        self.progress.done += 1
        return scores

    async def _generate(self, prompt: list[int], wanted: Generation) -> str:
        text = DecodedText(self.tokenizer._tokenizer, prompt, wanted.stops)
        # The end token ends the answer by itself; for another stop string its text is watched.
        watched = any(stop and stop != self._encoder.end for stop in wanted.stops)
        parts = self._engine.generate(
            self._name(), prompt, stream=watched, max_tokens=wanted.max_tokens
        )
        async with contextlib.aclosing(parts):
            async for part in parts:
                for token in part:
                    self.progress.output_tokens += 1
                    if token in self._stop_ids:
                        break
                    text.add(token)
                if text.stopped:
                    break
        self.progress.done += 1
        return text.text

    def _name(self) -> str:
        self._count += 1
        return f"{self._tag}-{self._count}"

    def _note(self, text: str, prompt: Sequence[int]) -> None:
        if text not in self.asked:
            self.asked[text] = Asked(len(prompt), prompt_sha256(prompt))

    def _ask(self, work: list[Coroutine[Any, Any, Result]]) -> list[Result]:
        self.progress.total += len(work)
        self._working = asyncio.run_coroutine_threadsafe(_all(work), self._loop)
        if self._is_aborted:
            self._working.cancel()
        try:
            return list(self._working.result())
        except EngineDied as error:
            raise RunFailure(FailureCode.ENGINE_DIED, str(error)) from error
        except CancelledError as error:
            raise RunFailure(FailureCode.STOPPED, "stopped") from error
        finally:
            self._working = None

    @contextlib.contextmanager
    def _busy(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.progress.busy_s += time.monotonic() - began


async def _all(work: list[Coroutine[Any, Any, Result]]) -> list[Result]:
    """All at once; the first that fails ends the others."""
    tasks = [asyncio.ensure_future(item) for item in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


Watch = Callable[[EngineLanguageModel | None], None]
"""Is given the model while it works, and None after."""
