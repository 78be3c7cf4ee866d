"""The equity at the begin of the UTC day, and the day's highest, from the equities assessed; pure.

With equities E_1, E_2, … assessed at t_1 <= t_2 <= …, and d the begin of the UTC day of the newest, t_n: the
equity at the day's begin is the last E_k with t_k < d, else, where nothing was assessed before d, the first
of the day; its high is the most of that and all E_k with t_k >= d. A clock that goes back into the day before
begins no day anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from libs.common.time_units import DAY_NS

if TYPE_CHECKING:
    from decimal import Decimal

    from libs.common.events import PortfolioBook


class EquityDay(NamedTuple):
    """A UTC day's equity."""

    ts: int  # its begin, ns
    equity: Decimal  # then, quote units
    high: Decimal  # quote units


def day_of(book: PortfolioBook, equity: Decimal, now: int) -> EquityDay:
    """Return the day at `now` (ns UTC), given what the book keeps and an equity just assessed."""
    begin = now // DAY_NS * DAY_NS
    if book.day_ts is None or book.day_equity is None or book.day_high is None:
        return EquityDay(begin, equity, equity)
    if begin <= book.day_ts:
        return EquityDay(book.day_ts, book.day_equity, max(book.day_high, equity))
    first = equity if book.equity is None else book.equity
    return EquityDay(begin, first, max(first, equity))
