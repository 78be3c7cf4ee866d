"""Coinbase's frames: the envelope with the connection's count, and the texts inside it.

References
----------
docs.cdp.coinbase.com, Advanced Trade WebSocket (level2, market-trades, heartbeats), as of 2026-08; the texts
are spaced and ordered as in the recording of 2026-08-09.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_S
from simulator.venues.venue import crossing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from simulator.exchange_book import Level, Print
    from simulator.venues.venue import Digits, Pair

_MICROSECONDS: Final = 6
_NANOSECONDS: Final = 9


@dataclass(frozen=True, slots=True)
class BookNews:
    """What all subscribers of a product's level2 are told, whatever their connections' counts."""

    product: Pair
    kind: str  # snapshot or update
    ts_ns: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    best_ask: int  # ticks

    def events(self, bids: tuple[Level, ...]) -> str:
        """Return the events with these bids."""
        time = moment(self.ts_ns, _MICROSECONDS)
        updates = ",".join(
            f'{{"side":"{side}","event_time":"{time}","price_level":"{plain(self.product.price, tick)}",'
            f'"new_quantity":"{plain(self.product.size, lots)}"}}'
            for side, levels in (("bid", bids), ("offer", self.asks))
            for tick, lots in levels
        )
        return f'[{{"type":"{self.kind}","product_id":"{self.product.name}","updates":[{updates}]}}]'


@dataclass(frozen=True, slots=True)
class BookFrame:
    """One book message on one connection."""

    topic: str
    number: int
    news: BookNews
    events: str  # rendered once for all connections

    def text(self) -> str:
        """Return the true message."""
        return envelope("l2_data", self.number, self.news.ts_ns, self.events)

    def corrupted(self, random: Random) -> str | None:
        """Return it with a size changed and its number raised.

        Nothing in this protocol proves a size, so damage to a level alone would pass every client; the number
        is hit too, which makes the message a hole.
        """
        bids = tuple((tick, lots + random.randint(1, 9)) for tick, lots in self.news.bids)
        raised = self.number + random.randint(1_000, 1_000_000)
        return envelope("l2_data", raised, self.news.ts_ns, self.news.events(bids))

    def crossed(self, random: Random) -> str:
        """Return it with a bid above the best ask, its number intact."""
        bids = crossing(self.news.bids, self.news.best_ask, random, 100_000_000)
        return envelope("l2_data", self.number, self.news.ts_ns, self.news.events(bids))


def envelope(channel: str, number: int, ts_ns: int, events: str) -> str:
    """Return a frame."""
    return (
        f'{{"channel":"{channel}","timestamp":"{moment(ts_ns, _NANOSECONDS)}","sequence_num":{number},'
        f'"events":{events}}}'
    )


def trade_events(product: Pair, kind: str, trades: Iterable[Print]) -> str:
    """Return the events of trades, given oldest first: the newest comes first, `side` is the maker's."""
    told = ",".join(
        f'{{"product_id":"{product.name}","trade_id":"{trade.trade_id}",'
        f'"price":"{plain(product.price, trade.tick)}","size":"{plain(product.size, trade.lots)}",'
        f'"time":"{moment(trade.ts_ns, _MICROSECONDS)}","side":"{maker_side(trade)}"}}'
        for trade in reversed(tuple(trades))
    )
    return f'[{{"type":"{kind}","trades":[{told}]}}]'


def heartbeat_events(counter: int, ts_ns: int) -> str:
    """Return the events of a heartbeat."""
    seconds, rest = divmod(ts_ns, NS_PER_S)
    time = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{rest:09d} +0000 UTC m=+{counter}.0"
    return f'[{{"current_time":"{time}","heartbeat_counter":{counter}}}]'


def maker_side(trade: Print) -> str:
    """Return the side of the order that rested in the book."""
    return "SELL" if trade.taker == "buy" else "BUY"


def moment(ts_ns: int, places: int) -> str:
    """Return a time as RFC 3339 with this many decimal places of the second."""
    seconds, rest = divmod(ts_ns, NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{f'{rest:09d}'[:places]}Z"


def plain(digits: Digits, steps: int) -> str:
    """Return steps without trailing zeros, as this venue writes every number: 65083.5, 0.002186, 0."""
    text = digits.text(steps)
    return text.rstrip("0").rstrip(".") if "." in text else text
