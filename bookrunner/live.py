"""`books`: verified order books of this moment, each rebuilt from its keyframes and deltas; a shell."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from bookrunner.records import kafka_settings
from libs.common.events import BookDelta, BookHealth, BookSnapshot
from libs.common.followed_book import FollowedBook
from libs.common.instruments import canonical_symbol
from libs.common.kafka import partition_of
from libs.common.kafka_admin import partition_counts
from libs.common.kafka_reader import Reader, Undecodable
from libs.common.live_books import PATIENCE
from libs.common.time_units import NS_PER_S
from libs.common.topics import L2_BOOK_DELTAS, L2_BOOK_HEALTH, book_key
from libs.common.venues import venue_named

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from libs.common.kafka_places import Place
    from libs.common.kafka_reader import Record
    from libs.common.live_books import Patience
    from libs.common.order_book import OrderBook
    from libs.common.settings import ServiceSettings

LOOK_BACK_NS: Final = 20 * NS_PER_S  # l2 repeats a keyframe every 10 s
LOOK_S: Final = 0.25  # between two looks at whether books lapsed
UNKNOWN: Final = "there is no book"


class BookUpdate(NamedTuple):
    """A book that changed: its levels, or whether it may be used.

    Attributes
    ----------
    book
        The book itself, which goes on changing: look at it before the next ``await``. None: it may not be
        used, and `why_not` says why.
    """

    venue: str
    symbol: str
    book: OrderBook | None
    why_not: str


class Books:
    """Order books that follow Kafka while the context lasts; an iterator of those that changed.

    Whoever iterates slowly gets each book once, as it is by then, however often it changed meanwhile.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        symbols: frozenset[str],
        venues: frozenset[str],
        patience: Patience = PATIENCE["trading"],
    ) -> None:
        self._settings = settings
        self._symbols = symbols
        self._venues = venues
        self._patience = patience
        self._books: dict[bytes, FollowedBook] = {}
        self._changed: dict[bytes, None] = {}  # in order; not yet yielded
        self._usable: set[bytes] = set()  # as last yielded
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        topics = (L2_BOOK_DELTAS, L2_BOOK_HEALTH)
        counts = await partition_counts(self._settings, topics)
        numbers = {
            partition_of(symbol.encode(), count) for symbol in self._symbols for count in counts.values()
        }
        start: dict[str, Place] = {
            L2_BOOK_DELTAS.name: time.time_ns() - LOOK_BACK_NS,
            L2_BOOK_HEALTH.name: "recent",
        }
        self._reader = Reader(
            self._settings,
            topics,
            start=start,
            partitions=numbers or None,
            wanted=self._wants,
        )
        await self._reader.__aenter__()
        try:
            while not await self._reader.at_end():
                self._fold(await self._reader.poll())
        except BaseException:
            await self._reader.__aexit__(None, None, None)
            raise
        self._following = asyncio.create_task(self._follow(), name="bookrunner.books")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._following.cancel()
        await asyncio.wait([self._following])
        await self._reader.__aexit__(kind, error, traceback)
        if error is None and not self._following.cancelled():
            self._following.result()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BookUpdate:
        while not self._changed:
            self._news.clear()
            if self._following.done():
                self._following.result()  # raises what ended it
            await self._news.wait()
        key = next(iter(self._changed))
        del self._changed[key]
        venue, _, symbol = key.decode().partition(":")
        book, why_not = self._looked_at(self._books[key])
        (self._usable.discard if book is None else self._usable.add)(key)
        return BookUpdate(venue, symbol, book, why_not)

    def book(self, venue: str, symbol: str) -> OrderBook | None:
        """Return a book that is LIVE, whole and proven at this moment, or None: `why_not` says why.

        It is the book itself, which goes on changing: look at it before the next ``await``.
        """
        return self._looked_at(self._books.get(_key(venue, symbol)))[0]

    def why_not(self, venue: str, symbol: str) -> str:
        """Return why a book may not be used at this moment; empty where it may."""
        return self._looked_at(self._books.get(_key(venue, symbol)))[1]

    @property
    def known(self) -> tuple[tuple[str, str], ...]:
        """The venue and symbol of every book that l2 tells of, usable or not."""
        told = sorted(key for key, followed in self._books.items() if not followed.dropped)
        return tuple((venue, symbol) for venue, _, symbol in (key.decode().partition(":") for key in told))

    def _looked_at(self, followed: FollowedBook | None) -> tuple[OrderBook | None, str]:
        if self._following.done():
            return None, "Kafka is read no more: the next update raises why"
        if followed is None:
            return None, UNKNOWN
        fault = followed.fault(time.time_ns(), self._patience)
        return (followed.book, "") if fault is None else (None, str(fault))

    async def _follow(self) -> None:
        looked_s = time.monotonic()
        try:
            while True:
                self._fold(await self._reader.poll())
                if time.monotonic() - looked_s >= LOOK_S:
                    self._mark_lapsed()
                    looked_s = time.monotonic()
        finally:
            self._news.set()

    def _fold(self, found: Iterable[Record | Undecodable]) -> None:
        for item in found:
            followed = self._books.get(item.key)
            if followed is None:
                followed = self._books[item.key] = FollowedBook()
            match item:
                case Undecodable():
                    if item.topic is L2_BOOK_DELTAS:
                        followed.lose(f"{item.source} cannot be read: {item.reason}")
                case _ if item.topic is L2_BOOK_HEALTH:
                    followed.hear(item.event if isinstance(item.event, BookHealth) else None)
                case _ if isinstance(item.event, BookSnapshot | BookDelta):
                    followed.follow(item.event)
                case _:
                    continue
            self._changed[item.key] = None
        if self._changed:
            self._news.set()

    def _mark_lapsed(self) -> None:
        """Mark the books that may be used no more without a message that says so: their owner fell silent."""
        for key in self._usable:
            if self._looked_at(self._books[key])[0] is None:
                self._changed[key] = None
        if self._changed:
            self._news.set()

    def _wants(self, _topic: str, key: bytes) -> bool:
        try:
            venue, colon, symbol = key.decode().partition(":")
        except UnicodeDecodeError:
            return False
        return (
            colon == ":"
            and (not self._venues or venue in self._venues)
            and (not self._symbols or symbol in self._symbols)
        )


def books(
    *symbols: str,
    venues: Iterable[str] = (),
    servers: str | None = None,
    settings: ServiceSettings | None = None,
) -> Books:
    """Return the order books of symbols and venues, all of them by default; enter it to follow them.

    Each is rebuilt from its newest keyframe, at most 10 s back, and every message's `epoch` and `seq` are
    checked. A book is given out only while l2 says that it is LIVE and proves it, and no message is missing.

    Parameters
    ----------
    symbols
        Like BTC-USDT or BTCUSDT.
    venues
        Like binance.
    servers, settings
        As `subscribe` takes them.

    Raises
    ------
    UnknownSymbolError, UnknownVenueError
        If one is none.

    Examples
    --------
    ::

        async with books("BTC-USDT", venues=["binance", "kraken"]) as live:
            async for update in live:
                if update.book is not None:
                    print(update.venue, update.book.best_bid, update.book.best_ask)
                else:
                    print(update.venue, update.why_not)
    """
    return Books(
        settings or kafka_settings(servers),
        frozenset(map(canonical_symbol, symbols)),
        frozenset(venue_named(venue).venue for venue in venues),
    )


def _key(venue: str, symbol: str) -> bytes:
    return book_key(venue_named(venue).venue, canonical_symbol(symbol))
