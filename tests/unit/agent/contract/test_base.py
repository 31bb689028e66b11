"""Frozen values, schema versions, times."""

from __future__ import annotations

import importlib
import pkgutil
from datetime import UTC, datetime

import loadfleet_agent.contract as contract
import pytest
from loadfleet_agent.contract.base import Document, Frozen, digest
from loadfleet_agent.contract.status import Event, Level
from pydantic import BaseModel, ValidationError


def _all_models() -> list[type[BaseModel]]:
    for module in pkgutil.iter_modules(contract.__path__, contract.__name__ + "."):
        importlib.import_module(module.name)

    def below(model: type[BaseModel]) -> list[type[BaseModel]]:
        return [found for child in model.__subclasses__() for found in (child, *below(child))]

    return sorted(
        {model for model in below(Frozen) if model.__module__.startswith(contract.__name__)},
        key=lambda model: model.__name__,
    )


ALL_MODELS = _all_models()


def test_the_exported_models_are_among_those_that_are_tested() -> None:
    exported = {
        item
        for name in contract.__all__
        if isinstance(item := getattr(contract, name), type) and issubclass(item, BaseModel)
    }
    assert len(exported) >= 12
    assert exported <= set(ALL_MODELS)


@pytest.mark.parametrize("model", ALL_MODELS, ids=lambda model: model.__name__)
def test_refuses_an_unknown_key(model: type[BaseModel]) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate({"no_such_key": 1})
    assert (("no_such_key",), "extra_forbidden") in [
        (error["loc"], error["type"]) for error in caught.value.errors()
    ]


@pytest.mark.parametrize("model", ALL_MODELS, ids=lambda model: model.__name__)
def test_is_frozen(model: type[BaseModel]) -> None:
    value = model.model_construct()
    for name in model.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(value, name, 1)


def _event(at_utc: object) -> Event:
    return Event.model_validate(
        {"at_utc": at_utc, "level": "info", "phase": "load", "code": "x", "message": ""}
    )


def test_a_time_with_its_zone_is_taken() -> None:
    wanted = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert _event(wanted).at_utc == wanted
    assert _event("2026-01-02T03:04:05Z").at_utc == wanted
    assert _event("2026-01-02T04:04:05+01:00").at_utc == wanted


@pytest.mark.parametrize(
    "naive",
    [datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05", "2026-01-02"],
    ids=["datetime", "text", "date"],
)
def test_a_time_without_zone_is_refused(naive: object) -> None:
    with pytest.raises(ValidationError, match="at_utc"):
        _event(naive)


def test_a_time_without_zone_in_json_is_refused() -> None:
    event = _event("2026-01-02T03:04:05Z")
    text = event.model_dump_json().replace("03:04:05Z", "03:04:05")
    assert text != event.model_dump_json()
    with pytest.raises(ValidationError, match="at_utc"):
        Event.model_validate_json(text)


@pytest.mark.parametrize("version", [0, 2, "1.5"])
def test_another_schema_version_is_refused(version: object) -> None:
    documents = [model for model in ALL_MODELS if issubclass(model, Document)]
    assert documents
    for model in documents:
        with pytest.raises(ValidationError) as caught:
            model.model_validate({"schema_version": version})
        assert ("schema_version",) in [error["loc"] for error in caught.value.errors()]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(number: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        contract.Distribution(count=1, minimum=number, mean=1, p50=1, p90=1, p99=1, maximum=1)


def test_equal_values_have_one_digest_whatever_their_order() -> None:
    assert digest({"a": 1, "b": "ä"}) == digest({"b": "ä", "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_levels_are_plain_words() -> None:
    assert [level.value for level in Level] == ["info", "warning", "error"]
