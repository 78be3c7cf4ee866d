"""One odd message costs one message: counted, told now and then, and the book is none the worse."""

from __future__ import annotations

import json

import pytest

from libs.common.events import BookState, Trade
from libs.common.time_units import NS_PER_MS
from services.l2.feeds.feed import Step
from services.l2.frame_count import MOST_LATE, FrameCount
from services.l2.messages import DeadLetter, FrameReceived, MessageIgnored
from services.l2.oddities import KEPT
from tests.l2_trading import KEY, MINUTE, SECOND, Book, whole_minute
from tests.l2_world import START, World
from tests.model_bybit import BybitWorld
from tests.model_coinbase import CoinbaseWorld
from tests.model_exchange import BinanceModel, KrakenModel
from tests.model_okx import OkxWorld
from tests.odd_frames import STRANGE, UNREADABLE

S = BookState


def a_live_world(venue: str) -> World:
    world: World
    match venue:
        case "binance":
            world = World(BinanceModel(7))
        case "kraken":
            world = World(KrakenModel(7))
        case "okx":
            world = OkxWorld(7)
        case "bybit":
            world = BybitWorld(7)
        case _:
            world = CoinbaseWorld(7)
    world.until_live()
    for _ in range(20):
        world.step()
    assert world.live
    world.states.clear()
    return world


def goes_on(world: World) -> None:
    """Check that the book is the one it was, and follows."""
    epoch, deltas = world.reader.epoch, world.deltas
    for _ in range(20):
        world.step()
    assert world.deltas > deltas
    assert world.truth_holds()
    assert world.states.count(S.SYNCING) == world.states.count(S.GAP) == 0
    if not isinstance(world, BybitWorld):  # whose model restarts now and then
        assert world.reader.epoch == epoch


@pytest.mark.parametrize(("venue", "raw"), [(venue, raw) for venue, raws in STRANGE.items() for raw in raws])
def test_what_the_feed_does_not_know_is_counted_and_ignored(venue: str, raw: bytes) -> None:
    world = a_live_world(venue)
    world.step([raw])
    goes_on(world)
    assert world.health is not None
    assert (world.health.ignored, world.health.bad_frames, world.dead) == (1, 0, [])
    assert len(world.ignored) == 1


@pytest.mark.parametrize("venue", sorted(STRANGE))
def test_it_is_told_once_a_minute_at_most(venue: str) -> None:
    world = a_live_world(venue)
    for _ in range(40 * 20):  # 40 s
        world.step(
            [STRANGE[venue][0]] if venue != "kraken" else [STRANGE[venue][0], b'{"channel":"heartbeat"}']
        )
    assert len(world.ignored) == 1
    for _ in range(40 * 20):
        world.step([STRANGE[venue][0]])
    assert len(world.ignored) == 2
    assert world.live


@pytest.mark.parametrize("venue", sorted(UNREADABLE))
def test_an_unreadable_frame_of_trades_is_a_dead_letter_and_the_book_stays(venue: str) -> None:
    world = a_live_world(venue)
    raw = UNREADABLE[venue]
    world.step([raw])
    goes_on(world)
    assert [letter.raw for letter in world.dead] == [raw]
    assert world.health is not None
    assert world.health.bad_frames == 1


@pytest.mark.parametrize("venue", sorted(UNREADABLE))
def test_a_cut_frame_of_trades_costs_the_book_for_nobody_knows_what_it_was(venue: str) -> None:
    world = a_live_world(venue)
    world.step([UNREADABLE[venue][:-9]])
    assert world.states[0] is S.GAP


def test_dead_letters_of_frames_that_are_no_books_are_bounded_and_all_are_counted() -> None:
    world = a_live_world("binance")
    for _ in range(3 * KEPT):
        world.deliver(UNREADABLE["binance"])
    assert len(world.dead) == KEPT
    for _ in range(61 * 20):
        world.step()
    world.deliver(UNREADABLE["binance"])
    assert len(world.dead) == KEPT + 1
    world.step()
    for _ in range(21):
        world.step()
    assert world.health is not None
    assert world.health.bad_frames == 3 * KEPT + 1


# Coinbase's count


