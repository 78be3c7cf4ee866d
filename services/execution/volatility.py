"""Realised volatility of 1-minute prices: what is assumed while the router knows no forecast."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import Candle


def sigma_day(minutes: Sequence[Candle]) -> float | None:
    """Return the volatility, fraction per day; None with fewer than five 5-minute returns."""
    raise NotImplementedError
