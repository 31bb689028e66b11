"""Who holds a fleet back: by facts, and by speed beside the scatter of the others."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from loadfleet_aggregator.stragglers.evidence import Evidence
from loadfleet_aggregator.stragglers.find import find_flags
from loadfleet_aggregator.stragglers.model import Flag, Speed

METRIC = "Offline tokens/s"


def speeds_of(values: Sequence[float], **changed: float) -> dict[str, list[Speed]]:
    """Hosts h0, h1, ... with these speeds; ``changed``: a host's tokens a sample."""
    return {
        f"h{index}": [Speed(metric=METRIC, value=value, work=changed.get(f"h{index}", 988.0))]
        for index, value in enumerate(values)
    }


def facts_of(hosts: int, usual: Evidence, **odd: Evidence) -> dict[str, Evidence]:
    return {f"h{i}": usual | odd.get(f"h{i}", {}) for i in range(hosts)}


def flags_of(
    speeds: Mapping[str, Sequence[Speed]], evidence: Mapping[str, Evidence] | None = None
) -> dict[str, Flag]:
    flags, _ = find_flags(speeds, evidence or {})
    assert len({flag.host for flag in flags}) == len(flags)
    return {flag.host: flag for flag in flags}


class TestSpeed:
    def test_a_host_far_below_the_others_is_a_straggler(self) -> None:
        (flag,) = flags_of(speeds_of([1000, 1004, 998, 1002, 996, 940])).values()
        assert (flag.host, flag.kind, flag.metric) == ("h5", "straggler", METRIC)
        assert flag.gap == pytest.approx(0.0591, abs=1e-4)
        # Median 999, median of the distances 3: 59 / (1.4826 * 3).
        assert flag.z == pytest.approx(13.26, abs=0.01)

    def test_a_small_gap_is_none_however_tight_the_fleet_is(self) -> None:
        assert not flags_of(speeds_of([1000, 1000.1, 999.9, 1000, 1000.1, 980]))

    def test_a_gap_within_the_scatter_is_none(self) -> None:
        assert not flags_of(speeds_of([1000, 1040, 960, 1020, 980, 940]))

    def test_equal_hosts_have_no_scatter_and_one_that_differs_is_seen(self) -> None:
        (flag,) = flags_of(speeds_of([1000] * 5 + [900])).values()
        assert (flag.host, flag.z) == ("h5", None)

    def test_a_host_that_is_too_fast_is_suspicious(self) -> None:
        (flag,) = flags_of(speeds_of([1000, 1004, 998, 1002, 996, 1200])).values()
        assert (flag.host, flag.kind) == ("h5", "suspiciously fast")

    def test_longer_samples_are_no_slowness(self) -> None:
        (flag,) = flags_of(speeds_of([1000, 1004, 998, 1002, 996, 940], h5=1050)).values()
        assert flag.kind == "uneven work"

    @pytest.mark.parametrize("hosts", [2, 3, 4])
    def test_of_a_few_hosts_the_gap_to_the_fastest_counts(self, hosts: int) -> None:
        (flag,) = flags_of(speeds_of([1000, 960, 990, 985][:hosts])).values()
        assert (flag.host, flag.kind, flag.z) == ("h1", "straggler", None)

    def test_a_host_alone_has_nobody_to_be_behind(self) -> None:
        assert not flags_of(speeds_of([1000]))

    def test_the_order_of_hosts_does_not_matter(self) -> None:
        generator = random.Random(1)
        speeds = speeds_of([generator.gauss(1000, 15) for _ in range(60)] + [850, 870])
        evidence = facts_of(62, {"driver": "580"}, h3={"driver": "535"})
        names = list(speeds)
        generator.shuffle(names)
        shuffled = {name: speeds[name] for name in names}
        assert find_flags(speeds, evidence) == find_flags(
            shuffled, {name: evidence[name] for name in reversed(names)}
        )

    def test_the_worst_metric_of_a_host_is_told(self) -> None:
        speeds = speeds_of([1000, 1004, 998, 1002, 996, 940])
        other = [100, 100.4, 99.8, 100.2, 99.6, 80]
        for (_, told), value in zip(speeds.items(), other, strict=True):
            told.append(Speed(metric="Server tokens/s of a query", value=value, work=988))
        (flag,) = flags_of(speeds).values()
        assert flag.metric == "Server tokens/s of a query"


