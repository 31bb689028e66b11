"""What differs between hosts."""

from __future__ import annotations

from loadfleet_aggregator.fleet.differences import differences


def test_equal_hosts_do_not_differ() -> None:
    assert differences({"a": {"driver": "580"}, "b": {"driver": "580"}}) == []


def test_names_the_hosts_of_each_value_the_most_common_first() -> None:
    facts = {
        "gpu-01": {"power.limit": "165.00"},
        "gpu-02": {"power.limit": "130.00"},
        "gpu-03": {"power.limit": "165.00"},
    }
    assert differences(facts) == ["power.limit: 165.00 on gpu-01, gpu-03; 130.00 on gpu-02"]


def test_a_fact_that_a_host_lacks_is_a_difference() -> None:
    assert differences({"a": {"Docker": "29.8.2"}, "b": {}}) == ["Docker: 29.8.2 on a; none on b"]


def test_many_hosts_are_counted() -> None:
    facts = {f"gpu-{n:02}": {"ecc": "on"} for n in range(9)} | {"odd": {"ecc": "off"}}
    (line,) = differences(facts)
    assert line.endswith("gpu-03 and 5 more; off on odd")
