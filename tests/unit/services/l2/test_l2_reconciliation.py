"""Each way a feed can go wrong, by name; the world asserts that nothing wrong is ever published."""

from __future__ import annotations

import json

import pytest

from libs.common.events import BookState
from libs.common.time_units import NS_PER_MS
from services.l2.handlers import handle
from services.l2.messages import (
    BookReleased,
    BookUnwanted,
    BookWanted,
    ClockSet,
    CloseSocket,
    Forget,
    FrameReceived,
    NoFeed,
    ReplyReceived,
    SocketClosed,
    Tick,
)
from tests.l2_live_world import a_live_world
from tests.l2_world import START, World
from tests.model_exchange import BinanceModel, KrakenModel

S = BookState


def recovers(world: World, through: BookState) -> None:
    epoch = world.reader.epoch
    world.until_live()
    assert world.states[0] is through
    assert world.states[-2:] == [S.SYNCING, S.LIVE]
    assert world.reader.epoch > epoch
    for _ in range(20):
        world.step()
    assert world.live
    assert world.truth_holds()


def test_a_gap_resyncs_and_publishes_no_delta() -> None:
    world = a_live_world("binance")
    before = world.deltas
    world.exchange.next_frame()  # lost on the way
    world.step()
    assert world.deltas == before
    assert world.health is not None
    assert world.health.gaps == 1
    assert "next delta" in world.health.reason
    recovers(world, S.GAP)


def test_a_duplicate_changes_nothing() -> None:
    world = a_live_world("binance")
    frame = world.exchange.next_frame()
    world.step([frame])
    before = world.reader.book, world.reader.seq
    world.step([frame])
    assert (world.reader.book, world.reader.seq) == before
    assert world.live


def test_reordered_frames_resync() -> None:
    world = a_live_world("binance")
    first, second = world.exchange.next_frame(), world.exchange.next_frame()
    world.step([second, first])
    recovers(world, S.GAP)


def test_a_wrong_checksum_resyncs_and_publishes_no_delta() -> None:
    world = a_live_world("kraken")
    before = world.deltas
    assert isinstance(world.exchange, KrakenModel)
    world.step([world.exchange.corrupt_frame()])
    assert world.deltas == before
    assert world.health is not None
    assert world.health.checksum_failures == 1
    recovers(world, S.CHECKSUM_FAILED)


def test_a_lost_frame_without_sequence_numbers_is_found_by_the_checksum() -> None:
    world = a_live_world("kraken")
    world.exchange.next_frame()
    world.step()
    recovers(world, S.CHECKSUM_FAILED)


@pytest.mark.parametrize("venue", ["binance", "kraken"])
def test_a_crossed_book_resyncs_and_publishes_no_delta(venue: str) -> None:
    world = a_live_world(venue)
    before = world.deltas
    world.step([world.exchange.crossing_frame()])
    assert world.deltas == before
    assert world.health is not None
    assert "crossed" in world.health.reason
    recovers(world, S.GAP)


@pytest.mark.parametrize("venue", ["binance", "kraken"])
def test_a_disconnect_resyncs_under_a_new_epoch(venue: str) -> None:
    world = a_live_world(venue)
    world.disconnect("connection reset")
    recovers(world, S.DISCONNECTED)


def test_a_disconnect_while_the_snapshot_is_on_its_way_discards_that_snapshot() -> None:
    world = a_live_world("binance")
    world.exchange.next_frame()
    world.cut_during_snapshot = True
    world.step()
    recovers(world, S.GAP)
    assert S.DISCONNECTED in world.states


@pytest.mark.parametrize("status", [429, 418, 500, 503, 0])
def test_a_refused_snapshot_is_asked_for_again_after_the_pause_the_venue_demands(status: int) -> None:
    world = a_live_world("binance")
    retry = 3.0 if status in (429, 418) else None
    world.snapshot_answers.append((status, b'{"code":-1003}', retry))
    world.exchange.next_frame()
    asked = world.now
    world.step()
    recovers(world, S.GAP)
    if retry:
        assert world.now - asked >= retry * 1e9


def test_a_snapshot_older_than_the_buffer_is_not_used() -> None:
    world = World(BinanceModel(3))
    assert isinstance(world.exchange, BinanceModel)
    old = world.exchange.snapshot()
    for _ in range(5):
        world.exchange.next_frame()
    world.snapshot_answers.extend([(200, old, None), (200, old, None)])
    world.step()
    assert not world.live
    world.until_live()
    assert world.truth_holds()
    assert world.health is not None
    assert world.health.gaps == 0, "the held deltas were kept"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"lastUpdateId":"x","bids":[],"asks":[]}',
        b'{"lastUpdateId":5,"bids":[["NaN","1"]],"asks":[]}',
    ],
)
def test_an_unreadable_snapshot_is_kept_as_a_dead_letter_and_asked_for_again(body: bytes) -> None:
    world = World(BinanceModel(3))
    world.snapshot_answers.append((200, body, None))
    world.until_live()
    assert [letter.raw for letter in world.dead] == [body]


