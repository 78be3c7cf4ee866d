"""OKX's book messages: the window of 400 levels that every subscriber holds, and the chain of its ids.

References
----------
okx.com/docs-v5/en, WS order book channel, as of 2026-07-07.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from libs.common.time_units import MINUTE_NS, NS_PER_MS
from simulator.venues.venue import Pair, crossing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from simulator.exchange_book import BookChange, ExchangeBook, Level, Side

DEPTH: Final = 400
_BATCH_NS: Final = 100 * NS_PER_MS  # of the channel books
_KEEP_ALIVE_NS: Final = MINUTE_NS
_MAINTENANCE_NS: Final = 3_600_000 * NS_PER_MS  # ids start over at each full hour, UTC


@dataclass(frozen=True, slots=True)
class OkxPair(Pair):
    """A pair and how its levels are written."""

    def levels(self, levels: Iterable[Level]) -> str:
        """Return levels as on the wire: price, size, "0", and how many orders rest there."""
        rows = [
            f'["{plain(self.price.text(tick))}","{plain(self.size.text(lots))}","0","{_orders(lots)}"]'
            for tick, lots in levels
        ]
        return "[" + ",".join(rows) + "]"


def plain(text: str) -> str:
    """Return a decimal without trailing zeros, as OKX writes numbers: 78743.0 is 78743."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _orders(lots: int) -> int:
    return 1 + lots % 9 if lots else 0


@dataclass(frozen=True, slots=True)
class BookFrame:
    """One message of the channel books."""

    pair: OkxPair
    action: str  # snapshot or update
    ts_ns: int
    previous_id: int  # -1 in a snapshot
    seq_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    best_ask: int  # ticks

    @property
    def topic(self) -> str:
        """Whose subscribers get it."""
        return f"books:{self.pair.name}"

    def text(self) -> str:
        """Return the true message."""
        return (
            f'{{"arg":{{"channel":"books","instId":"{self.pair.name}"}},"action":"{self.action}","data":['
            f'{{"asks":{self.pair.levels(self.asks)},"bids":{self.pair.levels(self.bids)},'
            f'"ts":"{self.ts_ns // NS_PER_MS}","checksum":0,"seqId":{self.seq_id},'
            f'"prevSeqId":{self.previous_id}}}]}}'
        )

    def corrupted(self, random: Random) -> str | None:
        """Return it with sizes changed and both ids raised.

        Nothing in this protocol proves a size any more, so damage to a level alone would pass every client;
        the ids are hit too, which breaks the chain.
        """
        raised = random.randint(1_000, 1_000_000)
        bids = tuple((tick, lots + random.randint(1, 9)) for tick, lots in self.bids)
        ids = replace(self, previous_id=self.previous_id + raised, seq_id=self.seq_id + raised)
        return replace(ids, bids=bids).text()

    def crossed(self, random: Random) -> str:
        """Return it with a bid above the best ask, its ids intact."""
        return replace(self, bids=crossing(self.bids, self.best_ask, random, 100_000_000)).text()


class Window:
    """A pair's best levels as its subscribers hold them, and the id up to which they were told."""

    def __init__(self, pair: OkxPair, book: ExchangeBook) -> None:
        self.seq_id = 0
        self._pair = pair
        self._book = book
        self._sides = (_Held(book.bids), _Held(book.asks))
        self._origin = 0  # the book's update id at which ids were last 0
        self._hour: int | None = None
        self._changed = False
        self._due_ns = 0
        self._sent_ns = 0

    @property
    def due_ns(self) -> int | None:
        """When there is a batch, None while nothing has changed."""
        return self._due_ns if self._changed else None

    @property
    def next_id(self) -> int:
        """The id of a message sent now."""
        return self._book.update_id - self._origin

    def load(self, now_ns: int) -> None:
        """Show the book as it is now: a first subscriber comes."""
        self._maintain(now_ns)
        for side in self._sides:
            side.load()
        self.seq_id, self._changed = self.next_id, False
        self._sent_ns, self._due_ns = now_ns, now_ns + _BATCH_NS

    def touch(self, change: BookChange) -> None:
        """Note a change, to be told with the next batch."""
        self._changed = True
        for side, levels in zip(self._sides, (change.bids, change.asks), strict=True):
            side.touch(levels)

    def snapshot(self, now_ns: int) -> BookFrame:
        """Return what a new subscriber is told first: exactly what the others hold."""
        bids, asks = (side.levels() for side in self._sides)
        return BookFrame(self._pair, "snapshot", now_ns, -1, self.seq_id, bids, asks, self._book.asks.best)

    def update(self, now_ns: int, *, force: bool) -> BookFrame | None:
        """Return the batch that is due, the keep-alive after a minute without any, or nothing."""
        if self._changed and (force or now_ns >= self._due_ns):
            self._changed, self._due_ns = False, now_ns + _BATCH_NS
            bids, asks = (side.take_changes() for side in self._sides)
            if bids or asks:
                self._maintain(now_ns)
                return self._message(now_ns, self.next_id, bids, asks)
        if now_ns - self._sent_ns >= _KEEP_ALIVE_NS:
            return self._message(now_ns, self.seq_id, (), ())
        return None

    def _message(
        self, now_ns: int, seq_id: int, bids: tuple[Level, ...], asks: tuple[Level, ...]
    ) -> BookFrame:
        previous, self.seq_id, self._sent_ns = self.seq_id, seq_id, now_ns
        best_ask = self._book.asks.best
        return BookFrame(self._pair, "update", now_ns, previous, seq_id, bids, asks, best_ask)

    def _maintain(self, now_ns: int) -> None:
        """Let the ids start over where an hour ended, as maintenance may."""
        hour = now_ns // _MAINTENANCE_NS
        if self._hour is not None and hour > self._hour:
            self._origin = self._book.update_id - 1
        self._hour = hour


class _Held:
    """One side of a window; keys are those of the exchange's side."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._lots: dict[int, int] = {}
        self._touched: set[int] = set()

    def load(self) -> None:
        self._touched.clear()
        self._lots = self._window()

    def touch(self, levels: Iterable[Level]) -> None:
        self._touched.update(tick * self._side.sign for tick, _ in levels)

    def levels(self) -> tuple[Level, ...]:
        return tuple((key * self._side.sign, lots) for key, lots in self._lots.items())

    def take_changes(self) -> tuple[Level, ...]:
        """Return what changed, best first, and hold it.

        Levels that left the window are deleted, and so are those that came and went within the batch.
        """
        before, after = self._lots, self._window()
        told = {key: lots for key, lots in after.items() if before.get(key) != lots}
        told |= dict.fromkeys(before.keys() - after.keys(), 0)
        if after:
            last = next(reversed(after))
            told |= {key: 0 for key in self._touched if key not in after and key < last}
        self._lots = after
        self._touched.clear()
        return tuple((key * self._side.sign, told[key]) for key in sorted(told))

    def _window(self) -> dict[int, int]:
        lots = self._side.lots
        return {key: lots[key] for key in self._side.keys[:DEPTH]}
