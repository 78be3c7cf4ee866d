"""Where what l2 says of a book goes: its topics, its key there and the time that it is of."""

from __future__ import annotations

from typing import Final, NamedTuple

from libs.common.events import BookDelta, BookHealth, BookSnapshot, BookTop, Candle, Event, Trade
from libs.common.topics import (
    L2_BOOK_DELTAS,
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    L2_CANDLES,
    L2_CANDLES_DAILY,
    L2_CANDLES_OPEN,
    L2_TRADES,
    Topic,
    book_key,
    candle_key,
)

TOPICS_OF: Final[dict[type[Event], tuple[Topic, ...]]] = {
    BookSnapshot: (L2_BOOK_DELTAS,),
    BookDelta: (L2_BOOK_DELTAS,),
    BookTop: (L2_BOOK_TOPS,),
    BookHealth: (L2_BOOK_HEALTH,),
    Trade: (L2_TRADES,),
}
OF_CANDLES: Final = (L2_CANDLES, L2_CANDLES_DAILY, L2_CANDLES_OPEN)
PUBLISHED: Final = (*dict.fromkeys(topic for topics in TOPICS_OF.values() for topic in topics), *OF_CANDLES)


class Posted(NamedTuple):
    """An event as records have it."""

    topics: tuple[Topic, ...]
    key: bytes
    ts: int  # ns UTC


def posted(event: Event, now: int) -> Posted:
    """Return where an event goes that was said at `now` (ns UTC)."""
    match event:
        case BookDelta() | Trade():
            ts = event.received_ts
        case BookHealth():
            ts = event.ts
        case BookSnapshot() | BookTop():
            ts = now  # said now, whatever the age of what it shows
        case Candle():
            return Posted(topics_of(event), candle_key(event), now)
        case _:
            raise AssertionError(f"no topic for {event}")
    return Posted(TOPICS_OF[type(event)], book_key(event.venue, event.symbol), ts)


def topics_of(candle: Candle) -> tuple[Topic, ...]:
    """Return where a candle is told."""
    if not candle.closed:
        return (L2_CANDLES_OPEN,)
    return (L2_CANDLES, L2_CANDLES_DAILY) if candle.interval == "1d" else (L2_CANDLES,)
