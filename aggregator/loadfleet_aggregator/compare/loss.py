"""The loss that is allowed, as a user writes it."""

from __future__ import annotations


def parse_loss(text: str) -> float:
    """``3%``, ``3 %`` or ``0.03`` as the share 0.03.

    Raises ValueError with one line for what is no share from 0 up to, but not, 1.
    """
    number = text.strip().removesuffix("%")
    try:
        share = float(number) / (100 if number != text.strip() else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise ValueError(f"{text!r}: write it as 3% or 0.03, from 0 and below 100%")
    return share
