"""The system under test: takes LoadGen's queries, feeds the engine, answers LoadGen.

LoadGen calls ``issue`` from its own thread and must get it back at once; an exception out of
it ends the process with a segmentation fault. So ``issue`` only hands the queries to the
engine's event loop, and nothing here lets an exception through.
"""

from __future__ import annotations

import array
import asyncio
import hashlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import mlperf_loadgen as loadgen

from ..engine.base import Engine

NO_TOKEN = array.array("i", [0])
"""Stands in for a first token that never came."""


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """One answered sample. Times are monotonic nanoseconds of this host."""

    index: int
    issue_ns: int
    first_token_ns: int
    last_token_ns: int
    output_tokens: int
    output_sha256: bytes


class SystemUnderTest:
    """One LoadGen run's queries over an engine that is already started."""

    def __init__(
        self,
        engine: Engine,
        loop: asyncio.AbstractEventLoop,
        prompts: Sequence[Sequence[int]],
        *,
        stream: bool,
        run_tag: str,
    ) -> None:
        self._engine = engine
        self._loop = loop
        self._prompts = prompts
        self._stream = stream
        self._run_tag = run_tag
        self._tasks: set[asyncio.Task[None]] = set()
        self._outstanding: set[int] = set()
        self._first_token_due: set[int] = set()
        self.records: list[SampleRecord] = []
        self.issued = 0
        self.output_tokens = 0
        self.failure: BaseException | None = None
        self.failed = threading.Event()

    # Called by LoadGen's thread.

    def issue(self, ids: list[int], indices: list[int]) -> None:
        """Takes queries: LoadGen's ids and the samples' indices, of equal length."""
        try:
            now = time.monotonic_ns()
            self._loop.call_soon_threadsafe(self._submit, ids, indices, now)
        except BaseException as error:  # must not reach LoadGen's C++ frames
            self._fail(error)
            if self._stream:
                self._first_token_due.update(ids)
            self._answer_nothing(ids)

    def flush(self) -> None:
        """Nothing is held back."""

    # Called from any thread.

    def abort(self, reason: BaseException) -> None:
        """Answers all that is open with nothing, so that LoadGen comes to an end."""
        self._loop.call_soon_threadsafe(self._fail, reason)

    # On the engine's event loop.

    def _submit(self, ids: list[int], indices: list[int], issue_ns: int) -> None:
        self.issued += len(ids)
        if self._stream:
            self._first_token_due.update(ids)
        if self.failure is not None:
            self._answer_nothing(ids)
            return
        self._outstanding.update(ids)
        for query_id, index in zip(ids, indices, strict=True):
            task = self._loop.create_task(self._serve(query_id, index, issue_ns))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, query_id: int, index: int, issue_ns: int) -> None:
        try:
            tokens = array.array("i")
            first_ns = 0
            async for part in self._engine.generate(
                f"{self._run_tag}-{query_id}", self._prompts[index], stream=self._stream
            ):
                tokens.extend(part)
                if not first_ns:
                    first_ns = time.monotonic_ns()
                    if self._stream and query_id in self._first_token_due:
                        self._report_first_token(query_id, tokens[:1])
                self.output_tokens += len(part)
            last_ns = time.monotonic_ns()
            if query_id not in self._outstanding:
                return  # answered with nothing after a failure
            self._outstanding.discard(query_id)
            # The count stands before the answer: with the last answer LoadGen's thread goes on.
            self.records.append(
                SampleRecord(
                    index,
                    issue_ns,
                    first_ns or last_ns,
                    last_ns,
                    len(tokens),
                    hashlib.sha256(tokens.tobytes()).digest(),
                )
            )
            if query_id in self._first_token_due:  # the model gave no token at all
                self._report_first_token(query_id, NO_TOKEN)
            _report_complete(query_id, tokens)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
            self.failed.set()
        open_queries, self._outstanding = list(self._outstanding), set()
        self._answer_nothing(open_queries)
        for task in list(self._tasks):
            task.cancel()

    def _report_first_token(self, query_id: int, token: array.array[int]) -> None:
        self._first_token_due.discard(query_id)
        address, count = token.buffer_info()
        loadgen.FirstTokenComplete(
            [loadgen.QuerySampleResponse(query_id, address, count * token.itemsize)]
        )

    def _answer_nothing(self, ids: Sequence[int]) -> None:
        """An empty answer each; LoadGen logs an error for it, which no gate lets pass.

        In a Server run LoadGen must have got a first token before: without one, accuracy mode
        ends in a segmentation fault.
        """
        for query_id in ids:
            if query_id in self._first_token_due:
                self._report_first_token(query_id, NO_TOKEN)
            loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(query_id, 0, 0, 0)])


def _report_complete(query_id: int, tokens: array.array[int]) -> None:
    # LoadGen reads the buffer during the call only.
    address, count = tokens.buffer_info()
    loadgen.QuerySamplesComplete(
        [loadgen.QuerySampleResponse(query_id, address, count * tokens.itemsize, count)]
    )
