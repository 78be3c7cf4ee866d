"""A book that follows its venue and has an empty side is ONE_SIDED: proven, published, and of no use."""

from __future__ import annotations

import json

import pytest

from libs.common.events import BookSnapshot, BookState
from libs.common.live_books import PATIENCE, Patience, usable
from libs.common.order_book import OrderBook
from libs.common.time_units import NS_PER_MS
from services.l2.maintainer import CONSISTENT, UNVERIFIED
from services.l2.messages import FrameReceived, Tick
from tests.l2_world import World
from tests.model_bitstamp import BitstampModel
from tests.model_bybit import BybitModel, BybitWorld
from tests.model_exchange import Book, KrakenModel, Side
from tests.model_thin import Thin

S = BookState
SECOND = 1_000 * NS_PER_MS
SIDES = pytest.mark.parametrize("side", ["bids", "asks", "both"])


def emptied(sides: list[Side]) -> list[tuple[float, float]]:
    """Take all levels out of a side; return the deletes that say so."""
    deletes = [(price, 0.0) for side in sides for price in side]
    for side in sides:
        side.clear()
    return deletes


def without(side: str) -> tuple[Side, Side]:
    bids, asks = {99.0: 1.0, 98.0: 2.0}, {101.0: 1.0, 102.0: 2.0}
    return {} if side in {"bids", "both"} else bids, {} if side in {"asks", "both"} else asks


def a_live_world() -> tuple[World, Thin]:
    model = Thin(7)
    world = World(model)
    world.until_live()
    for _ in range(20):
        world.step()
    world.states.clear()
    return world, model


@SIDES
def test_a_book_that_loses_a_side_is_not_live_and_says_which(side: str) -> None:
    world, model = a_live_world()
    world.step([model.change(*without(side))])
    assert world.health is not None
    assert world.health.state is S.ONE_SIDED
    assert world.health.reason.startswith("no bids and no asks" if side == "both" else f"no {side}:")
    assert world.health.resyncs == 0


@SIDES
def test_it_may_not_be_used_and_its_fault_says_why(side: str) -> None:
    world, model = a_live_world()
    live = world.health
    world.step([model.change(*without(side))])
    for _ in range(20):
        world.step([])
    assert world.health is not None
    top = world.tops[-1]
    assert top.seq == world.reader.seq, "the page shows the book as it is"
    assert top.features is None
    fault = usable(top, world.health, world.now, PATIENCE["trading"])
    assert str(fault) == f"the book is ONE_SIDED: {world.health.reason}"
    assert live is not None
    fault = usable(top, live, world.now, Patience(60 * SECOND, 60 * SECOND))
    assert str(fault) == world.health.reason, "before its health has come"


@SIDES
def test_its_deltas_go_on_under_the_epoch_and_it_is_live_again_without_a_resync(side: str) -> None:
    world, model = a_live_world()
    epoch, deltas, asked = world.reader.epoch, world.deltas, model.id
    world.step([model.change(*without(side))])
    for size in range(1, 400):  # 20 s, two keyframes
        bids, asks = without(side)
        held = bids or asks
        if held:
            held[min(held)] = float(size)
        world.step([model.change(bids, asks)])
    assert world.states == [S.ONE_SIDED]
    world.step([model.change(*without(""))])
    assert world.states == [S.ONE_SIDED, S.LIVE]
    assert world.health is not None
    assert (world.health.reason, world.health.resyncs) == (CONSISTENT, 0)
    assert world.reader.epoch == epoch
    assert world.deltas > deltas
    assert model.id > asked
    for _ in range(20):
        world.step([model.change(*without(""))])
    assert world.live
    assert world.tops[-1].features is not None


def test_a_binance_snapshot_without_levels_is_no_live_book() -> None:
    model = Thin(7)
    world = World(model)
    model.id = 103
    model.truth[103] = ((), ())
    world.snapshot_answers.append((200, b'{"lastUpdateId":103,"bids":[],"asks":[]}', None))
    for _ in range(60):
        world.step([])
    assert S.LIVE not in world.states
    assert world.health is not None
    assert (world.health.state, world.health.epoch) == (S.ONE_SIDED, world.reader.epoch)
    assert world.health.reason.startswith("no bids and no asks")
    world.step([model.change(*without("asks"))])
    assert world.health.reason.startswith("no asks")
    world.step([model.change(*without(""))])
    assert world.live