def test_a_repeated_number_costs_nothing_and_the_count_does_not_go_back() -> None:
    world = CoinbaseWorld(7)
    assert world.model.number == 1, "the snapshot had number 0"
    one, two = world.model.next_frame(), world.model.next_frame()
    for frame in (one, one, two):  # 0, 1, 1, 2
        world.deliver(frame)
    world.until_live()
    assert (world.reader.epoch, world.deltas) == (START // NS_PER_MS, 2)
    assert world.truth_holds()
    world.states.clear()
    goes_on(world)


def test_a_late_frame_is_not_applied() -> None:
    world = a_live_world("coinbase")
    assert isinstance(world, CoinbaseWorld)
    late = world.model.next_frame()
    world.deliver(late)
    for _ in range(5):
        world.step()
    book, deltas = world.reader.book, world.deltas
    world.deliver(late)
    assert (world.reader.book, world.deltas) == (book, deltas)
    goes_on(world)


def test_late_trades_are_not_told_either() -> None:
    world = a_live_world("coinbase")
    assert isinstance(world, CoinbaseWorld)
    said: list[object] = []
    session = world.state.sessions[world.key]
    assert world.connection is not None
    trade = {"product_id": "BTC-USDT", "trade_id": "5", "price": "1", "size": "1", "side": "BUY"}
    trade["time"] = "2026-08-09T21:05:49.205817Z"
    frame = {"channel": "market_trades", "timestamp": "2026-08-09T21:05:49Z", "sequence_num": 3}
    raw = json.dumps(frame | {"events": [{"type": "update", "trades": [trade]}]}).encode()
    said += session.on_frame(FrameReceived(world.key, world.connection, raw), world.now)
    assert not [each for each in said if isinstance(each, Trade)]
    goes_on(world)


def test_an_unreadable_frame_still_has_its_number() -> None:
    world = a_live_world("coinbase")
    assert isinstance(world, CoinbaseWorld)
    number = world.model.number
    world.model.number += 1
    raw = b'{"channel":"market_trades","timestamp":"x","sequence_num":%d,"events":[{"type":7}]}' % number
    world.step([raw])
    assert [letter.raw for letter in world.dead] == [raw]
    goes_on(world)


def test_a_venue_that_counts_anew_is_found_out() -> None:
    world = a_live_world("coinbase")
    assert isinstance(world, CoinbaseWorld)
    world.model.number = 0
    for _ in range(MOST_LATE + 1):
        world.step()
    assert world.states[0] is S.GAP
    assert world.health is not None
    world.until_live()
    assert world.truth_holds()


def test_the_count_of_frames() -> None:
    count = FrameCount(5 * SECOND)
    assert [count.step(number, 0)[0] for number in (0, 1, 1, 2, 0, 3)] == [
        *(Step.APPLY, Step.APPLY, Step.OLD, Step.APPLY, Step.OLD, Step.APPLY)
    ]
    assert count.step(5, 0) == (Step.GAP, "the venue's frame 5 came where 4 was due")
    assert count.step(0, 0)[0] is Step.OLD
    assert count.step(1, 5 * SECOND)[0] is Step.OLD
    assert count.step(2, 5 * SECOND + 1)[0] is Step.GAP
    count.begin()
    assert [count.step(number, 0)[0] for number in (9, *range(MOST_LATE))] == [
        *(Step.APPLY, *[Step.OLD] * MOST_LATE)
    ]
    assert count.step(8, 0)[0] is Step.GAP


# Trades


def test_a_trade_of_size_0_is_no_trade_and_leaves_no_hole() -> None:
    book = Book()
    book.trade(1)
    book.trade(2, size=0)
    book.trade(3)
    assert book.trades() == ["1", "3"]
    told = book.health()
    assert (told.ignored, told.trade_holes, told.bad_frames) == (1, 0, 0)
    assert len([each for each in book.said if isinstance(each, MessageIgnored)]) == 1


def test_the_minute_of_an_unreadable_trade_is_the_venues() -> None:
    book = Book()
    minute = whole_minute(book)
    book.trade(2)
    raw = UNREADABLE["binance"]
    book.tell(FrameReceived(KEY, book.connection, raw))
    book.venue_volumes[minute] = 4.0
    book.wait(80)
    assert [each.raw for each in book.said if isinstance(each, DeadLetter)] == [raw]
    assert book.volumes()[minute] == 4.0
    assert book.state.sessions[KEY].maintainer.live
    assert minute % MINUTE == 0