HOSTILE = [
    b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUp',
    b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","U":"a","u":[],"b":{},"a":7}}',
    b"\xff\xfe\x00",
    b"",
    b"[" * 100_000,
    b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USDT","bids":[{"price":NaN,"qty":1}]',
    b"x" * (10 * 1024 * 1024),
]


@pytest.mark.parametrize("venue", ["binance", "kraken"])
@pytest.mark.parametrize("frame", HOSTILE, ids=lambda frame: repr(frame[:24]))
def test_an_unreadable_frame_is_kept_and_the_book_starts_over(venue: str, frame: bytes) -> None:
    world = a_live_world(venue)
    world.step([frame])
    assert [letter.raw for letter in world.dead] == [frame]
    assert world.health is not None
    assert world.health.bad_frames == 1
    recovers(world, S.GAP)


@pytest.mark.parametrize(
    ("price", "size"),
    [
        ("NaN", "1"),
        ("1", "NaN"),
        ("Infinity", "1"),
        ("1", "-1"),
        ("-1", "1"),
        ("0", "1"),
        ("1e300", "1"),
        ("1", "1e300"),
        ("", "1"),
    ],
)
def test_an_absurd_level_never_reaches_a_live_book(price: str, size: str) -> None:
    world = a_live_world("binance")
    frame = json.loads(world.exchange.next_frame())
    frame["data"]["b"] = [[price, size]]
    world.step([json.dumps(frame).encode()])
    assert len(world.dead) == 1
    recovers(world, S.GAP)


def test_a_book_without_any_snapshot_gives_up_and_connects_again() -> None:
    world = World(KrakenModel(3))
    exchange = world.exchange
    assert isinstance(exchange, KrakenModel)
    world.disconnect("first connection says nothing")
    world.states.clear()
    world.until_live()
    silent = a_live_world("kraken")
    silent.step([])
    for _ in range(2_000):
        silent.step([])
        if S.STALE in silent.states:
            break
    recovers(silent, S.STALE)


def test_a_delta_of_absurd_ids_among_the_held_ones_does_not_keep_the_book_from_syncing() -> None:
    world = a_live_world("binance")
    assert isinstance(world.exchange, BinanceModel)
    world.exchange.next_frame()
    world.step([world.exchange.next_frame(), world.exchange.raised_frame()])
    world.until_live(40)
    assert world.truth_holds()


def test_bad_frames_while_a_snapshot_is_due_do_not_put_it_off() -> None:
    world = a_live_world("binance")
    for _ in range(6):
        world.step([b"{"])
    world.until_live(10)
    assert world.truth_holds()


def test_a_full_buffer_resyncs_instead_of_dropping() -> None:
    world = World(BinanceModel(3))
    world.snapshot_answers.extend((500, b"", None) for _ in range(100))
    for _ in range(300):
        world.step()
        if S.GAP in world.states:
            break
    assert world.health is not None
    assert S.GAP in world.states
    world.snapshot_answers.clear()
    world.until_live(1000)
    assert world.truth_holds()


def a_best_quote(world: World, *, wrong: bool) -> bytes:
    assert isinstance(world.exchange, BinanceModel)
    (bid, bid_size), (ask, ask_size) = (side[0] for side in world.exchange.truth[world.exchange.id])
    data = {"u": world.exchange.id, "s": "BTCUSDT", "b": f"{bid:.2f}", "B": f"{bid_size:.8f}"}
    data |= {"a": f"{ask:.2f}", "A": f"{ask_size + wrong:.8f}"}
    return json.dumps({"stream": "btcusdt@bookTicker", "data": data}).encode()


def test_the_venues_own_best_quote_at_the_books_id_proves_the_book() -> None:
    world = a_live_world("binance")
    frame = world.exchange.next_frame()
    world.step([a_best_quote(world, wrong=False), frame])  # quotes run ahead of the diff that contains them
    world.step([a_best_quote(world, wrong=False)])
    for _ in range(30):
        world.step()
    assert world.live
    assert world.health is not None
    assert world.health.quotes_matched == 2


@pytest.mark.parametrize("ahead", [True, False])
def test_a_book_that_differs_from_the_venues_own_best_quote_resyncs(*, ahead: bool) -> None:
    world = a_live_world("binance")
    frame, before = world.exchange.next_frame(), world.deltas
    quote = a_best_quote(world, wrong=True)
    world.step([quote, frame] if ahead else [frame, quote])
    assert world.deltas == before + (not ahead)
    recovers(world, S.GAP)


