"""The book as it was at a moment, from its own records; pure.

The clock is that of `receivedTs`: the wall clock of the l2 process when the frame came out of its socket,
which is each record's Kafka timestamp, in whole milliseconds. A moment includes its millisecond: the book as
of `at` is what its records made of it up to the first one with a timestamp above `at`.

l2 keeps an epoch only while it can prove the book, so a book was LIVE between any two records of an epoch
that join. After an epoch's last record nobody can tell when it was lost, so nothing is shown there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta

from libs.common.events import BookDelta, BookSnapshot, BookState, BookTop
from libs.common.live_books import missing_side, vouches
from libs.common.order_book import OrderBook, SequenceGapError
from libs.common.time_units import NS_PER_MS
from services.gateway.http.problems import NOT_KNOWN_THEN, ProblemDocument, ProblemError
from services.gateway.http.views import AS_OF
from services.gateway.reading.book_status import BookStatus

if TYPE_CHECKING:
    from libs.common.events import BookHealth, Features
    from services.gateway.reading.books import BookId

BookEvent: TypeAlias = BookSnapshot | BookDelta


class Row(NamedTuple):
    """One record of the book."""

    timestamp_ms: int
    event: BookEvent | None  # None: bytes that are no message
    offset: int = -1  # where it stands in its partition, if somebody wants to know


class Retained(msgspec.Struct, frozen=True, kw_only=True):
    """The moments between which Kafka still knows a book, both included; it may have been lost in between."""

    from_: Annotated[int, Meta(description="the first one, ms since 1970 UTC")] = msgspec.field(name="from")
    to: Annotated[int, Meta(description="the last one, now while it is LIVE, ms since 1970 UTC")]


class Nearby(msgspec.Struct, frozen=True, kw_only=True):
    """The moments around the one asked for at which the book is known; null: none was found."""

    before: Annotated[int | None, Meta(description="the last one before, ms since 1970 UTC; null: none")]
    after: Annotated[int | None, Meta(description="the first one after, ms since 1970 UTC; null: none")]


class PastDocument(ProblemDocument, frozen=True, kw_only=True):
    """The problem of a moment for which a book is not known."""

    retained: Annotated[
        Retained | None, Meta(description="what is kept of the book; null: not found, or not looked for")
    ] = None
    nearby: Annotated[Nearby | None, Meta(description="when the book is known; null: not looked for")] = None


class NotKnownThenError(ProblemError):
    """Nobody can say how the book was at that moment."""

    def __init__(
        self, detail: str, *, retained: Retained | None = None, nearby: Nearby | None = None
    ) -> None:
        super().__init__(NOT_KNOWN_THEN, detail)
        said = msgspec.structs.asdict(self.document)
        self.document = PastDocument(**said, retained=retained, nearby=nearby)


class Sieve:
    """Passes a book's records in log order: none said again, and none by an owner that has been replaced."""

    def __init__(self) -> None:
        self._newest = (0, 0)  # epoch, seq

    def passes(self, row: Row) -> bool:
        """Tell whether the next record makes up the book."""
        event = row.event
        here = self._newest if event is None else (event.epoch, event.seq)
        if here < self._newest or (here == self._newest and isinstance(event, BookDelta)):
            return False
        self._newest = here
        return True


@dataclass(eq=False)
class Rewind:
    """Sifts one book's records, in log order, for those that make it up at a moment."""

    at_ms: int
    rows: list[Row] = field(default_factory=list)  # from the newest keyframe until then; without one, all
    earlier: list[Row] = field(default_factory=list)  # what was read of the book before that keyframe
    after: list[Row] = field(default_factory=list)  # the first after the moment; without a keyframe, all
    _sieve: Sieve = field(default_factory=Sieve)

    @property
    def following(self) -> Row | None:
        """The first record after the moment, once it was seen."""
        return self.after[0] if self.after else None

    @property
    def has_keyframe(self) -> bool:
        """Whether earlier records matter no more."""
        return bool(self.rows) and isinstance(self.rows[0].event, BookSnapshot)

    def take(self, row: Row) -> bool:
        """Take the next record; return True if it lies after the moment, and later ones do not matter.

        Without a keyframe they do: what comes before may show that the first one is of a replaced owner.
        """
        if not self._sieve.passes(row):
            return False
        if self.after or row.timestamp_ms > self.at_ms:
            self.after.append(row)
            return self.has_keyframe
        if isinstance(row.event, BookSnapshot):
            self.earlier += self.rows
            self.rows.clear()
        self.rows.append(row)
        return False

    def extend(self, later: Rewind) -> None:
        """Take what `later` kept of the records behind these."""
        for row in (*later.rows, *later.after):
            if self.take(row):
                return


