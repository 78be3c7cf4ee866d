"""`PastBooks`: reads as much of a book's log as a moment needs, within limits of its own.

A shell: it waits on the loop's clock, and lets other requests run after every few records.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from aiokafka.errors import KafkaError

from libs.common.metrics import Histogram
from libs.common.monitoring import SECONDS
from libs.common.time_units import NS_PER_MS, NS_PER_S
from services.gateway.http.places import Places
from services.gateway.http.problems import TOO_MANY, ProblemError, not_ready
from services.gateway.http.view import encode
from services.gateway.reading.as_of import (
    KnownMoments,
    Nearby,
    NotKnownThenError,
    Owner,
    PastBook,
    Retained,
    Rewind,
    Sieve,
    answer_as_of,
    not_known,
    proof_of,
)
from services.gateway.reading.book_log import CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from services.gateway.reading.book_log import BookLog, Chunk
    from services.gateway.reading.books import BookId
    from services.gateway.reading.topic_views import GatewayViews
    from services.gateway.settings import GatewaySettings

AHEAD_MS: Final = 1_000  # a caller's clock may be ahead of ours by this much
FOR_EVER_MS: Final = 1 << 63

OpenLog: TypeAlias = "Callable[[bytes], AbstractAsyncContextManager[BookLog]]"


class _TooLongError(Exception):
    """More than one request may read, or keep; says of what."""


@dataclass
class _Reading:
    """One request's way through a log."""

    log: BookLog
    max_records: int
    max_bytes: int
    look_back_ms: int
    records: int = 0
    size: int = 0  # bytes kept, of rows that a moment is made of

    async def rewind(self, at_ms: int) -> Rewind:
        """Return what the log says of a moment: look back twice as far until there is a keyframe.

        It looks ahead as far as it first looked back: l2 says something of a LIVE book within that time.
        """
        log, back_ms = self.log, self.look_back_ms
        stop = await log.offset_at(at_ms + back_ms)
        first = await self._offset_before(at_ms, back_ms)
        rewind = Rewind(at_ms)
        await self._feed(rewind, first, stop)
        while not rewind.has_keyframe and first > log.begin:
            back_ms *= 2
            stop, first = first, await self._offset_before(at_ms, back_ms)
            earlier = Rewind(at_ms)
            await self._feed(earlier, first, stop)
            earlier.extend(rewind)
            rewind = earlier
        return rewind

    async def first_known_ms(self, owner: Owner, first: int, stop: int, since_ms: int) -> int | None:
        """Return the first moment from `since_ms` on that the records of these offsets prove, if any."""
        moments, sieve, position = KnownMoments(owner, since_ms), Sieve(), first
        while position < stop:
            chunk = await self._chunk(position, stop)
            position = chunk.position
            for row in chunk.rows:
                if sieve.passes(row) and (found := moments.follow(row)):
                    return found[0]
        found = moments.until(None, FOR_EVER_MS)
        return found[0] if found else None

    async def first_known_after(self, owner: Owner, at_ms: int) -> int | None:
        """Return the first moment after this one, as far ahead as `rewind` looks."""
        first = await self.log.offset_at(at_ms + 1)
        stop = await self.log.offset_at(at_ms + self.look_back_ms)
        return await self.first_known_ms(owner, first, stop, at_ms + 1)

    async def _offset_before(self, at_ms: int, back_ms: int) -> int:
        return self.log.begin if back_ms >= at_ms else await self.log.offset_at(at_ms - back_ms)

    async def _feed(self, rewind: Rewind, first: int, stop: int) -> None:
        position = first
        while position < stop:
            chunk = await self._chunk(position, stop)
            position = chunk.position
            self.size += chunk.size
            if self.size > self.max_bytes:
                raise _TooLongError(f"{self.max_bytes} bytes (AS_OF_MAX_BYTES)")
            if any(rewind.take(row) for row in chunk.rows):
                return

    async def _chunk(self, position: int, stop: int) -> Chunk:
        chunk = await self.log.chunk(position, stop)
        self.records += chunk.records
        if self.records > self.max_records:
            raise _TooLongError(f"{self.max_records} records")
        await asyncio.sleep(0)
        return chunk


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
        settings = self.settings
        self.places = Places(
            "rebuilds",
            "books are being rebuilt",
            settings.as_of_max_rebuilds,
            settings.as_of_max_rebuilds_per_address,
            retry_after_s=1,
        )

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
        with self.places.held(address):
            began = self.clock()
            try:
                async with asyncio.timeout(seconds), self.open_log(book.key) as log:
                    return await self._rebuilt(log, book, depth, at_ms)
            except TimeoutError as error:
                late = f"The log was not read within {seconds:g} s."
                raise ProblemError(TOO_MANY, late, retry_after_s=1) from error
            except KafkaError as error:
                raise not_ready(f"Kafka does not answer: {type(error).__name__}.") from error
            finally:
                self.seconds.observe((self.clock() - began) / NS_PER_S)

    async def _rebuilt(self, log: BookLog, book: BookId, depth: int, at_ms: int) -> bytes:
        settings = self.settings
        look_back_ms = round(settings.as_of_look_back_s * 1000)
        reading = _Reading(log, settings.as_of_max_records, settings.as_of_max_bytes, look_back_ms)
        try:
            if at_ms > self._now_ms() + AHEAD_MS:
                what = f"{at_ms} is in the future"
                raise await self._out_of_range(reading, book, what)
            rewind = await reading.rewind(at_ms)
            if not rewind.has_keyframe:
                what = f"{at_ms} is before all that is kept of {book.venue} {book.symbol}"
                raise await self._out_of_range(reading, book, what)
            past, proof = await self._proven(book, rewind, at_ms)
            if proof is None or past.last is None or past.book is None:
                raise not_known(book, at_ms, await self._nearby(reading, book, rewind, at_ms))
        except _TooLongError as error:
            long = f"The moment needs more than {error} of the log."
            raise ProblemError(TOO_MANY, long, retry_after_s=1) from None
        finally:
            self.records += reading.records
        return encode(answer_as_of(past.book, past.last[1], proof, at_ms, depth))

    async def _proven(self, book: BookId, rewind: Rewind, at_ms: int) -> tuple[PastBook, str | None]:
        """Return the book that was rewound, and why it is proven to have been LIVE at the moment, if so."""
        past = PastBook()
        for number, row in enumerate(rewind.rows):
            past.follow(row)
            if number % CHUNK == 0:
                await asyncio.sleep(0)
        return past, proof_of(past, rewind.following, self._owner(book), at_ms)

    async def _nearby(self, reading: _Reading, book: BookId, rewind: Rewind, at_ms: int) -> Nearby | None:
        """Return the known moments around, None if that takes too long to find."""
        try:
            before = await self._last_known(reading, book, rewind, at_ms)
            after = await reading.first_known_after(self._owner(book), at_ms)
            return Nearby(before=before, after=await self._answering(reading, book, after))
        except _TooLongError:
            return None

    async def _last_known(
        self, reading: _Reading, book: BookId, rewind: Rewind, before_ms: int
    ) -> int | None:
        """Return the last moment before this one at which what was read to rewind the book proves it."""
        moments, found = KnownMoments(self._owner(book), 0), range(0)
        for number, row in enumerate((*rewind.earlier, *rewind.rows)):
            found = moments.follow(row) or found
            if number % CHUNK == 0:
                await asyncio.sleep(0)
        found = moments.until(rewind.following, before_ms) or found
        return await self._answering(reading, book, found[-1] if found else None)

    async def _answering(self, reading: _Reading, book: BookId, at_ms: int | None) -> int | None:
        """Return the moment if asking at it answers: the log may look otherwise from there.

        A clock that was set back puts records in another order than that of their timestamps.
        """
        if at_ms is None or at_ms > self._now_ms() + AHEAD_MS:
            return None
        rewind = await reading.rewind(at_ms)
        _, proof = await self._proven(book, rewind, at_ms)
        return None if proof is None else at_ms

    async def _out_of_range(self, reading: _Reading, book: BookId, what: str) -> NotKnownThenError:
        """Return the problem with the range there is, without it if that takes too long to find."""
        try:
            retained = await self._retained(reading, book)
        except _TooLongError:
            return NotKnownThenError(f"{what}.")
        if retained is None:
            return NotKnownThenError(f"{what}; nothing of {book.venue} {book.symbol} is known.")
        return NotKnownThenError(
            f"{what}; it is known from {retained.from_} to {retained.to}.", retained=retained
        )

    async def _retained(self, reading: _Reading, book: BookId) -> Retained | None:
        log = reading.log
        oldest = await reading.first_known_ms(self._owner(book), log.begin, log.end, 0)
        oldest = await self._answering(reading, book, oldest)
        if oldest is None:
            return None
        now_ms = self._now_ms()
        newest = await self._last_known(reading, book, await reading.rewind(now_ms), now_ms + 1)
        return Retained(from_=oldest, to=oldest if newest is None else max(oldest, newest))

    def _owner(self, book: BookId) -> Owner:
        return Owner(self.views.healths.items.get(book.key), round(self.settings.l2_silence_s * NS_PER_S))

    def _now_ms(self) -> int:
        return self.clock() // NS_PER_MS
