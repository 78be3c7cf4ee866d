"""A recording through a feed and a maintainer, without sockets, Kafka or time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from libs.common.events import BookDelta
from libs.common.venues import venue_of
from services.l2.feeds.venue_messages import BestQuote, VenueDelta, VenueSnapshot, VenueTrade
from services.l2.maintainer import BookMaintainer
from simulator.recordings import RestReply, open_recording

if TYPE_CHECKING:
    from pathlib import Path

    from services.l2.feeds.feed import Feed

OWNER = "test"
BUFFER = 10_000


@dataclass
class Recorded:
    """One book after its recording, and what was said on the way."""

    maintainer: BookMaintainer
    deltas: int = 0  # of the venue
    published: int = 0
    trades: int = 0
    traded: float = 0.0
    snapshots: int = 0
    held: int = 0  # deltas that the first snapshot joined
    room_bps: float = math.inf  # the least there was between the mid and an edge of what is known


def play(feed: Feed, symbol: str, *paths: Path) -> Recorded:
    """Play recordings in their order; a reply is of this book if its address ends in or asks for its name."""
    recorded = Recorded(BookMaintainer(feed, symbol, 0, BUFFER, OWNER))
    book = recorded.maintainer
    book.sync(0, "a test")
    for path in paths:
        for record in open_recording(path).records():
            if isinstance(record, RestReply):
                if _is_of(record.url, venue_of(feed.venue).spell(symbol)):
                    recorded.snapshots += 1
                    recorded.held = recorded.held or recorded.deltas
                    book.on_snapshot(feed.parse_snapshot(record.text.encode()), record.ts)
                continue
            for message in feed.parse(record.text.encode(), symbol):
                match message:
                    case VenueDelta():
                        recorded.deltas += 1
                        events = book.on_delta(message, record.ts)
                        if book.live:
                            recorded.room_bps = min(recorded.room_bps, book.book.room_bps)
                        recorded.published += sum(isinstance(event, BookDelta) for event in events)
                    case VenueSnapshot():
                        book.on_snapshot(message, record.ts)
                    case BestQuote():
                        book.on_quote(message, record.ts)
                    case VenueTrade():
                        recorded.trades += 1
                        recorded.traded += message.size
                    case _:
                        pass
    return recorded


def _is_of(url: str, spelled: str) -> bool:
    parts = urlsplit(url)
    return spelled in {parts.path.rpartition("/")[2], *parse_qs(parts.query).get("symbol", ())}
