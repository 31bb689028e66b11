"""Hosts as a user names them."""

from __future__ import annotations

import pytest
from loadfleet_aggregator.init.targets import Target, TargetError, parse_targets


def parsed(*words: str, **options: object) -> list[Target]:
    return list(parse_targets(words, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("10.0.0.11", Target(name="gpu-01", address="10.0.0.11")),
        ("gpu-07.example.org", Target(name="gpu-07", address="gpu-07.example.org")),
        ("a=10.0.0.1", Target(name="a", address="10.0.0.1")),
        (
            "a=ops@10.0.0.1:2222",
            Target(name="a", address="10.0.0.1", user="ops", port=2222),
        ),
        ("fe80::1", Target(name="gpu-01", address="fe80::1")),
        ("localhost", Target(name="localhost", address="localhost", local=True)),
        ("ops@localhost", Target(name="localhost", address="localhost", user="ops")),
    ],
)
def test_a_word_is_a_host(word: str, wanted: Target) -> None:
    assert parsed(word) == [wanted]


def test_a_range_is_several() -> None:
    assert [target.name for target in parsed("gpu-[08:10].site")] == ["gpu-08", "gpu-09", "gpu-10"]
    assert [target.address for target in parsed("10.0.0.[1:2]")] == ["10.0.0.1", "10.0.0.2"]


def test_user_and_port_hold_for_those_that_name_none() -> None:
    first, second = parsed("a=10.0.0.1", "b=root@10.0.0.2:23", user="ops", port=22)
    assert (first.user, first.port) == ("ops", 22)
    assert (second.user, second.port) == ("root", 23)


def test_this_machine_by_ssh_is_asked_for_by_a_port() -> None:
    assert not parsed("127.0.0.1", port=2222)[0].local


@pytest.mark.parametrize(
    "word",
    ["", "a b", "a=", "10.0.0.1:x", "10.0.0.1:70000", "-oProxyCommand=x", "a=;rm", ".=10.0.0.1",
     "a[1:", "a_b_=@x"],
)  # fmt: skip
def test_what_is_no_host_is_refused(word: str) -> None:
    with pytest.raises(TargetError):
        parsed(word)


def test_two_hosts_of_one_name_are_refused() -> None:
    with pytest.raises(TargetError, match="two hosts"):
        parsed("gpu-1.a", "gpu-1.b")
