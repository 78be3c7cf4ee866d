"""A playlist of recordings through sockets and Kafka, and through the bus: l2 writes the same."""

from __future__ import annotations

import gzip
from contextlib import aclosing
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import aiohttp
import msgspec
import pytest

from backtest.sources.frames import Frames
from libs.common.events import BookDelta, BookSnapshot, Candle, Trade
from libs.common.kafka import read
from libs.common.order_book import OrderBook
from libs.common.settings import ServiceSettings
from libs.common.topics import L2_BOOK_DELTAS, L2_CANDLES, L2_TRADES
from tests.backtest_l2 import Heard
from tests.e2e.system import System, until
from tests.recordings import BINANCE_SPOT, BYBIT, COINBASE, KRAKEN_V1, OKX_2022, needs_recordings

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = [needs_recordings, pytest.mark.timeout(300)]
BINANCE_LINES = 20_000  # of two minutes
BINANCE = "binance:BTC-USDT"
VENUES = {"binance", "bybit-200", "coinbase", "kraken-v1", "okx-v5-2022"}
MOST_EARLY = 100  # trades of the first second: the recorder's clock was 1.27 s late, which l2 learns first
MOST_HELD_BACK = 200  # deltas, while an answer by HTTP is on its way


class FeedOnly(System):
    """The simulator and l2, and nobody else."""

    async def __aenter__(self) -> Self:
        self.http = aiohttp.ClientSession()
        self.start("simulator", "services.l2")
        return self


def playlist(folder: Path) -> list[Path]:
    """Return the recordings, the short ones first, and of Binance the first minutes."""
    part = folder / "binance.gz"
    with gzip.open(BINANCE_SPOT[0], "rb") as whole, gzip.open(part, "wb", 1) as cut:
        cut.writelines(islice(whole, BINANCE_LINES))
    return [COINBASE, BYBIT, OKX_2022, KRAKEN_V1, part]


async def on_kafka(
    kafka: str, recordings: list[Path], on_bus: dict[str, list[Any]], folder: Path
) -> dict[str, list[Any]]:
    """Play the recordings as fast as l2 reads them; return what it wrote once that ends as on the bus."""
    settings = {
        "FEED": "replay:" + ",".join(map(str, recordings)),
        "REPLAY_SPEED": "0",
        "L2_BOOKS": ",".join(on_bus),
        "L2_SYNC_TIMEOUT_S": "60",  # in which a market of hours goes by
    }
    async with FeedOnly(kafka, folder, **settings) as system:

        async def arrived() -> dict[str, list[Any]]:
            state = await system.get("/control/replay", system.simulator)
            assert state is None or state["state"] != "failed", state
            if not state or not state["finished"]:
                return {}
            written = await everything_on(kafka)
            return written if {key: end_of(written.get(key, [])) for key in on_bus} == ends else {}

        ends = {key: end_of(events) for key, events in on_bus.items()}
        return await until("the recordings were read to their ends", arrived, 200)  # type: ignore[no-any-return]


def end_of(events: list[Any]) -> tuple[Any, Any]:
    """Return the last trade, and where the book stands."""
    trades = [event.trade_id for event in events if isinstance(event, Trade)]
    books = [event.venue_seq for event in events if isinstance(event, BookSnapshot | BookDelta)]
    return trades[-1:], books[-1:]


async def everything_on(kafka: str) -> dict[str, list[Any]]:
    """Read what l2 wrote of each book."""
    topics = [L2_BOOK_DELTAS, L2_TRADES, L2_CANDLES]
    service = ServiceSettings(kafka_bootstrap_servers=kafka)
    events: dict[str, list[Any]] = {}
    async with aclosing(read(service, topics, on_undecodable=refuse, stop_at_end=True)) as batches:
        async for records in batches:
            for record in records:
                event: Any = record.event
                events.setdefault(f"{event.venue}:{event.symbol}", []).append(event)
    return events


async def refuse(undecodable: object) -> None:
    raise AssertionError(undecodable)


class Said(NamedTuple):
    """A book's state and the delta that led to it; None for the keyframe of the epoch."""

    venue_seq: int | None
    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]
    delta: BookDelta | None


def timeless(event: Any) -> Any:
    """Return a delta or trade without what depends on the clock that it was received by."""
    if isinstance(event, BookDelta):  # stamps count as false where minutes go by in seconds
        return msgspec.structs.replace(event, epoch=0, seq=0, venue_ts=None, received_ts=0)
    return msgspec.structs.replace(event, received_ts=0)


def followed(events: list[Any]) -> list[Said]:
    """Return what was said of a book from its first keyframe on; others are checked on the way."""
    book, said = OrderBook(), list[Said]()
    for event in events:
        if isinstance(event, BookSnapshot | BookDelta):
            assert book.epoch in {None, event.epoch}, "one epoch: nothing was lost"
            before = book.seq
            book.follow(event)
            if book.seq != before:
                assert book.seq == len(said) + 1
                delta = timeless(event) if isinstance(event, BookDelta) else None
                said.append(Said(event.venue_seq, book.bids(), book.asks(), delta))
    return said


def held_back(live: list[Said], bus: list[Said]) -> int:
    """Return how many more deltas the keyframe holds of which the snapshot came by HTTP, and so later."""
    return [said.venue_seq for said in bus].index(live[0].venue_seq)


async def test_a_playlist_through_sockets_and_kafka_is_what_it_is_on_the_bus(
    fresh_kafka: str, tmp_path: Path
) -> None:
    recordings = playlist(tmp_path)
    on_bus = {key: told for path in recordings for key, told in Heard(Frames([path])).run().events.items()}
    assert {key.partition(":")[0] for key in on_bus} == VENUES
    live = await on_kafka(fresh_kafka, recordings, on_bus, tmp_path)
    for key, told in on_bus.items():
        ours, theirs = followed(told), followed(live[key])
        more = held_back(theirs, ours) if key == BINANCE else 0
        assert (len(ours), more < MOST_HELD_BACK) == (len(theirs) + more, True), key
        assert ours[more][:3] == theirs[0][:3], key
        assert ours[more + 1 :] == theirs[1:], key
        traded = [[timeless(each) for each in said if isinstance(each, Trade)] for said in (told, live[key])]
        early = len(traded[1]) - len(traded[0])
        assert traded[0] == traded[1][early:], key
        assert early == 0 or (key == BINANCE and early < MOST_EARLY)
    candles = [
        {
            (each.interval, each.open_ts): each
            for each in told[BINANCE]
            if isinstance(each, Candle) and each.closed
        }
        for told in (on_bus, live)
    ]
    both = candles[0].keys() & candles[1].keys()
    assert both
    assert [candles[0][key] for key in both] == [candles[1][key] for key in both]
    assert len(followed(on_bus[BINANCE])) > 1_000