class TestLargeFleets:
    @pytest.mark.parametrize("seed", range(5))
    def test_wide_tails_do_not_flag_healthy_hosts_by_the_dozen(self, seed: int) -> None:
        noise = np.random.default_rng(seed).standard_t(4, 1000)
        flagged = flags_of(speeds_of([float(1000 * (1 + 0.015 * x)) for x in noise]))
        assert len(flagged) <= 10

    @pytest.mark.parametrize("seed", range(5))
    def test_normal_scatter_keeps_the_usual_limit(self, seed: int) -> None:
        noise = np.random.default_rng(seed).standard_normal(1000)
        speeds = speeds_of([float(1000 * (1 + 0.01 * x)) for x in noise] + [955.0])
        assert flags_of(speeds)["h1000"].kind == "straggler"

    def test_slow_hosts_do_not_hide_one_another(self) -> None:
        noise = np.random.default_rng(0).standard_normal(1000)
        values = [1000 * (1 + 0.005 * x) for x in noise]
        for index in range(100):
            values[index] *= 0.9
        flagged = flags_of(speeds_of([float(value) for value in values]))
        assert {f"h{index}" for index in range(100)} <= set(flagged)


class TestFacts:
    def test_a_fault_is_told_whatever_the_speed_is(self) -> None:
        evidence = facts_of(6, {"thermal slowdown share": 0.0}, h2={"thermal slowdown share": 0.4})
        (flag,) = flags_of(speeds_of([1000, 1004, 998, 1002, 996, 999]), evidence).values()
        assert (flag.host, flag.kind) == ("h2", "fault")
        (reason,) = flag.reasons
        assert (reason.cause, reason.value, reason.others) == (
            "thermal throttling", "0.4", "at most 0.02",
        )  # fmt: skip

    def test_a_straggler_has_its_causes_beside_it(self) -> None:
        usual: Evidence = {"driver": "580", "power limit share": 1.0, "SM clock MHz": 1400.0}
        capped: Evidence = {"power limit share": 0.7, "SM clock MHz": 1200.0}
        evidence = facts_of(6, usual, h5=capped)
        (flag,) = flags_of(speeds_of([1000, 1004, 998, 1002, 996, 940]), evidence).values()
        assert flag.kind == "straggler"
        assert [reason.cause for reason in flag.reasons] == ["power cap", "low clocks"]
        assert str(flag) == "5.9% slower than the others: power cap, low clocks"

    def test_a_straggler_without_a_cause_says_so(self) -> None:
        (flag,) = flags_of(speeds_of([1000, 1004, 998, 1002, 996, 940])).values()
        assert str(flag) == "5.9% slower than the others: no fact tells why"

    def test_a_fault_of_most_hosts_is_the_fleets(self) -> None:
        evidence = facts_of(6, {"power limit share": 0.8}, h0={"power limit share": 1.0})
        flags, (finding,) = find_flags({}, evidence)
        assert flags == ()
        assert (finding.cause, finding.hosts, finding.of) == ("power cap", 5, 6)

    @pytest.mark.parametrize(
        ("hosts", "odd", "flagged"),
        [(3, 1, 1), (10, 1, 1), (20, 2, 2), (2, 1, 0), (10, 2, 0), (20, 3, 0)],
    )
    def test_odd_is_who_differs_from_nearly_all(self, hosts: int, odd: int, flagged: int) -> None:
        others: dict[str, Any] = {f"h{index}": {"driver": "535"} for index in range(odd)}
        found = flags_of({}, facts_of(hosts, {"driver": "580"}, **others))
        assert len(found) == flagged
        assert {flag.kind for flag in found.values()} <= {"odd one out"}

    def test_what_a_host_does_not_tell_is_no_difference(self) -> None:
        evidence = facts_of(6, {"MIG": "off"})
        evidence["h4"] = {}
        assert not flags_of({}, evidence)

    def test_who_is_odd_has_its_place_among_the_speeds(self) -> None:
        evidence = facts_of(6, {"MIG": "off"}, h1={"MIG": "on"})
        (flag,) = flags_of(speeds_of([1000, 990, 998, 1002, 996, 1001]), evidence).values()
        assert (flag.kind, flag.metric) == ("odd one out", METRIC)
        assert flag.gap == pytest.approx(0.009, abs=1e-3)
