"""The book as it was at a moment, from its own records; pure.

The clock is that of `receivedTs`: the wall clock of the l2 process when the frame came out of its socket,
which is each record's Kafka timestamp, in whole milliseconds. A moment includes its millisecond: the book as
of `at` is what its records made of it up to the first one with a timestamp above `at`.

l2 keeps an epoch only while it can prove the book, so a book was LIVE between any two records of an epoch
that join. After an epoch's last record nobody can tell when it was lost, so nothing is shown there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta

from libs.common.events import BookDelta, BookSnapshot, BookState
from libs.common.order_book import OrderBook, SequenceGapError
from services.gateway.answers import NS_PER_MS, BookAnswer
from services.gateway.problems import NOT_KNOWN_THEN, ProblemDocument, ProblemError

if TYPE_CHECKING:
    from libs.common.events import BookHealth
    from services.gateway.books import BookId

BookEvent: TypeAlias = BookSnapshot | BookDelta


class Row(NamedTuple):
    """One record of the book."""

    timestamp_ms: int
    event: BookEvent | None  # None: bytes that are no message


class BookAsOf(BookAnswer, frozen=True, kw_only=True):
    """The top of one book as it was; `features` is null, for l2 keeps none of the past."""

    at: Annotated[int, Meta(description="the moment asked for, ms since 1970 UTC by the clock of receivedTs")]


class Retained(msgspec.Struct, frozen=True, kw_only=True):
    """The oldest and the newest moment of a book that Kafka still has; it may have been lost in between."""

    from_: Annotated[int, Meta(description="its oldest keyframe, ms since 1970 UTC")] = msgspec.field(
        name="from"
    )
    to: Annotated[int, Meta(description="its newest record, or now while it is LIVE, ms since 1970 UTC")]


class Nearby(msgspec.Struct, frozen=True, kw_only=True):
    """The moments around the one asked for at which the book is known; null: none was found."""

    before: Annotated[int | None, Meta(description="the last one before, ms since 1970 UTC")]
    after: Annotated[int | None, Meta(description="the first one after, ms since 1970 UTC")]


class PastDocument(ProblemDocument, frozen=True, kw_only=True):
    """The problem of a moment for which a book is not known."""

    retained: Annotated[Retained | None, Meta(description="what is kept of the book")] = None
    nearby: Annotated[Nearby | None, Meta(description="when the book is known; null: not looked for")] = None


class NotKnownThenError(ProblemError):
    """Nobody can say how the book was at that moment."""

    def __init__(
        self, detail: str, *, retained: Retained | None = None, nearby: Nearby | None = None
    ) -> None:
        super().__init__(NOT_KNOWN_THEN, detail)
        self.retained = retained
        self.nearby = nearby

    def body(self) -> bytes:
        """Return the document as JSON."""
        return msgspec.json.encode(
            PastDocument(
                type=self.problem.uri,
                title=self.problem.title,
                status=self.status,
                detail=self.detail,
                retained=self.retained,
                nearby=self.nearby,
            )
        )


class Rewind:
    """Sifts one book's records, in log order, for those that make it up at a moment.

    Attributes
    ----------
    rows
        The newest keyframe at or before the moment and what came after it; without one, all there was.
    following
        The first record after the moment, once it was seen.
    """

    def __init__(self, at_ms: int) -> None:
        self._at_ms = at_ms
        self._newest = (0, 0)  # epoch, seq
        self.rows: list[Row] = []
        self.following: Row | None = None

    @property
    def has_keyframe(self) -> bool:
        """Whether earlier records matter no more."""
        return bool(self.rows) and isinstance(self.rows[0].event, BookSnapshot)

    def take(self, row: Row) -> bool:
        """Take the next record; return True if it lies after the moment, and later ones do not matter."""
        event = row.event
        here = self._newest if event is None else (event.epoch, event.seq)
        if here < self._newest or (here == self._newest and isinstance(event, BookDelta)):
            return False  # said again, or by an owner that has been replaced
        if row.timestamp_ms > self._at_ms:
            self.following = row
            return True
        self._newest = here
        if isinstance(event, BookSnapshot):
            self.rows.clear()
        self.rows.append(row)
        return False

    def extend(self, later: Rewind) -> None:
        """Take what `later` kept of the records behind these."""
        for row in (*later.rows, *([later.following] if later.following else ())):
            self.take(row)


class PastBook:
    """The book that the rows of a `Rewind` make, followed one by one; None while a hole hides it."""

    def __init__(self) -> None:
        self.book: OrderBook | None = None
        self.last: tuple[int, BookEvent] | None = None  # what the book was last brought to, with its ms

    def follow(self, row: Row) -> None:
        """Bring the book to `row`."""
        event = row.event
        if isinstance(event, BookSnapshot):
            self.book = OrderBook()
        if self.book is None:
            return
        if event is None:
            self.book = None
            return
        try:
            self.book.follow(event)
        except SequenceGapError:
            self.book = None
            return
        self.last = (row.timestamp_ms, event)

    def joins(self, following: Row | None) -> bool:
        """Tell whether `following` proves that the book was never lost before it."""
        if self.book is None or self.book.seq is None or following is None:
            return False
        match following.event:
            case BookSnapshot(epoch=epoch, seq=seq):
                return (epoch, seq) == (self.book.epoch, self.book.seq)
            case BookDelta(epoch=epoch, seq=seq):
                return (epoch, seq) == (self.book.epoch, self.book.seq + 1)
            case None:
                return False


def known_as_of(
    book_id: BookId,
    past: PastBook,
    following: Row | None,
    health: BookHealth | None,
    at_ms: int,
    silence_ns: int,
) -> tuple[OrderBook, BookEvent, str]:
    """Return the book, what it was last brought to, and why it is proven to have been LIVE.

    Parameters
    ----------
    health
        What its owner says now: the same epoch LIVE proves the time since the newest record too.
    silence_ns
        How old a heartbeat may be to speak for a moment after it.

    Raises
    ------
    NotKnownThenError
        404 with the nearest moments at which the book is known.
    """
    if past.book is not None and past.last is not None:
        if past.joins(following):
            return past.book, past.last[1], "the next message of its epoch joins"
        if (
            health is not None
            and health.state is BookState.LIVE
            and health.epoch == past.book.epoch
            and at_ms * NS_PER_MS - health.ts <= silence_ns
        ):
            return past.book, past.last[1], "its owner is LIVE in the same epoch"
    before = past.last[0] if past.last else None
    after = following.timestamp_ms if following and isinstance(following.event, BookSnapshot) else None
    known = [f"until {before}"] if before is not None else []
    known += [f"from {after} on"] if after is not None else []
    raise NotKnownThenError(
        f"{book_id.venue} {book_id.symbol} is not proven to have been LIVE at {at_ms}"
        f"{'; it is known ' if known else ''}{' and '.join(known)}.",
        nearby=Nearby(before=before, after=after),
    )


def answer_as_of(book: OrderBook, last: BookEvent, reason: str, at_ms: int, depth: int) -> BookAsOf:
    """Return the best `depth` levels a side of a book as it was."""
    return BookAsOf(
        venue=last.venue,
        symbol=last.symbol,
        bids=book.bids(depth),
        asks=book.asks(depth),
        seq=last.seq,
        ts=(last.received_ts if last.venue_ts is None else last.venue_ts) // NS_PER_MS,
        state=BookState.LIVE,
        epoch=last.epoch,
        venue_seq=last.venue_seq,
        features=None,
        received_ts=last.received_ts // NS_PER_MS,
        reason=reason,
        at=at_ms,
    )
