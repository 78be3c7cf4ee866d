"""`Moments`: the state of one moment, now or past, in one answer, within limits of its own; a shell.

Now is what the views hold. Of a moment before, what a view holds and is not later is the answer already; the
rest is read backwards from the moment, in windows that grow, and the books are rebuilt from their deltas.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from libs.common.time_units import NS_PER_MS
from libs.common.topic import PAST_MS
from libs.common.topics import L2_BOOK_DELTAS, L2_BOOK_TOPS
from services.gateway.http.places import Places
from services.gateway.http.problems import TOO_MANY, ProblemError
from services.gateway.http.view import encode
from services.gateway.reading.as_of import NotKnownThenError, Retained
from services.gateway.reading.kafka_within import kafka_within
from services.gateway.reading.moment_answer import MomentAnswer, is_of, record_of
from services.gateway.reading.moment_books import BooksThen
from services.gateway.reading.moment_log import Spent, both
from services.gateway.reading.moment_state import StateThen
from services.gateway.reading.past_books import AHEAD_MS, FOR_EVER_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from libs.common.topics import Topic
    from services.gateway.reading.moment_answer import Missing, MomentRecord
    from services.gateway.reading.moment_log import MomentLog, OpenLogs
    from services.gateway.reading.newest import Told
    from services.gateway.reading.topic_views import GatewayViews
    from services.gateway.settings import GatewaySettings

RANGE_MS: Final = 5_000  # for so long the begin of what is kept is remembered
PIECE: Final = 8  # records, between two chances for other requests


class _Kept(NamedTuple):
    """From when on moments can be asked for, and when that was found out."""

    from_ms: int
    at_ms: int


@dataclass(eq=False)
class Moments:
    """The answers of `GET /api/at`."""

    settings: GatewaySettings
    views: GatewayViews
    open_logs: OpenLogs
    clock: Callable[[], int]  # int ns UTC
    places: Places = field(init=False)
    _kept: _Kept | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.places = Places.of(self.settings, "at_max_reads", "moments", "moments are being read")

    async def body(self, at_ms: int | None, symbol: str | None, address: str) -> bytes:
        """Return the state at `at_ms` (ms since 1970 UTC), None for now; of tops only a symbol's, if any.

        Raises
        ------
        ProblemError
            404 if the moment is not kept, or to come; 503 while the views are behind or Kafka is away, or if
            a limit on moments, records, bytes or time is reached; 429 if this address has its share.
        """
        self.views.require_ready()
        seconds = self.settings.at_timeout_s
        late = f"The log was not read within {seconds:g} s."
        with self.places.held(address):
            async with (
                kafka_within(seconds, ProblemError(TOO_MANY, late, retry_after_s=1)),
                self.open_logs() as (state, deltas),
            ):
                reading = _Reading(self, state, deltas, symbol)
                return encode(await (reading.now() if at_ms is None else reading.then(at_ms)))

    async def kept_from(self, deltas: MomentLog) -> int:
        """Return the first moment (ms) that can be asked for: books are known from there on."""
        now_ms = self.clock() // NS_PER_MS
        if self._kept is None or not 0 <= now_ms - self._kept.at_ms < RANGE_MS:
            slots = [(L2_BOOK_DELTAS.name, number) for number in range(self.settings.topic_partitions)]
            spots = await deltas.spots(dict.fromkeys(slots, 0))
            oldest = min((spot.timestamp_ms for spot in spots.values() if spot is not None), default=now_ms)
            self._kept = _Kept(oldest, now_ms)
        return max(self._kept.from_ms, now_ms - PAST_MS)


@dataclass(eq=False)
class _Reading:
    """One request's way through the logs."""

    moments: Moments
    state: MomentLog
    deltas: MomentLog
    symbol: str | None
    missing: list[Missing] = field(default_factory=list)

    async def now(self) -> MomentAnswer:
        """Return the state of now: that of the views, and of logs that no view is of."""
        now_ms = self.moments.clock() // NS_PER_MS
        state = self._state(FOR_EVER_MS)
        found, from_ms = await both(state.logs(), self.moments.kept_from(self.deltas))
        held = {topic: newest.items for topic, newest in self.moments.views.newest.items()}
        told = {**state.shown(held), **found, L2_BOOK_TOPS: self._of_symbol(held[L2_BOOK_TOPS])}
        self.missing += state.missing
        return await self._answer(now_ms, from_ms, told, live=True)

    async def then(self, at_ms: int) -> MomentAnswer:
        """Return the state of a moment; raises the problem of one that is not kept or to come."""
        now_ms = self.moments.clock() // NS_PER_MS
        from_ms = await self.moments.kept_from(self.deltas)
        if not from_ms <= at_ms <= now_ms + AHEAD_MS:
            why = "in the future" if at_ms > now_ms else "before all that is kept"
            said = f"{at_ms} is {why}; moments from {from_ms} to {now_ms} can be asked for."
            raise NotKnownThenError(said, retained=Retained(from_=from_ms, to=max(from_ms, now_ms)))
        state = self._state(at_ms)
        books = BooksThen(
            self.moments.settings, self.moments.views, self.deltas, self._spent(), at_ms, self.symbol
        )
        told, tops = await both(state.found(), books.tops())
        self.missing += [*state.missing, *books.missing(told)]
        return await self._answer(at_ms, from_ms, {**told, L2_BOOK_TOPS: tops}, live=False)

    async def _answer(
        self, ts: int, from_ms: int, told: Mapping[Topic, Mapping[bytes, Told]], *, live: bool
    ) -> MomentAnswer:
        records: list[MomentRecord] = []
        for topic, items in told.items():
            for key, each in sorted(items.items()):
                # What was rebuilt has the id of the newest message inside, which is on another topic.
                of = L2_BOOK_DELTAS if topic is L2_BOOK_TOPS and not live else topic
                records.append(record_of(topic, of, key, each))
                if len(records) % PIECE == 0:
                    await asyncio.sleep(0)
        return MomentAnswer(ts=ts, live=live, from_=from_ms, records=records, missing=self.missing)

    def _of_symbol(self, tops: Mapping[bytes, Told]) -> Mapping[bytes, Told]:
        if self.symbol is None:
            return tops
        return {key: told for key, told in tops.items() if is_of(key, self.symbol)}

    def _state(self, at_ms: int) -> StateThen:
        moments = self.moments
        now_ms = moments.clock() // NS_PER_MS
        return StateThen(moments.settings, moments.views, self.state, self._spent(), at_ms, now_ms)

    def _spent(self) -> Spent:
        return Spent(self.moments.settings)
