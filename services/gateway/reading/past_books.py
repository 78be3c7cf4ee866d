"""`PastBooks`: reads as much of a book's log as a moment needs, within limits of its own.

A shell: it waits on the loop's clock, and lets other requests run after every few records.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from libs.common.metrics import Histogram
from libs.common.monitoring import SECONDS
from libs.common.time_units import NS_PER_MS, NS_PER_S
from services.gateway.http.places import Places
from services.gateway.http.problems import TOO_MANY, ProblemError
from services.gateway.http.view import encode
from services.gateway.reading import as_of
from services.gateway.reading.book_log import CHUNK
from services.gateway.reading.kafka_within import kafka_within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from contextlib import AbstractAsyncContextManager

    from msgspec import Struct

    from services.gateway.reading.book_log import BookLog, Chunk
    from services.gateway.reading.books import BookId
    from services.gateway.reading.topic_views import GatewayViews
    from services.gateway.settings import GatewaySettings

AHEAD_MS: Final = 1_000  # a caller's clock may be ahead of ours by this much
FOR_EVER_MS: Final = 1 << 63

OpenLog: TypeAlias = "Callable[[bytes], AbstractAsyncContextManager[BookLog]]"


class _TooLongError(ProblemError):
    """More than one request may read, or keep."""

    def __init__(self, what: str) -> None:
        super().__init__(TOO_MANY, f"The moment needs more than {what} of the log.", retry_after_s=1)


@dataclass(eq=False)
class PastBooks:
    """The answers of `GET /api/l2/{venue}/{symbol}?at=`."""

    settings: GatewaySettings
    views: GatewayViews
    open_log: OpenLog
    clock: Callable[[], int]  # int ns UTC
    places: Places = field(init=False)
    records: int = field(default=0, init=False)  # read since the start
    seconds: Histogram = field(default_factory=lambda: Histogram(SECONDS), init=False)

    def __post_init__(self) -> None:
        self.places = Places.of(self.settings, "as_of_max_rebuilds", "rebuilds", "books are being rebuilt")

    async def body(self, book: BookId, depth: int, at_ms: int, address: str) -> bytes:
        """Return the top `depth` levels of a book as it was at `at_ms` (ms since 1970 UTC).

        Raises
        ------
        ProblemError
            404 if the book is not known for that moment, 503 while the views are behind or Kafka is away, or
            if a limit on rebuilds, records, bytes or time is reached; 429 if this address has its share.
        """
        self.views.require_ready()
        seconds = self.settings.as_of_timeout_s
        late = ProblemError(TOO_MANY, f"The log was not read within {seconds:g} s.", retry_after_s=1)
        with self.places.held(address):
            began = self.clock()
            try:
                async with kafka_within(seconds, late), self.open_log(book.key) as log:
                    return encode(await _Reading(self, log, book).answer(depth, at_ms))
            finally:
                self.seconds.observe((self.clock() - began) / NS_PER_S)


@dataclass(eq=False)
class _Reading:
    """One request's way through a book's log."""

    past_books: PastBooks
    log: BookLog
    book: BookId
    records: int = 0
    size: int = 0  # bytes kept, of rows that a moment is made of

    async def answer(self, depth: int, at_ms: int) -> Struct:
        """Return the book as it was at a moment; raises the problems that are about the book's log."""
        if at_ms > self._latest_ms():
            raise await self._out_of_range(f"{at_ms} is in the future")
        rewind = await self._rewind(at_ms)
        if not rewind.has_keyframe:
            what = f"{at_ms} is before all that is kept of {self.book.venue} {self.book.symbol}"
            raise await self._out_of_range(what)
        past, proof = await self._proven(rewind)
        if proof is None or past.last is None or past.book is None:
            raise as_of.not_known(self.book, at_ms, await self._nearby(rewind))
        return as_of.answer_as_of(past.book, past.last, proof, at_ms, depth)

    async def _rewind(self, at_ms: int) -> as_of.Rewind:
        """Return what the log says of a moment: look back twice as far until there is a keyframe.

        It looks ahead as far as it first looked back: l2 says something of a LIVE book within that time.
        """
        log, back_ms = self.log, self._look_ms()
        stop = await log.offset_at(at_ms + back_ms)
        first = await self._offset_before(at_ms, back_ms)
        rewind = await self._sifted(at_ms, first, stop)
        while not rewind.has_keyframe and first > log.begin:
            back_ms *= 2
            stop, first = first, await self._offset_before(at_ms, back_ms)
            earlier = await self._sifted(at_ms, first, stop)
            earlier.extend(rewind)
            rewind = earlier
        return rewind

    async def _offset_before(self, at_ms: int, back_ms: int) -> int:
        return self.log.begin if back_ms >= at_ms else await self.log.offset_at(at_ms - back_ms)

    async def _sifted(self, at_ms: int, first: int, stop: int) -> as_of.Rewind:
        rewind, most = as_of.Rewind(at_ms), self.past_books.settings.as_of_max_bytes
        async for chunk in self._chunks(first, stop):
            self.size += chunk.size
            if self.size > most:
                raise _TooLongError(f"{most} bytes (AS_OF_MAX_BYTES)")
            if any(rewind.take(row) for row in chunk.rows):
                break
        return rewind

    async def _chunks(self, position: int, stop: int) -> AsyncIterator[Chunk]:
        most = self.past_books.settings.as_of_max_records
        while position < stop:
            chunk = await self.log.chunk(position, stop)
            position = chunk.position
            self.records += chunk.records
            self.past_books.records += chunk.records
            if self.records > most:
                raise _TooLongError(f"{most} records")
            await asyncio.sleep(0)
            yield chunk

    async def _follow(self, past: as_of.PastBook, rows: Iterable[as_of.Row]) -> range:
        """Bring a book to these records; return the last moments between them at which it is known."""
        found = range(0)
        for number, row in enumerate(rows):
            found = past.follow(row) or found
            if number % CHUNK == 0:
                await asyncio.sleep(0)
        return found

    async def _proven(self, rewind: as_of.Rewind) -> tuple[as_of.PastBook, str | None]:
        """Return the book that was rewound, and why it is proven to have been LIVE at the moment, if so."""
        past = as_of.PastBook(self._owner())
        await self._follow(past, rewind.rows)
        return past, past.proof(rewind.following, rewind.at_ms)

    async def _nearby(self, rewind: as_of.Rewind) -> as_of.Nearby | None:
        """Return the known moments around, None if that takes too long to find."""
        at_ms = rewind.at_ms
        try:
            before = await self._last_known(rewind, at_ms)
            first, stop = (
                await self.log.offset_at(at_ms + 1),
                await self.log.offset_at(at_ms + self._look_ms()),
            )
            return as_of.Nearby(before=before, after=await self._first_known(first, stop, at_ms + 1))
        except _TooLongError:
            return None

    async def _first_known(self, first: int, stop: int, since_ms: int) -> int | None:
        """Return the first moment from `since_ms` on that the records of these offsets prove, if any."""
        past, sieve = as_of.PastBook(self._owner(), since_ms), as_of.Sieve()
        async for chunk in self._chunks(first, stop):
            for row in chunk.rows:
                if sieve.passes(row) and (found := past.follow(row)):
                    return await self._answering(found[0])
        found = past.known(None, FOR_EVER_MS)
        return await self._answering(found[0]) if found else None

    async def _last_known(self, rewind: as_of.Rewind, before_ms: int) -> int | None:
        """Return the last moment before this one at which what was read to rewind the book proves it."""
        past = as_of.PastBook(self._owner())
        found = await self._follow(past, (*rewind.earlier, *rewind.rows))
        found = past.known(rewind.following, before_ms) or found
        return await self._answering(found[-1]) if found else None

    async def _answering(self, at_ms: int) -> int | None:
        """Return the moment if asking at it answers: the log may look otherwise from there.

        A clock that was set back puts records in another order than that of their timestamps.
        """
        if at_ms > self._latest_ms():
            return None
        _, proof = await self._proven(await self._rewind(at_ms))
        return None if proof is None else at_ms

    async def _out_of_range(self, what: str) -> as_of.NotKnownThenError:
        """Return the problem with the range there is, without it if that takes too long to find."""
        try:
            retained = await self._retained()
        except _TooLongError:
            return as_of.NotKnownThenError(f"{what}.")
        known = f"nothing of {self.book.venue} {self.book.symbol} is known"
        if retained is not None:
            known = f"it is known from {retained.from_} to {retained.to}"
        return as_of.NotKnownThenError(f"{what}; {known}.", retained=retained)

    async def _retained(self) -> as_of.Retained | None:
        oldest = await self._first_known(self.log.begin, self.log.end, 0)
        if oldest is None:
            return None
        now_ms = self.past_books.clock() // NS_PER_MS
        newest = await self._last_known(await self._rewind(now_ms), now_ms + 1)
        return as_of.Retained(from_=oldest, to=oldest if newest is None else max(oldest, newest))

    def _owner(self) -> as_of.Owner:
        views, settings = self.past_books.views, self.past_books.settings
        return as_of.Owner(views.healths.items.get(self.book.key), round(settings.l2_silence_s * NS_PER_S))

    def _latest_ms(self) -> int:
        return self.past_books.clock() // NS_PER_MS + AHEAD_MS

    def _look_ms(self) -> int:
        return round(self.past_books.settings.as_of_look_back_s * 1000)
