"""Hosts agree as far as their answers are the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loadfleet_agent.contract.benchmark import Scenario
from loadfleet_aggregator.samples import agreement as module
from loadfleet_aggregator.samples.agreement import AnswerStore, Book, find_agreements
from loadfleet_aggregator.samples.model import Agreement

BOOK = Book("A", Scenario.OFFLINE, "d" * 64)
Told = Mapping[str, Sequence[int]]


def agreements(
    *books: tuple[Book, Told], order: Sequence[str] | None = None
) -> tuple[Agreement, ...]:
    with AnswerStore() as store:
        for book, told in books:
            for host in order or told:
                store.add(book, host, np.array(told[host], dtype=np.uint64))
        return find_agreements(store)


def agreement(told: Told, order: Sequence[str] | None = None) -> Agreement:
    (found,) = agreements((BOOK, told), order=order)
    return found


fleets = st.integers(2, 6).flatmap(
    lambda hosts: st.integers(1, 12).flatmap(
        lambda samples: st.lists(
            st.lists(st.integers(0, 3), min_size=samples, max_size=samples),
            min_size=hosts,
            max_size=hosts,
        )
    )
)
"""Answers of hosts to samples; 0: not asked."""


def named(fleet: Sequence[Sequence[int]]) -> dict[str, Sequence[int]]:
    return {f"host-{number}": answers for number, answers in enumerate(fleet)}


def test_hosts_with_the_same_answers_agree() -> None:
    found = agreement({"a": [5, 6, 7], "b": [5, 6, 7]})
    assert (found.samples, found.identical, found.differing, found.note) == (3, 1.0, (), "")
    assert [(host.host, host.identical) for host in found.hosts] == [("a", 1.0), ("b", 1.0)]


def test_the_answer_of_most_hosts_is_the_one_that_counts() -> None:
    found = agreement({"a": [5, 6, 7, 8], "b": [5, 6, 7, 8], "c": [5, 6, 1, 2]})
    assert (found.samples, found.identical) == (4, 0.5)
    assert [(host.host, host.identical) for host in found.hosts] == [
        ("c", 0.5),
        ("a", 1.0),
        ("b", 1.0),
    ]
    assert [sample.sample_index for sample in found.differing] == [2, 3]
    assert found.differing[0].answers == {f"{7:016x}": ("a", "b"), f"{1:016x}": ("c",)}


def test_of_two_hosts_that_differ_the_lower_hash_counts() -> None:
    found = agreement({"a": [9], "b": [4]})
    assert [(host.host, host.identical) for host in found.hosts] == [("a", 0.0), ("b", 1.0)]


def test_samples_that_a_host_was_not_asked_do_not_count() -> None:
    found = agreement({"a": [5, 0, 7], "b": [5, 6]})
    assert (found.samples, found.identical) == (1, 1.0)


def test_without_a_common_sample_there_is_nothing_to_compare() -> None:
    found = agreement({"a": [5, 0], "b": [0, 6]})
    assert (found.samples, found.identical) == (0, 0.0)
    assert "no sample" in found.note


def test_a_host_alone_is_not_compared() -> None:
    assert agreements((BOOK, {"a": [5]})) == ()


def test_hosts_with_other_samples_are_named() -> None:
    other = BOOK._replace(dataset="0" * 64)
    (found,) = agreements((BOOK, {"a": [5], "b": [5]}), (other, {"c": [6]}))
    assert [host.host for host in found.hosts] == ["a", "b"]
    assert "their samples are others: c" in found.note


def test_groups_and_scenarios_stand_apart() -> None:
    books = [BOOK, BOOK._replace(scenario=Scenario.SERVER), BOOK._replace(group="B")]
    found = agreements(*((book, {"a": [1], "b": [1]}) for book in reversed(books)))
    assert [(item.group, item.scenario.value) for item in found] == [
        ("A", "Offline"),
        ("A", "Server"),
        ("B", "Offline"),
    ]


def test_only_the_worst_samples_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_DIFFERING", 2)
    told = {"a": [1, 1, 1, 1], "b": [1, 2, 2, 2], "c": [1, 1, 3, 3], "d": [1, 1, 1, 4]}
    assert [s.sample_index for s in agreement(told).differing] == [3, 2]


@given(fleets, st.data())
def test_the_order_of_hosts_does_not_matter(fleet: list[list[int]], data: st.DataObject) -> None:
    told = named(fleet)
    assert agreement(told, data.draw(st.permutations(list(told)))) == agreement(told)


@given(fleets)
def test_shares_are_those_that_one_counts(fleet: list[list[int]]) -> None:
    found = agreement(named(fleet))
    columns = [column for column in zip(*fleet, strict=True) if all(column)]
    assert found.samples == len(columns)
    same = [len(set(column)) == 1 for column in columns]
    assert found.identical == pytest.approx(sum(same) / len(same) if same else 0, abs=1e-6)
    assert len(found.differing) == min(20, same.count(False))
    usual = [min(c, key=lambda answer: (-Counter(c)[answer], answer)) for c in columns]
    for host in found.hosts:
        row = int(host.host.removeprefix("host-"))
        alike = [column[row] == most for column, most in zip(columns, usual, strict=True)]
        share = sum(alike) / len(alike) if alike else 0.0
        assert host.identical == pytest.approx(share, abs=1e-6)
        assert found.identical <= host.identical + 1e-6 <= 1 + 1e-6
    for sample in found.differing:
        hosts = [host for names in sample.answers.values() for host in names]
        assert sorted(hosts) == sorted(named(fleet))


@given(fleets, st.integers(1, 5))
def test_it_does_not_matter_how_many_samples_are_compared_at_once(
    fleet: list[list[int]], samples: int
) -> None:
    whole = agreement(named(fleet))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AT_ONCE_BYTES", 8 * len(fleet) * samples)
        assert agreement(named(fleet)) == whole
