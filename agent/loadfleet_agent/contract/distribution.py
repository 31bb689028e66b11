"""What results of every kind share: a distribution over samples, and a beginning and an end."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from .base import Count, Document, Figure, Frozen, UtcTime


class Distribution(Frozen):
    """Of one value over the samples of a phase."""

    count: Annotated[Count, Field(ge=1)]
    minimum: Figure
    mean: Figure
    p50: Figure
    p90: Figure
    p99: Figure
    maximum: Figure


def _of_tokens(value: Distribution) -> Distribution:
    if min(value.minimum, value.mean) < 0:
        raise ValueError("nothing has fewer than 0 tokens")
    return value


TokenCounts = Annotated[Distribution, AfterValidator(_of_tokens)]
"""Tokens of a prompt or an answer."""


class Timed(Document):
    """Something that began and ended, by the clock of one host."""

    started_utc: UtcTime
    ended_utc: UtcTime

    @model_validator(mode="after")
    def _ends_last(self) -> Self:
        if self.ended_utc < self.started_utc:
            raise ValueError("ended_utc is before started_utc")
        return self
