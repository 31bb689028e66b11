"""How far hosts give the same answers: under greedy decoding all should.

Answers are compared by the first 64 bits of their hashes. They are kept in a file without a name,
8 bytes for each host and sample, and compared some hundred samples at a time, so that memory does
not grow with the fleet.
"""

from __future__ import annotations

import heapq
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple

import numpy as np
from loadfleet_agent.contract.benchmark import Scenario

from ..text.listing import some
from .answers import NONE, Answers
from .model import Agreement, DifferingSample, HostAgreement

MOST_DIFFERING = 20
AT_ONCE_BYTES = 8 << 20


class Book(NamedTuple):
    """Answers that are comparable: of one plan, in one scenario, to one dataset."""

    group: str
    scenario: Scenario
    dataset: str
    """Hash of its samples."""


class AnswerStore:
    """Answers of many hosts, on disk as long as it is open."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed as the store is
        self._places: dict[Book, dict[str, tuple[int, int]]] = defaultdict(dict)
        """Book to host to where its answers begin, and how many there are."""

    def __enter__(self) -> AnswerStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def books(self) -> list[Book]:
        return sorted(self._places, key=lambda b: (b.group, list(Scenario).index(b.scenario), b))

    def hosts(self, book: Book) -> list[str]:
        return sorted(self._places[book])

    def add(self, book: Book, host: str, answers: Answers) -> None:
        self._file.seek(0, 2)
        self._places[book][host] = (self._file.tell(), int(answers.size))
        self._file.write(answers.tobytes())

    def tables(self, book: Book) -> Iterator[tuple[int, Answers]]:
        """First sample and answers of some samples, shape (hosts, samples), hosts by name."""
        places = [self._places[book][host] for host in self.hosts(book)]
        width = max(size for _, size in places)
        step = max(1, AT_ONCE_BYTES // (8 * len(places)))
        for first in range(0, width, step):
            table = np.zeros((len(places), min(step, width - first)), dtype=np.uint64)
            for row, (begin, size) in enumerate(places):
                many = max(0, min(size - first, table.shape[1]))
                self._file.seek(begin + 8 * first)
                table[row, :many] = np.frombuffer(self._file.read(8 * many), dtype=np.uint64)
            yield first, table


def find_agreements(store: AnswerStore) -> tuple[Agreement, ...]:
    """One for each group and scenario in which two hosts or more answered the same samples.

    Of hosts with different datasets those are compared that most have (of two that as many
    have, the one of the lower hash); the others are named in its note.
    """
    by_run: dict[tuple[str, Scenario], list[Book]] = defaultdict(list)
    for book in store.books:
        by_run[book.group, book.scenario].append(book)
    found = []
    for books in by_run.values():
        ordered = sorted(books, key=lambda b: (-len(store.hosts(b)), b.dataset))
        others = sorted(host for book in ordered[1:] for host in store.hosts(book))
        note = f"not compared, as their samples are others: {some(others)}" if others else ""
        if len(store.hosts(ordered[0])) > 1:
            found.append(_agreement(store, ordered[0], note))
    return tuple(found)


def _agreement(store: AnswerStore, book: Book, note: str) -> Agreement:
    """The answer that most hosts gave is the one that the others are held against; of two that
    as many gave, the one whose hash is lower."""
    hosts = store.hosts(book)
    samples, identical = 0, 0
    alike = np.zeros(len(hosts), dtype=np.int64)
    worst: list[tuple[int, int, Answers]] = []
    """How many differ, the sample's negative index, and its answers, the least bad first."""
    for first, table in store.tables(book):
        asked = np.flatnonzero((table != NONE).all(axis=0))
        samples += int(asked.size)
        same = (table == table[0]).all(axis=0)[asked]
        identical += int(np.count_nonzero(same))
        alike += int(np.count_nonzero(same))
        for column in asked[~same]:
            _, given, numbers = np.unique(table[:, column], return_inverse=True, return_counts=True)
            most = int(numbers.argmax())  # the first of equals, whose hash is the lowest
            alike += given == most
            entry = (len(hosts) - int(numbers[most]), -(first + int(column)))
            if len(worst) < MOST_DIFFERING:
                heapq.heappush(worst, (*entry, table[:, column].copy()))
            elif entry > worst[0][:2]:
                heapq.heapreplace(worst, (*entry, table[:, column].copy()))
    if not samples:
        note = "; ".join(filter(None, [note, "no sample was answered by all of these hosts"]))
    order = sorted(range(len(hosts)), key=lambda row: (alike[row], hosts[row]))
    return Agreement(
        group=book.group,
        scenario=book.scenario,
        samples=samples,
        identical=_share(identical, samples),
        hosts=tuple(
            HostAgreement(host=hosts[row], identical=_share(int(alike[row]), samples))
            for row in order
        ),
        differing=tuple(
            DifferingSample(sample_index=-index, answers=_told(answers, hosts))
            for _, index, answers in sorted(worst, key=lambda item: item[:2], reverse=True)
        ),
        note=note,
    )


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0


def _told(answers: Answers, hosts: list[str]) -> dict[str, tuple[str, ...]]:
    """Hexadecimal digits of each answer to its hosts."""
    different, given, numbers = np.unique(answers, return_inverse=True, return_counts=True)
    order = sorted(range(different.size), key=lambda i: (-numbers[i], different[i]))
    return {
        f"{int(different[i]):016x}": tuple(hosts[row] for row in np.flatnonzero(given == i))
        for i in order
    }