class Owner(NamedTuple):
    """What the book's owner says now: the same epoch LIVE proves the time since the newest record too."""

    health: BookHealth | None
    silence_ns: int  # how old a heartbeat may be to speak for a moment after it

    def speaks_until(self, epoch: int | None) -> int:
        """Return the last moment (ms) for which it vouches for the epoch, -1 if for none."""
        if self.health is None or not vouches(self.health, epoch):
            return -1
        return (self.health.ts + self.silence_ns) // NS_PER_MS


@dataclass(eq=False)
class PastBook:
    """The book that a `Sieve` passed the records of, followed one by one."""

    owner: Owner
    since_ms: int = 0  # the first moment that is asked for and holds every record followed
    book: OrderBook | None = None  # None while a hole hides it
    last: BookEvent | None = None  # what it was last brought to
    offset: int = -1  # where that stands

    def follow(self, row: Row) -> range:
        """Bring the book to `row`; return the moments just before it at which the book is known."""
        moments = self.known(row, row.timestamp_ms)
        self.since_ms = max(self.since_ms, row.timestamp_ms)
        event = row.event
        if isinstance(event, BookSnapshot):
            self.book = OrderBook()
        if event is None:
            self.book = None
        if self.book is None or event is None:
            return moments
        try:
            self.book.follow(event)
        except SequenceGapError:
            self.book = None
        else:
            self.last, self.offset = event, row.offset
        return moments

    def known(self, following: Row | None, end_ms: int) -> range:
        """Return the known moments from the last record followed up to, not including, `end_ms`."""
        if self.book is None:
            return range(0)
        if not self._joins(following):
            end_ms = min(end_ms, self.owner.speaks_until(self.book.epoch) + 1)
        return range(self.since_ms, end_ms)

    def proof(self, following: Row | None, at_ms: int) -> str | None:
        """Return why it is proven to have been LIVE at the moment between the last record and `following`."""
        if self._joins(following):
            return "the next message of its epoch joins"
        if self.book is not None and at_ms <= self.owner.speaks_until(self.book.epoch):
            return "its owner is LIVE in the same epoch"
        return None

    def _joins(self, following: Row | None) -> bool:
        """Tell whether `following` proves that the book was never lost before it."""
        if self.book is None or self.book.seq is None or following is None or following.event is None:
            return False
        later = int(isinstance(following.event, BookDelta))
        return (following.event.epoch, following.event.seq) == (self.book.epoch, self.book.seq + later)


def not_known(book_id: BookId, at_ms: int, nearby: Nearby | None) -> NotKnownThenError:
    """Return the problem of a moment at which the book is not proven to have been LIVE."""
    known = [f"until {nearby.before}"] if nearby and nearby.before is not None else []
    known += [f"from {nearby.after} on"] if nearby and nearby.after is not None else []
    what = f"{book_id.venue} {book_id.symbol} is not proven to have been LIVE at {at_ms}"
    what += f"; it is known {' and '.join(known)}" if known else ""
    return NotKnownThenError(f"{what}.", nearby=nearby)


def top_of(book: OrderBook, last: BookEvent, depth: int, features: Features | None = None) -> BookTop:
    """Return the best `depth` levels a side of a book that was last brought to a message."""
    return BookTop(
        venue=last.venue,
        symbol=last.symbol,
        epoch=last.epoch,
        seq=last.seq,
        venue_seq=last.venue_seq,
        bids=book.bids(depth),
        asks=book.asks(depth),
        features=features,
        venue_ts=last.venue_ts,
        received_ts=last.received_ts,
    )


def answer_as_of(book: OrderBook, last: BookEvent, reason: str, at_ms: int, depth: int) -> msgspec.Struct:
    """Return the best `depth` levels a side of a book as it was; without one of its sides it was not LIVE."""
    status = BookStatus(BookState.LIVE, reason)
    if (missing := missing_side(book.best_bid, book.best_ask)) is not None:
        status = BookStatus(BookState.ONE_SIDED, f"{missing}; {reason}")
    return AS_OF(top_of(book, last, depth), status=status, at=at_ms)
