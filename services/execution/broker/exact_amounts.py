"""Prices and sizes as exact decimals: the digits of the book, and products that are not rounded; pure."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Final

EXACT: Final = Context(prec=60)  # products of a price, a size and a fee stay exact
BPS: Final = Decimal(10_000)


def exact(number: float) -> Decimal:
    """Return the digits of a number of the book."""
    return Decimal(repr(number))
