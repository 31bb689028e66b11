"""Records that cannot be those of the run are told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from loadfleet_agent.contract.result import HostResult, PhaseResult
from loadfleet_agent.contract.run_folder import PHASES, RESULT, SAMPLES
from loadfleet_aggregator.samples.check import contradictions
from loadfleet_aggregator.samples.read import Samples, read_samples

from ..helpers import HostRun
from .made import SECOND, later


@pytest.fixture(scope="module")
def real(host_a: HostRun) -> tuple[Samples, PhaseResult]:
    result = HostResult.model_validate_json((host_a.folder / RESULT).read_bytes())
    (phase,) = (item for item in result.phases if item.name == "server-performance")
    path = host_a.folder / PHASES / phase.name / SAMPLES
    return read_samples(path, phase.samples, answers=False), phase


Real = tuple[Samples, PhaseResult]


def test_a_real_run_has_none(host_a: HostRun) -> None:
    result = HostResult.model_validate_json((host_a.folder / RESULT).read_bytes())
    for phase in result.phases:
        path = host_a.folder / PHASES / phase.name / SAMPLES
        assert contradictions(read_samples(path, phase.samples, answers=True), phase) == ()


def changed(samples: Samples, **values: Any) -> Samples:
    """The samples with the first value of a column replaced."""
    columns = {name: getattr(samples, name).copy() for name in values}
    for name, value in values.items():
        columns[name][0] = value
    return replace(samples, **columns)


def test_one_token_more_is_seen(real: Real) -> None:
    samples, phase = real
    more = changed(samples, output_tokens=samples.output_tokens[0] + 1)
    told = contradictions(more, phase)
    assert [text.split(":")[0] for text in told] == ["output tokens", "most output tokens"]


def test_a_latency_that_the_result_does_not_have_is_seen(real: Real) -> None:
    samples, phase = real
    late = changed(samples, last_token_ns=samples.last_token_ns.max() + SECOND)
    assert any(text.startswith("longest latency") for text in contradictions(late, phase))


def test_records_of_another_time_are_seen(real: Real) -> None:
    samples, phase = real
    after, before = (later(samples, hours * 3600 * SECOND) for hours in (1, -1))
    assert contradictions(after, phase) == ("its records end after the run",)
    assert contradictions(before, phase) == ("its records begin before the run",)


def test_the_records_of_another_run_are_seen(real: Real, host_a: HostRun) -> None:
    samples, phase = real
    doubled = Samples(
        *(np.concatenate([getattr(samples, name)] * 2) for name in (
            "index", "issue_ns", "first_token_ns", "last_token_ns", "output_tokens")),
        answers=None,
    )  # fmt: skip
    assert contradictions(doubled, phase)[0].startswith("samples: ")
