"""What a GPU and its electricity cost, as the user says it."""

from __future__ import annotations

from loadfleet_agent.contract.base import Frozen
from pydantic import Field


class Prices(Frozen):
    """In a currency of the user's; None where nothing was said."""

    per_gpu_hour: float | None = Field(default=None, ge=0, description="of one GPU, for an hour")
    per_kwh: float | None = Field(default=None, ge=0, description="of electricity")

    @property
    def given(self) -> bool:
        """Whether there is anything to reckon with."""
        return self.per_gpu_hour is not None or self.per_kwh is not None

    def replaced_by(self, other: Prices) -> Prices:
        """These prices, each replaced by the other's where that has one."""
        return self.model_copy(update=other.model_dump(exclude_none=True))
