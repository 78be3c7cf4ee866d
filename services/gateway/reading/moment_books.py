"""`BooksThen`: the tops of all books at a moment, rebuilt from deltas, each partition read once; a shell."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from libs.common.events import BookHealth
from libs.common.kafka import partition_of
from libs.common.time_units import NS_PER_S
from libs.common.topics import L2_BOOK_DELTAS, L2_BOOK_HEALTH, L2_BOOK_TOPS, L2_SUBSCRIPTIONS
from services.gateway.reading.as_of import Owner, PastBook, Row
from services.gateway.reading.book_log import CHUNK, book_event
from services.gateway.reading.moment_answer import is_of, missing_of
from services.gateway.reading.moment_log import Span
from services.gateway.reading.newest import Told
from services.gateway.reading.past_tops import PastTops

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from libs.common.topics import Topic
    from services.gateway.reading.moment_answer import Missing
    from services.gateway.reading.moment_log import MomentLog, Slot, Spent
    from services.gateway.reading.topic_views import GatewayViews
    from services.gateway.settings import GatewaySettings

FIRST_LOOK_MS: Final = 12_000  # a keyframe stands within it, as a rule: l2 repeats them every 10 s


@dataclass(eq=False)
class BooksThen:
    """The books of a moment, of one symbol or all."""

    settings: GatewaySettings
    views: GatewayViews
    log: MomentLog
    spent: Spent
    at_ms: int
    symbol: str | None
    _books: dict[Slot, PastTops] = field(default_factory=dict)
    _tops: dict[bytes, Told] = field(default_factory=dict)
    _begins: Mapping[Slot, int] = field(default_factory=dict)
    _firsts: dict[Slot, int] = field(default_factory=dict)  # what was read begins there

    async def tops(self) -> Mapping[bytes, Told]:
        """Return the top of each book that is proven to have been LIVE, or one-sided."""
        known = self._known()
        self._books = {slot: PastTops(self.at_ms, known.get(slot, set())) for slot in self._slots()}
        await self._first_look()
        await self._look_back()
        for (_, number), books in self._books.items():
            for key in books.told():
                await self._prove(key, number, books)
        return self._tops

    def missing(self, told: Mapping[Topic, Mapping[bytes, Told]]) -> list[Missing]:
        """Return the books that there were then and whose tops are not known, by the state of that moment."""
        wanted = {
            key
            for topic in (L2_BOOK_HEALTH, L2_SUBSCRIPTIONS)
            for key in told[topic]
            if is_of(key, self.symbol)
        }
        wanted |= {key for books in self._books.values() for key in books.told() if books.kept(key)}
        return [
            missing_of(L2_BOOK_TOPS, key, self._why(told[L2_BOOK_HEALTH].get(key)))
            for key in sorted(wanted - self._tops.keys())
        ]

    def _why(self, health: Told | None) -> str:
        said = "nothing yet"
        if health is not None and isinstance(health.event, BookHealth):
            said = (
                f"{health.event.state}: {health.event.reason}" if health.event.reason else health.event.state
            )
        return f"it is not proven to have been LIVE then; l2 had said {said}"

    def _slots(self) -> list[Slot]:
        count = self.settings.topic_partitions
        numbers = range(count) if self.symbol is None else (partition_of(self.symbol.encode(), count),)
        return [(L2_BOOK_DELTAS.name, number) for number in numbers]

    def _known(self) -> dict[Slot, set[bytes]]:
        """Return the books that there may have been, by what else is known of them."""
        found: dict[Slot, set[bytes]] = {}
        for topic in (L2_BOOK_HEALTH, L2_SUBSCRIPTIONS):
            newest = self.views.newest[topic]
            there = [key for key, told in newest.settled(self.at_ms).items() if told.event is not None]
            for key in (*there, *(key for keys in newest.to_find(self.at_ms).values() for key in keys)):
                if is_of(key, self.symbol):
                    slot = (L2_BOOK_DELTAS.name, partition_of(key, self.settings.topic_partitions))
                    found.setdefault(slot, set()).add(key)
        return found

    async def _first_look(self) -> None:
        """Read from before the keyframes until every book is told of once after the moment."""
        slots, look_ms = list(self._books), self._look_ms()
        kept, firsts, stops = await asyncio.gather(
            self.log.edges(slots),
            self.log.spots(dict.fromkeys(slots, max(0, self.at_ms - min(FIRST_LOOK_MS, look_ms)))),
            self.log.spots(dict.fromkeys(slots, self.at_ms + look_ms)),
        )
        spans = {}
        for slot in slots:
            first, stop = firsts[slot], stops[slot]
            end = kept[slot].stop if stop is None else min(stop.offset, kept[slot].stop)
            spans[slot] = Span(min(end, kept[slot].stop if first is None else first.offset), end)
        self._begins = {slot: span.first for slot, span in kept.items()}
        self._firsts = {slot: span.first for slot, span in spans.items()}
        await self._read(spans, self._books, None)

    async def _look_back(self) -> None:
        """Read what stands before, of partitions with a book whose keyframe was not found."""
        back_ms = self._look_ms()
        open_ = {slot: set(books.open()) for slot, books in self._books.items()}
        while slots := [
            slot for slot, keys in open_.items() if keys and self._firsts[slot] > self._begins[slot]
        ]:
            spots = await self.log.spots(dict.fromkeys(slots, max(0, self.at_ms - back_ms)))
            spans = {}
            for slot in slots:
                spot = spots[slot]
                first = self._firsts[slot] if spot is None else min(spot.offset, self._firsts[slot])
                spans[slot] = Span(max(first, self._begins[slot]), self._firsts[slot])
                self._firsts[slot] = spans[slot].first
            earlier = {slot: PastTops(self.at_ms, ()) for slot in slots}
            await self._read(spans, earlier, open_)
            for slot, books in earlier.items():
                self._books[slot].extend(books)
                # Of a LIVE book l2 says something within that time: one that is silent is none.
                open_[slot] = {key for key in self._books[slot].open() if key in self._books[slot].rewinds}
            back_ms *= 2

    async def _read(
        self,
        spans: Mapping[Slot, Span],
        into: Mapping[Slot, PastTops],
        only: Mapping[Slot, Collection[bytes]] | None,
    ) -> None:
        async with aclosing(self.log.read(spans, lambda slot: into[slot].complete)) as pieces:
            async for slot, raws in pieces:
                size = 0
                for number, raw in enumerate(raws):
                    if not is_of(raw.key, self.symbol) or (only is not None and raw.key not in only[slot]):
                        continue
                    if into[slot].wants(raw.key, raw.timestamp_ms):
                        size += len(raw.value or b"")
                        into[slot].take(raw.key, Row(raw.timestamp_ms, book_event(raw.value), raw.offset))
                    if number % CHUNK == 0:
                        await asyncio.sleep(0)
                self.spent.read(len(raws), size)

    async def _prove(self, key: bytes, number: int, books: PastTops) -> None:
        health = self.views.healths.items.get(key)
        past = PastBook(Owner(health, round(self.settings.l2_silence_s * NS_PER_S)))
        for place, row in enumerate(books.kept(key)):
            past.follow(row)
            if place % CHUNK == 0:
                await asyncio.sleep(0)
        proven = books.proven(key, past)
        if proven is not None:
            self._tops[key] = Told(proven.top, number, proven.offset, self.at_ms, self.at_ms)

    def _look_ms(self) -> int:
        return round(self.settings.as_of_look_back_s * 1000)
