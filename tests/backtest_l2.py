"""The bus with a source and nobody else: what l2 wrote, and the books that a reader makes of it."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from backtest.bus import Bus
from libs.common.events import BookDelta, BookHealth, BookSnapshot
from libs.common.order_book import OrderBook
from services.l2.posting import PUBLISHED, posted

if TYPE_CHECKING:
    from backtest.bus import Record
    from backtest.source import Source
    from libs.common.events import Event
    from libs.common.topics import Topic

PARTITIONS = 4


class NoDelays:
    """Readers hear at once."""

    def hop_ns(self, _topic: Topic) -> int:
        return 0


class Heard:
    """Everything that a source's l2 said, from its beginning on."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.bus = Bus(PARTITIONS, NoDelays(), source.provenance.begin_ts)
        self.events: dict[str, list[Event]] = {}  # by venue:symbol
        self.times: dict[str, list[int]] = {}  # of the events
        self.books: dict[str, OrderBook] = {}
        self.healths: dict[str, BookHealth] = {}
        self._digest = sha256()
        for topic in PUBLISHED:
            self.bus.subscribe(topic, self._hear)
        source.start(self.bus)

    @property
    def digest(self) -> str:
        """Of every byte, time and place that was written."""
        return self._digest.hexdigest()

    def run(self, until: int | None = None) -> Heard:
        self.bus.run(self.source.provenance.end_ts if until is None else until)
        return self

    def states(self, key: str) -> list[str]:
        """Return the states that a book went through."""
        states: list[str] = []
        for event in self.events[key]:
            if isinstance(event, BookHealth) and states[-1:] != [event.state]:
                states.append(event.state)
        return states

    def _hear(self, record: Record) -> None:
        event, value = record.event, record.value
        assert event is not None
        assert value is not None
        self._digest.update(f"{record.topic.name} {record.partition} {record.ts} {record.key!r} ".encode())
        self._digest.update(value)
        placed = posted(event, record.ts)
        assert record.topic in placed.topics
        assert (record.key, record.ts) == (placed.key, placed.ts), "as the shell of l2 would have it"
        key = f"{getattr(event, 'venue', '')}:{getattr(event, 'symbol', '')}"
        self.events.setdefault(key, []).append(event)
        self.times.setdefault(key, []).append(record.ts)
        if isinstance(event, BookDelta | BookSnapshot):
            self.books.setdefault(key, OrderBook()).follow(event)
        elif isinstance(event, BookHealth):
            self.healths[key] = event
