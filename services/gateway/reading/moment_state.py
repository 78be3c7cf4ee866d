"""`StateThen`: the newest record of each key at a moment, of all topics that are state but the books' tops.

A shell: it reads the logs where the views hold something later than the moment.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from libs.common.events import EquityMarked, ExecutionRecord, PolicyChosen, PortfolioOptimized, RouterSnapshot
from libs.common.kafka import partition_of
from libs.common.time_units import NS_PER_MS
from libs.common.topics import (
    EXECUTION_RECORDS,
    L2_BOOK_TOPS,
    PORTFOLIO_ALLOCATIONS,
    PORTFOLIO_EQUITY,
    PORTFOLIO_RISK,
    ROUTER_CHOICES,
    ROUTER_SNAPSHOTS,
    TOPICS,
)
from services.gateway.reading.lookups import LATE_MS, ExecutionLookup, Lookup, merged, pass_by_found
from services.gateway.reading.moment_answer import missing_of
from services.gateway.reading.moment_log import Span
from services.gateway.reading.past_books import FOR_EVER_MS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from libs.common.events import Event
    from libs.common.topics import Topic
    from services.gateway.reading.lookups import Raw
    from services.gateway.reading.moment_answer import Missing
    from services.gateway.reading.moment_log import MomentLog, Slot, Spent
    from services.gateway.reading.newest import Told
    from services.gateway.reading.topic_views import GatewayViews
    from services.gateway.settings import GatewaySettings

LOGS: Final[Mapping[Topic, type[Event]]] = {
    ROUTER_CHOICES: PolicyChosen,
    PORTFOLIO_EQUITY: EquityMarked,
    PORTFOLIO_ALLOCATIONS: PortfolioOptimized,
}
"""Topics that no view is of, and the messages of them that are state: the newest of a key."""
STATE: Final = (*(topic for topic in TOPICS.values() if topic.past_ms), *LOGS)
"""The topics that are read."""
ANSWERS: Final = (ROUTER_CHOICES, PORTFOLIO_ALLOCATIONS)
"""Those of them whose records stand in the partition of who asked, whatever their key."""
RECORDS: Final = 50  # executions that are told, the newest, beside all that run
REPEATED_LOOK_MS: Final = 15_000  # who is told again and again was told within this time, if it lived
FIRST: Final = 128  # offsets of the first window; each further one is `WIDER` times as wide
WIDER: Final = 4
MOST: Final = 20_000  # offsets that are looked through in one partition
NEAR_MS: Final = 10_000  # of a moment that near to now the views may not have seen everything yet
CAUGHT_UP_S: Final = 0.5  # for so long they are waited for
POLL_S: Final = 0.01


@dataclass(eq=False)
class _Search:
    """A partition that is read backwards."""

    lookup: Lookup
    begin: int = 0
    first: int = 0  # of what was read
    width: int = field(default_factory=lambda: FIRST)
    span: Span = field(default=Span(0, 0))

    @property
    def slot(self) -> Slot:
        return self.lookup.topic.name, self.lookup.partition

    @property
    def open(self) -> bool:
        """Whether earlier records may tell more."""
        return bool(self.lookup.wanted) and self.first > self.begin

    def place(self, kept: Span, stop: int, first: int | None) -> None:
        """Begin with the window that ends before `stop`, and begins at `first` if that is given."""
        self.begin = kept.first
        stop = max(self.begin, min(stop, kept.stop))
        self.first = max(self.begin, min(stop, stop - FIRST if first is None else first))
        self.span = Span(self.first, stop)

    def widen(self) -> bool:
        """Take the window before; False if that would be too many."""
        self.width *= WIDER
        if self.width > MOST:
            return False
        stop = self.first
        self.first = max(self.begin, stop - self.width)
        self.span = Span(self.first, stop)
        return True


@dataclass(eq=False)
class StateThen:
    """What a moment's state is made of."""

    settings: GatewaySettings
    views: GatewayViews
    log: MomentLog
    spent: Spent
    at_ms: int
    now_ms: int
    missing: list[Missing] = field(default_factory=list)

    async def found(self) -> dict[Topic, Mapping[bytes, Told]]:
        """Return the newest record of each key that is not after the moment, by topic."""
        if self.at_ms > self.now_ms - NEAR_MS:
            await self._caught_up()
        lookups = [*self._of_views(), *self._of_logs()]
        await self._read(lookups)
        found: dict[Topic, Mapping[bytes, Told]] = {}
        for topic in (*self._topics(), *LOGS):
            newest = self.views.newest.get(topic)
            settled = {} if newest is None else newest.settled(self.at_ms)
            found[topic] = merged(settled, [each for each in lookups if each.topic is topic])
        return self.shown(found)

    async def logs(self) -> dict[Topic, Mapping[bytes, Told]]:
        """Return the newest records of the topics that no view is of."""
        lookups = list(self._of_logs())
        await self._read(lookups)
        return {topic: merged({}, [each for each in lookups if each.topic is topic]) for topic in LOGS}

    def shown(self, told: Mapping[Topic, Mapping[bytes, Told]]) -> dict[Topic, Mapping[bytes, Told]]:
        """Return what is told of all topics: of executions the newest, and those that run."""
        records = told[EXECUTION_RECORDS]
        newest = sorted(records, key=lambda key: _created_ts(records[key]), reverse=True)
        kept = {
            key: records[key] for place, key in enumerate(newest) if place < RECORDS or _runs(records[key])
        }
        return {**told, EXECUTION_RECORDS: kept}

    def _topics(self) -> list[Topic]:
        return [topic for topic in self.views.newest if topic is not L2_BOOK_TOPS]

    def _of_views(self) -> Iterator[Lookup]:
        """Yield what is to be looked for where the views hold something later."""
        for topic in self._topics():
            to_find = self.views.newest[topic].to_find(self.at_ms)
            if topic is EXECUTION_RECORDS:
                to_find = self._begun(to_find)
            # Of what is told again and again a view knows only who is told since it began.
            numbers = range(self.settings.topic_partitions) if topic.repeated else sorted(to_find)
            kind = ExecutionLookup if topic is EXECUTION_RECORDS else Lookup
            for number in numbers:
                yield kind(topic, number, self.at_ms, to_find.get(number, set()))

    def _begun(self, to_find: Mapping[int, set[bytes]]) -> dict[int, set[bytes]]:
        """Return the executions that had begun by then."""
        items = self.views.newest[EXECUTION_RECORDS].items
        return {
            number: begun
            for number, keys in to_find.items()
            if (begun := {k for k in keys if k in items and _created_ts(items[k]) // NS_PER_MS <= self.at_ms})
        }

    def _of_logs(self) -> Iterator[Lookup]:
        newest = self.views.newest
        scopes = [
            key
            for key in newest[ROUTER_SNAPSHOTS].known_by(self.at_ms)
            if isinstance(of := self.views.router_snapshots.items.get(key), RouterSnapshot)
            and of.last_choice is not None
        ]
        books = newest[PORTFOLIO_RISK].known_by(self.at_ms)
        for topic, keys in (
            (ROUTER_CHOICES, scopes),
            (PORTFOLIO_EQUITY, books),
            (PORTFOLIO_ALLOCATIONS, books),
        ):
            count = self.settings.topic_partitions
            wanted: dict[int, set[bytes]] = {}
            for key in keys:
                for number in range(count) if topic in ANSWERS else (partition_of(key, count),):
                    wanted.setdefault(number, set()).add(key)
            for number, each in wanted.items():
                only = frozenset(keys) if topic in ANSWERS else None
                yield Lookup(topic, number, self.at_ms, each, (LOGS[topic],), only)

    async def _read(self, lookups: Collection[Lookup]) -> None:
        """Read backwards until nothing is looked for any more, or too far."""
        searches = [_Search(lookup) for lookup in lookups]
        await self._place(searches)
        while searches:
            windows = await self._windows({each.slot: each.span for each in searches})
            for each in searches:
                each.lookup.take(windows.get(each.slot, []))
                await asyncio.sleep(0)
            for topic in ANSWERS:
                pass_by_found([each for each in lookups if each.topic is topic])
            searches = [each for each in searches if each.open and self._goes_on(each, lookups)]

    def _goes_on(self, search: _Search, lookups: Collection[Lookup]) -> bool:
        if search.widen():
            return True
        topic = search.lookup.topic
        elsewhere = {key for each in lookups if each.topic is topic for key in each.found}
        wanted = search.lookup.wanted - elsewhere - {key.encode() for key in self._missing_of(topic)}
        why = f"it is not among the last {search.span.stop - search.first} messages and more of its partition"
        self.missing += [missing_of(topic, key, why) for key in sorted(wanted)]
        return False

    def _missing_of(self, topic: Topic) -> set[str]:
        return {each.key for each in self.missing if each.topic == topic.name}

    async def _place(self, searches: Collection[_Search]) -> None:
        slots = [each.slot for each in searches]
        repeated = [each.slot for each in searches if each.lookup.topic.repeated]
        ahead_ms, back_ms = self.at_ms + LATE_MS + 1, max(0, self.at_ms - REPEATED_LOOK_MS)
        kept, stops, firsts = await asyncio.gather(
            self.log.edges(slots),
            self.log.spots({} if self.at_ms >= FOR_EVER_MS else dict.fromkeys(slots, ahead_ms)),
            self.log.spots(dict.fromkeys(repeated, back_ms)),
        )
        for each in searches:
            stop, first = stops.get(each.slot), firsts.get(each.slot)
            each.place(
                kept[each.slot],
                kept[each.slot].stop if stop is None else stop.offset,
                None if first is None else first.offset,
            )

    async def _windows(self, spans: Mapping[Slot, Span]) -> dict[Slot, list[Raw]]:
        windows: dict[Slot, list[Raw]] = {slot: [] for slot in spans}
        async for slot, raws in self.log.read(spans):
            self.spent.read(len(raws), sum(len(raw.value or b"") for raw in raws))
            windows[slot] += raws
        return windows

    async def _caught_up(self) -> None:
        """Wait until the views have read what stands in the logs: the moment may be a new one."""
        views = {topic.name: self.views.newest[topic].view for topic in self._topics()}
        slots = [(name, n) for name in views for n in range(self.settings.topic_partitions)]
        kept = await self.log.edges(slots)
        deadline = asyncio.get_running_loop().time() + CAUGHT_UP_S
        while any(views[name].position(number) < span.stop for (name, number), span in kept.items()):
            if asyncio.get_running_loop().time() >= deadline:
                return
            await asyncio.sleep(POLL_S)


def _created_ts(told: Told) -> int:
    return told.event.created_ts if isinstance(told.event, ExecutionRecord) else 0


def _runs(told: Told) -> bool:
    return isinstance(told.event, ExecutionRecord) and not told.event.status.final
