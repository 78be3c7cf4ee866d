"""At which mid a position is valued: the reference book's, so that no basis of a venue is a profit; pure."""

from __future__ import annotations

from decimal import Decimal  # noqa: TC003 -- msgspec resolves annotations at run time
from typing import TYPE_CHECKING

import msgspec

from services.execution.broker.exact_amounts import exact
from services.execution.market_data import Unusable

if TYPE_CHECKING:
    from libs.common.events import BookTop, OrderFilled
    from services.execution.market_data import MarketData


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A mid that a position is valued at."""

    mid: Decimal  # quote units
    venue: str
    note: str = ""  # what it is, where it is not the book's of this moment


def reference_mark(market: MarketData, symbol: str, now: int) -> Mark | Unusable:
    """Return the mid of the reference venue's book if that is LIVE, else of the first that is."""
    return _mark(market.reference_book(symbol, now))


def venue_mark(market: MarketData, venue: str, symbol: str, now: int) -> Mark | Unusable:
    """Return the mid of that venue's book."""
    return _mark(market.book(venue, symbol, now))


def fill_mark(market: MarketData, fill: OrderFilled) -> Mark:
    """Return the reference mid at a fill; where no reference is usable, that of the book it was filled on."""
    found = reference_mark(market, fill.symbol, fill.ts)
    if isinstance(found, Mark):
        return found
    return Mark(mid=exact(fill.mid), venue=fill.venue, note=f"of the fill's own book: {found.reason}")


def _mark(top: BookTop | Unusable) -> Mark | Unusable:
    if isinstance(top, Unusable):
        return top
    assert top.features is not None  # noqa: S101 -- of a usable book
    return Mark(mid=exact(top.features.mid), venue=top.venue)
