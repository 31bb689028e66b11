"""How many tokens went in and came out, by host and run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..model import PhaseReport
from .listing import Listed, listed
from .standing import PlacedHost


@dataclass(frozen=True)
class TokenRow:
    host: PlacedHost
    run: PhaseReport


def token_rows(placed: Sequence[PlacedHost]) -> Listed[TokenRow]:
    return listed(placed, lambda host: [TokenRow(host, run) for run in host.host.phases])
