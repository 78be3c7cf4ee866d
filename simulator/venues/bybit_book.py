"""Bybit's book messages: the windows that subscribers hold, each counted by itself.

References
----------
bybit-exchange/docs, `v5/websocket/public/orderbook.mdx`, as of 2026-07-24.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from libs.common.time_units import NS_PER_MS
from simulator.venues.venue import Pair, crossing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from random import Random

    from simulator.exchange_book import BookChange, ExchangeBook, Level, Side

_RESTART_NS: Final = 3_600_000 * NS_PER_MS  # the service restarts at each full hour, UTC
_TOP: Final = 1  # the depth that is told in snapshots only

BATCH_NS: Final[Mapping[int, int]] = {
    _TOP: 10 * NS_PER_MS,
    50: 20 * NS_PER_MS,
    200: 100 * NS_PER_MS,
    1000: 200 * NS_PER_MS,
}
"""The least time between two messages, by depth."""


@dataclass(frozen=True, slots=True)
class BybitPair(Pair):
    """A pair and how its levels are written."""

    def levels(self, levels: Iterable[Level]) -> str:
        """Return levels as on the wire: price and size."""
        return (
            "[" + ",".join([f'["{self.price_text(tick)}","{self.size_text(n)}"]' for tick, n in levels]) + "]"
        )

    def price_text(self, ticks: int) -> str:
        """Return a price as Bybit writes it."""
        return _plain(self.price.text(ticks))

    def size_text(self, lots: int) -> str:
        """Return a size as Bybit writes it."""
        return _plain(self.size.text(lots))


def _plain(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass(frozen=True, slots=True)
class BookFrame:
    """One message of a topic ``orderbook.<depth>.<name>``."""

    pair: BybitPair
    depth: int
    kind: Literal["snapshot", "delta"]
    sent_ns: int
    matched_ns: int
    update_id: int
    cross_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    best_ask: int  # ticks

    @property
    def topic(self) -> str:
        """Whose subscribers get it."""
        return f"orderbook.{self.depth}.{self.pair.name}"

    def text(self) -> str:
        """Return the true message."""
        return (
            f'{{"topic":"{self.topic}","ts":{self.sent_ns // NS_PER_MS},"type":"{self.kind}","data":'
            f'{{"s":"{self.pair.name}","b":{self.pair.levels(self.bids)},"a":{self.pair.levels(self.asks)},'
            f'"u":{self.update_id},"seq":{self.cross_id}}},"cts":{self.matched_ns // NS_PER_MS}}}'
        )

    def corrupted(self, random: Random) -> str | None:
        """Return it with sizes changed and its number raised.

        Nothing in this protocol proves a size, so damage to a level alone would pass every client; the number
        is hit too, which leaves a hole. A snapshot begins the count, and so proves nothing at all.
        """
        if self.kind == "snapshot":
            return None
        bids = tuple((tick, lots + random.randint(1, 9)) for tick, lots in self.bids)
        return replace(self, bids=bids, update_id=self.update_id + random.randint(1_000, 1_000_000)).text()

    def crossed(self, random: Random) -> str:
        """Return it with a bid above the best ask, its number intact."""
        return replace(self, bids=crossing(self.bids, self.best_ask, random, 1_000_000)).text()


class Window:
    """A pair's best levels as the subscribers of one depth hold them, and the number of the last message."""

    def __init__(self, pair: BybitPair, depth: int, book: ExchangeBook) -> None:
        self.update_id = book.update_id + depth
        self.topic = f"orderbook.{depth}.{pair.name}"
        self._pair = pair
        self._depth = depth
        self._book = book
        self._held: tuple[dict[int, int], dict[int, int]] = ({}, {})  # lots by tick, best first
        self._matched_ns = 0
        self._changed = False
        self._due_ns = 0
        self._hour = 0

    @property
    def due_ns(self) -> int | None:
        """When there is a message, None while nothing has changed."""
        return self._due_ns if self._changed else None

    def load(self, now_ns: int) -> None:
        """Show the book as it is now: a first subscriber comes."""
        self._hold(self.update_id + 1, now_ns)
        self._hour = now_ns // _RESTART_NS

    def reload(self, now_ns: int) -> None:
        """Show the book as it is now to one who does not subscribe; if it is another, the number rises."""
        if (self._best(self._book.bids), self._best(self._book.asks)) != self._held:
            self.load(now_ns)

    def touch(self, change: BookChange) -> None:
        """Note a change, to be told with the next message."""
        self._changed = True
        self._matched_ns = change.ts_ns

    def snapshot(self, now_ns: int) -> BookFrame:
        """Return what a new subscriber is told first: exactly what the others hold."""
        bids, asks = (tuple(held.items()) for held in self._held)
        return self._frame("snapshot", now_ns, bids, asks)

    def update(self, now_ns: int, *, force: bool) -> BookFrame | None:
        """Return the message that is due, if one is; after a restart a snapshot, whose number is 1."""
        if (hour := now_ns // _RESTART_NS) > self._hour:
            self._hour = hour
            self._hold(1, now_ns)
            return self.snapshot(now_ns)
        if not self._changed or not (force or now_ns >= self._due_ns):
            return None
        before = self._held
        self._hold(self.update_id, now_ns)
        bids, asks = (_changes(was, held) for was, held in zip(before, self._held, strict=True))
        if not bids and not asks:
            return None
        self.update_id += 1
        return self.snapshot(now_ns) if self._depth == _TOP else self._frame("delta", now_ns, bids, asks)

    def _hold(self, update_id: int, now_ns: int) -> None:
        self.update_id, self._changed = update_id, False
        self._due_ns = now_ns + BATCH_NS[self._depth]
        self._held = (self._best(self._book.bids), self._best(self._book.asks))

    def _best(self, side: Side) -> dict[int, int]:
        keys, sign = side.keys[: self._depth], side.sign
        return dict(zip([key * sign for key in keys], map(side.lots.__getitem__, keys), strict=True))

    def _frame(
        self,
        kind: Literal["snapshot", "delta"],
        now_ns: int,
        bids: tuple[Level, ...],
        asks: tuple[Level, ...],
    ) -> BookFrame:
        return BookFrame(
            pair=self._pair,
            depth=self._depth,
            kind=kind,
            sent_ns=now_ns,
            matched_ns=self._matched_ns or now_ns,
            update_id=self.update_id,
            cross_id=self._book.update_id,
            bids=bids,
            asks=asks,
            best_ask=self._book.asks.best,
        )


def _changes(before: Mapping[int, int], after: Mapping[int, int]) -> tuple[Level, ...]:
    """Return the levels that are new or have another size, then those that left the window, with size 0."""
    told = [(tick, lots) for tick, lots in after.items() if before.get(tick) != lots]
    return (*told, *((tick, 0) for tick in before if tick not in after))