def test_a_bybit_book_that_begins_anew_with_nothing_is_no_live_book() -> None:
    world = BybitWorld(7)
    world.until_live()
    world.states.clear()
    model = world.exchange
    model.true.bids.clear()
    model.true.asks.clear()
    model.id = 1
    empty = (
        b'{"topic":"orderbook.50.BTCUSDT","ts":1787612486116,"type":"delta","data":{"s":"BTCUSDT","b":[],"a":[],'
        b'"u":1,"seq":113099229629},"cts":1787612486108}'
    )
    epoch = world.reader.epoch
    world.step([empty])
    assert S.LIVE not in world.states
    assert world.health is not None
    assert world.health.state is S.ONE_SIDED
    assert world.reader.epoch > epoch
    for number, (bids, asks) in enumerate(((1.0, None), (None, 2.0)), 2):
        world.step([a_bybit_delta(model, number, bids, asks)])
    assert world.states == [S.ONE_SIDED, S.LIVE]


def a_bybit_delta(model: BybitModel, number: int, bid: float | None, ask: float | None) -> bytes:
    model.id = number
    sides: dict[str, list[list[str]]] = {"b": [], "a": []}
    for name, side, price in (("b", model.true.bids, bid), ("a", model.true.asks, ask)):
        if price is not None:
            side[price] = 1.0
            sides[name].append([f"{price}", "1"])
    data = {"s": "BTCUSDT", **sides, "u": number, "seq": 1}
    frame = {"topic": "orderbook.50.BTCUSDT", "type": "delta", "data": data, "ts": 1_787_612_486_116}
    return json.dumps(frame).encode()


def test_a_kraken_snapshot_of_one_side_is_proven_and_not_live() -> None:
    model = KrakenModel(7)
    model.true.asks.clear()
    world = World(model)
    for _ in range(20):
        world.step([b'{"channel":"heartbeat"}'])
    assert S.LIVE not in world.states
    assert world.health is not None
    assert world.health.state is S.ONE_SIDED
    assert world.health.checksums_matched == 1


def test_a_book_without_proof_says_so_again_when_its_side_is_back() -> None:
    world = World(BitstampModel(7))
    world.until_live()
    model = world.exchange
    assert isinstance(model, BitstampModel)
    kept = dict(model.true.bids)
    model.id += 1
    deletes = emptied([model.true.bids])
    model.truth[model.id] = ((), tuple(sorted(model.true.asks.items())))
    world.step([model.frame(deletes, [])])
    assert world.states[-1] is S.ONE_SIDED
    model.true.bids.update(kept)
    model.id += 1
    model.truth[model.id] = (
        tuple(sorted(kept.items(), reverse=True)),
        tuple(sorted(model.true.asks.items())),
    )
    world.step([model.frame(list(kept.items()), [])])
    assert world.live
    assert world.health is not None
    assert world.health.reason == UNVERIFIED


def test_the_venues_best_quote_still_proves_a_book_of_one_side_wrong() -> None:
    world, model = a_live_world()
    world.step([model.change(*without("bids"))])
    quote = {"u": model.id, "s": "BTCUSDT", "b": "99.0", "B": "1.0", "a": "101.0", "A": "1.0"}
    world.step([json.dumps({"stream": "btcusdt@bookTicker", "data": quote}).encode()])
    assert world.states[:2] == [S.ONE_SIDED, S.GAP]
    world.exchange.true.bids[99.0] = 1.0
    model.truth[model.id] = (((99.0, 1.0),), ((101.0, 1.0), (102.0, 2.0)))
    for _ in range(100):
        world.step([])
    assert world.live
    assert world.truth_holds()


def test_a_gap_loses_a_book_of_one_side_as_any_other() -> None:
    world, model = a_live_world()
    world.step([model.change(*without("bids"))])
    model.change(*without("bids"))  # lost on the way
    world.step([model.change(*without("bids"))])
    assert world.states[:2] == [S.ONE_SIDED, S.GAP]


def test_a_reader_of_the_topic_follows_through_it() -> None:
    world, model = a_live_world()
    book = OrderBook()
    session = world.state.sessions[world.key]
    book.follow(session.maintainer.keyframe())
    seen: list[Book] = []
    for side in ("bids", "both", "asks", ""):
        assert world.connection is not None
        raw = model.change(*without(side))
        for event in session.on_message(FrameReceived(world.key, world.connection, raw), world.now):
            if hasattr(event, "bids") and not hasattr(event, "features"):
                assert not isinstance(event, BookSnapshot)
                assert book.follow(event)  # type: ignore[arg-type]  # a delta
        seen.append((book.bids(), book.asks()))
    assert seen == [model.truth[model.id - behind] for behind in (3, 2, 1, 0)]
    assert session.maintainer.live
    world.tell(Tick())


def test_it_is_renewed_like_a_live_one_though_neither_line_says_that_side() -> None:
    world, model = a_live_world()
    world.step([model.change(*without("bids"))])
    old = world.connection
    world.deliver(b'{"e":"serverShutdown","E":1770123456789}')
    for size in range(2, 100):
        world.step([model.change({}, {101.0: size / 2})])
    assert old is not None
    assert world.lines == [old + 1]
    assert world.states == [S.ONE_SIDED]
    assert world.health is not None
    assert world.health.reconnects == 1
    assert world.truth_holds()
