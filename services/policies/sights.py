"""`Sights`: the market of a symbol as policies see it, the same for all who are asked together; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from libs.common.time_units import NS_PER_MS
from services.policies.hosting import AsOf

if TYPE_CHECKING:
    from collections.abc import Callable

    from libs.common.market_views import MarketViews

SHARED_NS: Final = 100 * NS_PER_MS  # policies that are asked within it see the same market


class Sight(NamedTuple):
    """A market, encoded, and the moment that it is of."""

    as_of: AsOf
    market: bytes


class Sights:
    """The newest sight of each symbol; changes in place.

    Parameters
    ----------
    place
        The partition of a key.
    """

    def __init__(self, markets: MarketViews, place: Callable[[bytes], int]) -> None:
        self._markets, self._place = markets, place
        self._newest: dict[str, Sight] = {}

    def of(self, symbol: str, now: int) -> Sight:
        """Return the market of a symbol as of now (ns UTC), or of a moment ago."""
        before = self._newest.get(symbol)
        if before is None or not 0 <= now - before.as_of.ts < SHARED_NS:
            news = self._markets.newness(symbol)
            offsets = self._markets.seen(self._place(symbol.encode()))
            market = msgspec.msgpack.encode(self._markets.market(symbol, now))
            before = self._newest[symbol] = Sight(AsOf(now, news, offsets), market)
        return before
