"""The common base of every model that crosses between agent and controller."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

SCHEMA_VERSION = 1
"""Raised when a reader of the old version could misread the new one."""


class Frozen(BaseModel):
    """An immutable value; a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Document(Frozen):
    """A value that is a file of its own and therefore says its schema version."""

    schema_version: int = Field(default=SCHEMA_VERSION, ge=SCHEMA_VERSION, le=SCHEMA_VERSION)


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""A run id or host name as it may stand in a path: no separator, no leading dot."""


# Bounds. No host of ours reaches one; what a host sends beyond them is refused where it is read, so
# that no sum, format or chart over the values of many hosts can fail.

FIRST_YEAR, LAST_YEAR = 1970, 2199
"""Of a time; a host without a battery begins in 1970."""
MOST_INTEGER = 2**63 - 1
MOST_GPUS = 64
LONGEST_LINE = 1_000
LONGEST_TEXT = 4_000


def _in_utc(value: datetime) -> datetime:
    if FIRST_YEAR <= value.year <= LAST_YEAR:
        value = value.astimezone(UTC)
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise ValueError(f"must be of the years {FIRST_YEAR} to {LAST_YEAR}")
    return value


def _a_rate(value: float) -> float:
    if value and not 1e-9 <= value <= 1e12:
        raise ValueError("must be 0, or from 1e-9 to 1e12")
    return value


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return f"{value[: LONGEST_TEXT - 4]} ..."
    return value


UtcTime = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A time with its zone, turned to UTC."""

Count = Annotated[int, Field(ge=0, le=MOST_INTEGER)]
Integer = Annotated[int, Field(ge=-MOST_INTEGER - 1, le=MOST_INTEGER)]
"""Of 64 bits, also where only a positive one has a meaning: the gate says so then."""
Amount = Annotated[float, Field(ge=0, le=1e18)]
Figure = Annotated[float, Field(ge=-1e19, le=1e19)]
Rate = Annotated[float, AfterValidator(_a_rate)]
"""Something per second, or its share per watt."""
Line = Annotated[str, Field(max_length=LONGEST_LINE)]
"""A name, a version, a path; a longer one is an error."""
Text = Annotated[str, BeforeValidator(_cut), Field(max_length=LONGEST_TEXT)]
"""Words for people; longer ones are cut, for they must not fail what they tell of."""


def utc_now() -> datetime:
    """The host's wall clock in UTC, to the microsecond."""
    return datetime.now(UTC)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spare spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """SHA-256 (hex) of a JSON-able value's canonical form."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
