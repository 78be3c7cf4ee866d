"""``python -m tests.bench.many_books BOOKS TOPS_A_SECOND``: tell tops and healths of so many books for ever.

As l2 does: all on a common beat, each book's health once a second. ``follow`` in place of the numbers follows
both topics and does nothing else; a baseline.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import uvloop
from msgspec.structs import replace

from libs.common.kafka import Publisher, follow
from libs.common.settings import ServiceSettings
from libs.common.time_units import NS_PER_MS, NS_PER_S
from libs.common.topics import L2_BOOK_HEALTH, L2_BOOK_TOPS, book_key
from libs.common.views import View
from tests.venue_market import a_health, a_top

if TYPE_CHECKING:
    from libs.common.kafka import Undecodable

VENUES: Final = ("binance", "bybit", "coinbase", "kraken", "okx")


def symbols(books: int) -> list[str]:
    """Return the symbols of so many books, one a venue."""
    return [f"S{number}-USDT" for number in range(books // len(VENUES))]


async def tell(books: int, tops_a_second: float) -> None:
    """Publish on the beat; what is late is told at once, and nothing is left out."""
    beat_s = 1 / tops_a_second
    names = [(venue, symbol) for symbol in symbols(books) for venue in VENUES]
    tops = {name: a_top(*name, half_spread=1.0 + VENUES.index(name[0])) for name in names}
    async with Publisher(ServiceSettings()) as publisher:
        begun_s, seq, healths_s = time.monotonic(), 0, 0.0
        while True:
            await asyncio.sleep(max(0.0, begun_s + seq * beat_s - time.monotonic()))
            seq += 1
            now = time.time_ns()
            for number, (name, top) in enumerate(tops.items()):
                lag_ns = (5 + (seq + number) % 20) * NS_PER_MS
                told = replace(top, seq=seq, received_ts=now, venue_ts=now - lag_ns)
                await publisher.send(L2_BOOK_TOPS, book_key(*name), told, now)
            if time.monotonic() >= healths_s:
                healths_s = time.monotonic() + 1.0 - beat_s / 2
                for name in names:
                    health = a_health(*name, now=now, since_ts=now - 60 * NS_PER_S)
                    await publisher.send(L2_BOOK_HEALTH, book_key(*name), health, now)


async def listen() -> None:
    """Follow both topics."""
    views: list[View[Any]] = [View(L2_BOOK_TOPS), View(L2_BOOK_HEALTH)]
    async with aclosing(follow(ServiceSettings(), views, on_undecodable=_refuse)) as batches:
        async for _ in batches:
            pass


async def _refuse(undecodable: Undecodable) -> None:
    raise AssertionError(undecodable)


if __name__ == "__main__":
    uvloop.run(listen() if sys.argv[1] == "follow" else tell(int(sys.argv[1]), float(sys.argv[2])))