def test_an_epoch_rises_above_that_of_an_earlier_owner_whatever_the_clock_says() -> None:
    floor = START // NS_PER_MS + 3_600_000
    world = World(BinanceModel(7), epoch=floor)
    world.until_live()
    assert world.reader.epoch == floor + 1


def test_frames_and_ends_of_an_older_connection_are_ignored() -> None:
    world = a_live_world("binance")
    old = world.connection
    assert old is not None
    world.disconnect("connection reset")
    world.until_live()
    before = world.reader.book, world.reader.seq
    world.exchange.next_frame()
    world.tell(FrameReceived(world.key, old, world.exchange.next_frame()))
    world.tell(SocketClosed(world.key, old, "late news"))
    assert (world.reader.book, world.reader.seq) == before
    assert world.live


def test_the_reply_to_an_abandoned_request_is_not_used() -> None:
    world = a_live_world("binance")
    assert isinstance(world.exchange, BinanceModel)
    world.exchange.next_frame()
    world.deliver(world.exchange.next_frame())  # the gap
    while not world.fetches:
        world.now += 50 * NS_PER_MS
        world.tell(Tick())
    abandoned = world.fetches.popleft()
    world.disconnect("connection reset")
    stale = world.exchange.snapshot()
    while world.connection is None:
        world.now += 50 * NS_PER_MS
        world.tell(Tick())
    world.tell(ReplyReceived(abandoned.key, abandoned.request, "snapshot", 200, stale))
    assert not world.live
    world.until_live()
    assert world.truth_holds()


def test_a_book_that_is_lost_to_the_snapshot_after_an_outdated_one_starts_over() -> None:
    world = World(BinanceModel(7))
    assert isinstance(world.exchange, BinanceModel)
    outdated = world.exchange.snapshot()
    crossed = {"lastUpdateId": world.exchange.id + 1000, "bids": [["2", "1"]], "asks": [["1", "1"]]}
    world.exchange.next_frame()
    world.snapshot_answers += [(200, outdated, None), (200, json.dumps(crossed).encode(), None)]
    while world.snapshot_answers:
        world.step()
    assert S.GAP in world.states
    world.step([b"not a frame"])
    world.until_live()


def test_a_refused_subscription_is_retried_rarely_and_says_why() -> None:
    world = World(BinanceModel(3))
    world.deliver(b'{"error":{"code":2,"msg":"Invalid request: unknown stream"},"id":1}')
    assert world.health is not None
    assert world.health.state is S.REFUSED
    assert "unknown stream" in world.health.reason
    for _ in range(20):  # 1 s
        world.step([])
    assert world.connection is None
    world.until_live()


def test_a_released_book_says_nothing_more_and_leaves_its_state_to_the_new_owner() -> None:
    world = a_live_world("binance")
    connection = world.connection
    assert connection is not None
    assert handle(world.state, BookReleased("binance", "BTC-USDT"), world.now) == [
        CloseSocket(world.key, connection)
    ]
    assert handle(world.state, FrameReceived(world.key, connection, b"x"), world.now) == []


def test_an_unwanted_book_is_forgotten() -> None:
    world = a_live_world("binance")
    out = handle(world.state, BookUnwanted("binance", "BTC-USDT"), world.now)
    assert out[-1] == Forget(world.key)
    assert world.state.sessions == {}


def test_a_book_of_a_venue_without_a_feed_is_said_to_have_none() -> None:
    world = a_live_world("binance")
    assert handle(world.state, BookWanted("nowhere", "BTC-USDT"), world.now) == [NoFeed("nowhere:BTC-USDT")]


@pytest.mark.parametrize("venue", ["binance", "kraken"])
@pytest.mark.parametrize("by_s", [-86_400, -3600, -2, 2, 3600, 86_400])
def test_a_clock_that_is_set_costs_a_resync_and_nothing_waits_for_the_old_time(venue: str, by_s: int) -> None:
    world = a_live_world(venue)
    for _ in range(40):
        world.step()
    epoch, began = world.reader.epoch, world.now
    world.now += by_s * 1000 * NS_PER_MS
    world.tell(ClockSet(by_s * 1000 * NS_PER_MS))
    assert world.states[0] is S.DISCONNECTED
    world.until_live()
    assert world.now - began - by_s * 1000 * NS_PER_MS < 5_000 * NS_PER_MS
    assert world.reader.epoch > epoch
    tops = len(world.tops)
    for _ in range(40):  # 2 s
        world.step()
    assert len(world.tops) > tops + 10
    assert all(abs(top.received_ts - world.now) < 3_000 * NS_PER_MS for top in world.tops[tops:])
    assert world.health is not None
    assert abs(world.health.ts - world.now) <= 1_100 * NS_PER_MS
