"""Any report that is valid can be shown, and every tag of the page is ours."""

from __future__ import annotations

import csv
import io
import re
import types
import typing
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any

from annotated_types import Ge, Gt, Le, Lt, MinLen
from hypothesis import given
from hypothesis import strategies as st
from loadfleet_agent.contract.base import Frozen
from loadfleet_agent.contract.loadgen_log import PERCENTILES, LatencyNs
from loadfleet_aggregator.report.model import FleetReport, HostReport, PhaseReport
from loadfleet_aggregator.report.render import render_csv, render_html, render_markdown
from pydantic import ValidationError

from ..report.reading import Page
from .conftest import Fleet
from .mutation import TEXTS

MARK = "zqx"
TAG = f'<{MARK} onclick="{MARK}()">{MARK}</{MARK}>'
BREAKERS = (TAG, f'"><{MARK}>', f"'><{MARK}>", f"</style><{MARK}>", f"--><{MARK}>",
            f"]]><{MARK}>", f"javascript:{MARK}()", "{{ 1/0 }}", "{% raw %}", *TEXTS)  # fmt: skip


def words() -> st.SearchStrategy[str]:
    return st.one_of(st.sampled_from(BREAKERS), st.text(max_size=8))


@cache
def of_model(model: type[Frozen]) -> st.SearchStrategy[Any]:
    """Valid values of a model, by its own fields and bounds."""
    if model is LatencyNs:
        numbers = st.integers(-(2**63), 2**63 - 1)
        return st.builds(
            LatencyNs, minimum=numbers, mean=numbers, maximum=numbers,
            percentiles=st.fixed_dictionaries(dict.fromkeys(PERCENTILES, numbers)),
        )  # fmt: skip
    parts = {
        name: of_type(field.annotation, tuple(field.metadata))
        for name, field in model.model_fields.items()
        if name != "schema_version"
    }

    def make(values: dict[str, Any]) -> Any:
        if model is PhaseReport and (values["ttft"] is None) != (values["tpot"] is None):
            values |= {"ttft": None, "tpot": None}
        if model is FleetReport:
            hosts = {host.name: host for host in values["hosts"]}
            values["hosts"] = tuple(hosts.values())
            values["scenarios"] = tuple(
                scenario.model_copy(
                    update={
                        "hosts": tuple(
                            entry.model_copy(update={"host": name})
                            for entry, name in zip(scenario.hosts, hosts, strict=False)
                        )
                    }
                )
                for scenario in values["scenarios"]
                if hosts
            )
        try:
            return model(**values)
        except ValidationError:
            return None  # fields that do not go together

    return st.fixed_dictionaries(parts).map(make).filter(lambda value: value is not None)


def of_type(kind: Any, bounds: tuple[Any, ...] = ()) -> st.SearchStrategy[Any]:
    """Values of an annotation."""
    while typing.get_origin(kind) is typing.Annotated:
        kind, *more = typing.get_args(kind)
        bounds = (*bounds, *more)
    flat = tuple(part for bound in bounds for part in (getattr(bound, "metadata", None) or [bound]))
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([of_type(part) for part in inner])
    if origin is typing.Literal:
        return st.sampled_from(inner)
    if origin is tuple and inner[-1:] == (...,):
        least = max((bound.min_length for bound in flat if isinstance(bound, MinLen)), default=0)
        return st.lists(of_type(inner[0]), min_size=least, max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(of_type, inner))
    if origin is dict:
        return st.dictionaries(of_type(inner[0]), of_type(inner[1]), max_size=2)
    if kind is type(None):
        return st.none()
    if kind is object:
        return words()
    if kind is str:
        return _texts(flat)
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(*_range(flat, -(2**63), 2**63 - 1))
    if kind is float:
        low, high = _range(flat, -1e300, 1e300)
        exact = st.sampled_from((0.0, 1e-9, 1.0, 1e12))
        if any(getattr(part, "func", None) for part in flat):  # a rate
            return st.one_of(exact, st.floats(1e-9, 1e12))
        return st.floats(low, high)
    if kind is datetime:
        years = datetime(1970, 1, 2), datetime(2199, 12, 30)
        return st.datetimes(*years, timezones=st.just(UTC))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    if isinstance(kind, type) and issubclass(kind, Frozen):
        return st.deferred(lambda: of_model(kind))
    if getattr(kind, "__name__", "") == "AwareDatetime":
        return of_type(datetime)
    raise TypeError(f"no strategy for {kind}")


def _texts(bounds: tuple[Any, ...]) -> st.SearchStrategy[str]:
    for bound in bounds:
        if pattern := getattr(bound, "pattern", None):
            return st.from_regex(pattern.replace("$", r"\Z"))
    return words()


def _range(bounds: tuple[Any, ...], low: Any, high: Any) -> tuple[Any, Any]:
    for bound in bounds:
        match bound:
            case Ge(ge=value):
                low = value
            case Gt(gt=value):
                low = value + 1
            case Le(le=value):
                high = value
            case Lt(lt=value):
                high = value - 1
    return low, high


def assert_harmless(report: FleetReport) -> None:
    html = render_html(report)
    page = Page(html)
    assert MARK not in page.tags
    assert "<script>alert(1)" not in html
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        assert MARK not in name
        if name in ("href", "src", "xlink:href", "action"):
            assert re.fullmatch(r"#[\w.-]*", value, re.ASCII), (tag, name, value)
    assert not any(letter in html for letter in "\x1b\0\u202e\u2028")
    text = render_markdown(report)
    assert f"<{MARK}" not in text
    assert "\x1b" not in text
    rows = list(csv.reader(io.StringIO(render_csv(report))))
    assert len(rows) == 1 + len(report.hosts)
    assert not any(cell.startswith(("=", "+", "@")) for row in rows[1:] for cell in row)


@given(report=of_model(FleetReport))
def test_any_valid_report_is_shown_without_a_tag_of_others(report: FleetReport) -> None:
    assert_harmless(report)


@given(text=words(), seed=st.integers(0, 3))
def test_every_text_of_a_report_is_shown_as_it_is(text: str, seed: int, three: Fleet) -> None:
    """The same word in the place of each text of a real report."""

    def replaced(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: replaced(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [replaced(item, key) for item in value]
        return text if key in FREE and isinstance(value, str) else value

    report = FleetReport.model_validate(replaced(three.honest.model_dump(mode="json")))
    assert_harmless(report)
    assert isinstance(report.hosts[0], HostReport)


FREE = frozenset({
    "accelerator", "headline", "statement", "reason", "hint", "cause", "fact", "value", "others",
    "note", "labels", "findings", "warnings", "version", "kind_", "loadgen_version", "gpu",
    "no_limit", "shares_machine_with", "origin", "source", "path", "text", "cpu_model",
    "hostname", "kernel", "operating_system",
})  # fmt: skip
"""Names of fields that are free text."""
