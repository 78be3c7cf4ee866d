"""Hostile records of the topics that l2 reads, and hostile frames and replies of venues, through the core.

No frame is wrong for sure: a venue without checksums may say any price. So what is published is held against
what a reader makes of it: never crossed, never absurd, and LIVE only under its own epoch and seq. After the
venue is honest again, the book is its.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, cast

import pytest
from aiokafka import TopicPartition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from libs.common.codec import encode
from libs.common.events import BookHealth, Candle, Event, Subscribed
from libs.common.kafka import Publisher, Record, Undecodable
from libs.common.topics import L2_BOOK_HEALTH, L2_SUBSCRIPTIONS
from services.l2.feeds import FEEDS
from services.l2.handlers import State, handle
from services.l2.messages import BookWanted, CandlesKnown, FrameReceived, OpenSocket, SocketOpened, Tick
from services.l2.ownership import Ownership
from services.l2.settings import L2Settings
from tests.hostile import decoded_again, messages
from tests.hostile_frames import mutated
from tests.l2_world import POLICY, START, World
from tests.model_bitstamp import BitstampModel
from tests.model_bybit import BybitWorld
from tests.model_coinbase import CoinbaseWorld
from tests.model_exchange import BinanceModel, KrakenModel
from tests.model_futures import FuturesModel
from tests.model_okx import OkxWorld

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from services.l2.messages import L2Message, Output

RUNS = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
NUMBER = 3  # of the partition
HOME = b"binance:BTC-USDT"
KEYS = st.sampled_from(
    (
        HOME,
        b"kraken-v1:BTC-USDT",
        b"okx:\x00",
        b"\xff:BTC-USDT",
        b"binance:",
        b"",
        b"kraken:a:b",
        b"bybit:a/b?c#d",
    )
)


class Sound(World):
    """A world that asks no more of what is published than that it may be a book, and can be written."""

    honest = False

    def truth_holds(self) -> bool:
        if self.honest:
            return super().truth_holds()
        bids, asks = self.reader.book
        sizes_and_prices = [number for level in (*bids, *asks) for number in level]
        uncrossed = not bids or not asks or bids[0][0] < asks[0][0]
        return uncrossed and all(math.isfinite(number) and number > 0 for number in sizes_and_prices)

    def _take(self, output: Output) -> None:
        if isinstance(output, Event):
            encode(output)
        super()._take(output)


class SoundCoinbase(Sound, CoinbaseWorld):
    """Coinbase counts its frames."""


class SoundOkx(Sound, OkxWorld):
    """OKX tells its book first."""


class SoundBybit(Sound, BybitWorld):
    """So does Bybit."""


WORLDS: Mapping[str, Callable[[], Sound]] = {
    "binance": lambda: Sound(BinanceModel(7)),
    "binance-usdm": lambda: Sound(FuturesModel(7, "binance-usdm")),
    "binance-coinm": lambda: Sound(FuturesModel(7, "binance-coinm")),
    "bitstamp": lambda: Sound(BitstampModel(7)),
    "bybit": lambda: SoundBybit(7),
    "coinbase": lambda: SoundCoinbase(7),
    "kraken": lambda: Sound(KrakenModel(7)),
    "okx": lambda: SoundOkx(7),
}
STATUSES = st.sampled_from((200, 200, 200, 0, 400, 404, 418, 429, 500, 999))
PAUSES = st.none() | st.sampled_from((0.0, 1.0))


@pytest.mark.parametrize("venue", WORLDS)
@RUNS
@given(data=st.data())
def test_no_frame_or_reply_of_a_hostile_venue_makes_a_book_that_is_none(
    venue: str, data: st.DataObject
) -> None:
    world = WORLDS[venue]()
    world.until_live()
    for _ in range(data.draw(st.integers(1, 8))):
        frame = world.exchange.next_frame()
        if data.draw(st.booleans()):
            frame = data.draw(mutated(frame))
        if isinstance(world.exchange, BinanceModel) and data.draw(st.booleans()):
            body = data.draw(mutated(world.exchange.snapshot()))
            world.snapshot_answers.append((data.draw(STATUSES), body, data.draw(PAUSES)))
        world.step([frame])
    world.snapshot_answers.clear()
    for _ in range(3):
        world.step()
    world.disconnect("the hostile venue is gone")
    world.step([])
    world.until_live(20_000)
    world.honest = True
    world.step()
    assert world.truth_holds()


class PastLog:
    """What stands in the partition of the subscriptions and healths, record by record."""

    def __init__(self, written: list[Record | Undecodable]) -> None:
        self.ends: Mapping[TopicPartition, int] = {
            TopicPartition(topic.name, NUMBER): 100 for topic in (L2_SUBSCRIPTIONS, L2_BOOK_HEALTH)
        }
        self._left = written

    async def poll(self) -> Sequence[Record | Undecodable]:
        return [self._left.pop(0)]

    async def at_end(self) -> bool:
        return not self._left


async def reported(written: list[Record | Undecodable]) -> list[L2Message]:
    """Return what a new owner of the partition reports."""
    found: list[L2Message] = []

    async def report(message: L2Message) -> None:
        found.append(message)

    l2 = L2Settings()
    await Ownership(l2, Publisher(l2), report).take_over({NUMBER}, PastLog(written))
    return found


def a_record(key: bytes, event: Event) -> Record:
    topic = L2_SUBSCRIPTIONS if isinstance(event, Subscribed) else L2_BOOK_HEALTH
    common: dict[str, Any] = {"partition": NUMBER, "offset": 0, "timestamp_ms": 0, "value": None}
    return Record(topic=topic, key=key, event=event, **common)


def raised(event: Event, epoch: int | None) -> Event:
    """Return a health under another epoch; all else as it is."""
    return event if epoch is None or not isinstance(event, BookHealth) else replace(event, epoch=epoch)


def perform(state: State, message: L2Message, now: int) -> None:
    """Do what a shell does at once, and see that all that is published can be written."""
    for output in handle(state, message, now):
        if isinstance(output, Event):
            encode(output)
        elif isinstance(output, OpenSocket):
            perform(state, SocketOpened(output.key, output.connection), now)
            perform(state, FrameReceived(output.key, output.connection, b"{}"), now)


@settings(parent=RUNS, max_examples=400)
@given(data=st.data())
def test_no_record_of_a_stranger_keeps_l2_from_its_books(data: st.DataObject) -> None:
    told = data.draw(
        st.lists(st.tuples(st.just(HOME) | KEYS, messages(Subscribed) | messages(BookHealth)), max_size=6)
    )
    highest = st.sampled_from(
        (2**64 - 1, 2**63, 2**53)
    )  # of what MessagePack has, and what an owner may reach
    told = [(key, raised(event, data.draw(highest | st.none()))) for key, event in told]
    written = [a_record(key, again) for key, event in told if (again := decoded_again(event)) is not None]
    found = asyncio.run(reported(cast("list[Record | Undecodable]", written)))
    state = State(FEEDS, lambda venue: (f"ws://test/{venue}", f"http://test/{venue}"), POLICY)
    for message in found:
        perform(state, message, START)
        perform(state, Tick(), START)
    candles = [
        replace(candle, venue="binance", symbol="BTC-USDT")
        for candle in data.draw(st.lists(messages(Candle), max_size=5))
    ]
    known = tuple(cast("Candle", again) for candle in candles if (again := decoded_again(candle)) is not None)
    wanted = [
        each
        for each in found
        if isinstance(each, BookWanted) and each.venue == "binance" and each.symbol == "BTC-USDT"
    ]
    world = Sound(BinanceModel(7), wanted[0].epoch if wanted else 0)
    world.honest = True
    world.tell(CandlesKnown(world.key, known))
    world.until_live()
    for _ in range(20):
        world.step()
    assert world.live
    assert world.truth_holds()
