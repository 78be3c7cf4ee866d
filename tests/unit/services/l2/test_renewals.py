"""A book is renewed without leaving LIVE: the new book takes over before the old connection is dropped."""

from __future__ import annotations

import json

import pytest

from libs.common.events import BookState, Trade
from libs.common.time_units import NS_PER_MS, NS_PER_S
from services.l2.feeds import FEEDS
from services.l2.handlers import handle
from services.l2.messages import (
    BookReleased,
    BookUnwanted,
    ClockSet,
    CloseSocket,
    FrameReceived,
    RenewalFailed,
    Renewed,
    SocketClosed,
    SocketOpened,
    Tick,
    TradesMissing,
)
from services.l2.rate_limits import RESERVE
from tests.l2_world import POLICY, World
from tests.model_bitstamp import BitstampModel
from tests.model_exchange import BinanceModel, KrakenModel
from tests.model_okx import OkxWorld

S = BookState
SHUTDOWN = b'{"e":"serverShutdown","E":1770123456789}'
SHUTDOWN_COMBINED = b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}'
NOTICE = (
    b'{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. '
    b'Please reconnect.","connId":"a4d3ae55"}'
)
REQUEST = b'{"event":"bts:request_reconnect","channel":"","data":""}'


def settled(world: World) -> World:
    world.until_live()
    for _ in range(20):
        world.step()
    assert world.live
    world.states.clear()
    return world


def a_live_world(seed: int = 7) -> World:
    return settled(World(BinanceModel(seed)))


def renewed(world: World) -> None:
    """Step until the newest connection is the only one; the book may not leave LIVE for it."""
    assert world.health is not None
    before, epoch = world.health, world.reader.epoch
    for _ in range(100):
        world.step()
        if len(world.lines) == 1 and world.reader.epoch > epoch:
            break
    assert world.states == [], "the book never left LIVE"
    assert world.reader.epoch > epoch
    deltas = world.deltas
    for _ in range(30):
        world.step()
    assert world.deltas >= deltas + 20
    assert world.truth_holds()
    after = world.health
    assert after.reconnects == before.reconnects + 1
    for name in ("disconnects", "resyncs", "gaps", "stales", "checksum_failures"):
        assert getattr(after, name) == getattr(before, name), name
    assert after.since_ts == before.since_ts
    assert isinstance(world.said[-1], Renewed)


@pytest.mark.parametrize("asked", [SHUTDOWN, SHUTDOWN_COMBINED])
def test_a_server_that_shuts_down_is_left_before_it_does(asked: bytes) -> None:
    world = a_live_world()
    old = world.connection
    assert old is not None
    world.deliver(asked)
    assert world.lines == [old]
    world.tell(Tick())
    assert world.lines == [old, old + 1], "the new connection is made before the old one is dropped"
    renewed(world)
    assert world.lines == [old + 1]
    assert world.closed == [old]


def test_a_notice_of_okx_makes_a_new_connection() -> None:
    world = settled(OkxWorld(7))
    world.deliver(NOTICE)
    renewed(world)


def test_a_request_of_bitstamp_makes_a_new_connection() -> None:
    world = settled(World(BitstampModel(7)))
    world.deliver(REQUEST)
    renewed(world)


def test_a_book_without_ids_is_renewed_too() -> None:
    world = settled(World(KrakenModel(7)))
    session = world.state.sessions[world.key]
    session.life.renewal.announce(session.connection, "as a test says")
    renewed(world)


def test_the_old_line_serves_the_book_until_the_new_one_is_proven() -> None:
    world = a_live_world()
    world.opens = False
    world.deliver(SHUTDOWN)
    before = world.deltas
    for _ in range(40):
        world.step()
    assert world.deltas == before + 40
    world.open(world.asked[-1])
    renewed(world)


def test_if_the_old_line_dies_first_the_new_one_is_the_sync_that_goes_on() -> None:
    world = a_live_world()
    world.snapshot_answers.extend((503, b"busy", None) for _ in range(3))
    world.deliver(SHUTDOWN)
    world.step()
    assert len(world.lines) == 2
    asked = len(world.asked)
    world.disconnect("the server shut down")
    assert world.states == [S.DISCONNECTED, S.SYNCING]
    world.until_live()
    assert world.states == [S.DISCONNECTED, S.SYNCING, S.LIVE]
    assert len(world.asked) == asked, "no other connection was needed"
    assert world.health is not None
    assert (world.health.disconnects, world.health.reconnects) == (1, 0)
    for _ in range(20):
        world.step()
    assert world.truth_holds()


def test_a_new_line_that_is_open_goes_on_though_its_venue_lets_nobody_in_any_more() -> None:
    world = OkxWorld(7)
    settled(world)
    world.opens = False
    world.deliver(NOTICE)
    world.tell(Tick())
    world.opened.append(new := world.asked[-1])
    world.lines.append(new)
    world.tell(SocketOpened(world.key, new))  # and its snapshot is on its way
    world.state.budgets["okx"].block(world.now + 600 * NS_PER_S, "blocked here (451)")
    world.disconnect("for a service upgrade")
    assert world.lines == [new]
    world.deliver_on(new, world.exchange.snapshot_frame())
    assert world.live
    assert world.truth_holds()


def test_if_the_old_line_dies_while_the_new_one_is_proven_but_behind_that_one_is_the_book() -> None:
    world = a_live_world()
    old = world.lines[0]
    world.deliver(SHUTDOWN)
    world.tell(Tick())
    frames = [world.exchange.next_frame() for _ in range(2)]
    late = world.lines[1]
    world.deliver(frames[0])
    world.deliver_on(old, frames[1])
    body = world.exchange.truth  # type: ignore[union-attr]  # Binance's
    first = sorted(body)[-2]
    bids, asks = body[first]
    levels = {
        "bids": [[str(p), f"{q:.8f}"] for p, q in bids],
        "asks": [[str(p), f"{q:.8f}"] for p, q in asks],
    }
    world.snapshot_answers.append((200, json.dumps({"lastUpdateId": first, **levels}).encode(), None))
    while not world.fetches:
        world.now += 50 * NS_PER_MS
        world.tell(Tick())
    world.answer()
    assert world.states == []
    assert world.lines == [old, late], "it does not take over while it is behind"
    world.tell(SocketClosed(world.key, old, "cut"))
    world.lines.remove(old)
    assert world.states == [S.DISCONNECTED, S.LIVE]
    world.deliver_on(late, frames[1])
    for _ in range(20):
        world.step()
    assert world.live
    assert world.truth_holds()


def test_a_new_line_that_is_behind_takes_over_when_it_has_caught_up() -> None:
    world = a_live_world()
    old = world.lines[0]
    world.deliver(SHUTDOWN)
    world.step([])
    late: list[bytes] = []
    epoch = world.reader.epoch
    world.deliver(world.exchange.next_frame())
    snapshot = world.exchange.snapshot()  # type: ignore[union-attr]  # Binance's
    world.snapshot_answers.append((200, snapshot, None))
    for _ in range(30):
        late.append(world.exchange.next_frame())
        world.deliver_on(old, late[-1])
        world.step([])
    assert world.reader.epoch == epoch
    assert world.lines[0] == old
    for frame in late:
        assert world.lines[0] == old
        world.deliver_on(world.lines[1], frame)
    assert world.reader.epoch > epoch
    assert world.closed[-1] == old
    assert world.states == []


@pytest.mark.parametrize("trouble", [b"{", b'{"error":{"code":2,"msg":"no"},"id":1}', SHUTDOWN, b"cut"])
def test_a_new_line_that_fails_costs_the_old_one_nothing_and_is_tried_again(trouble: bytes) -> None:
    world = a_live_world()
    old = world.lines[0]
    world.deliver(SHUTDOWN)
    world.tell(Tick())
    new = world.lines[1]
    if trouble == b"cut":
        world.tell(SocketClosed(world.key, new, "connection reset"))
        world.lines.remove(new)
    else:
        world.deliver_on(new, trouble)
    assert world.lines == [old]
    assert isinstance(world.said[-1], RenewalFailed)
    assert world.live
    renewed(world)
    assert world.closed == ([old] if trouble == b"cut" else [new, old])


def test_a_snapshot_that_is_refused_is_asked_for_again_after_a_pause() -> None:
    world = a_live_world()
    world.snapshot_answers.extend([(503, b"busy", None), (404, b"gone", None), (200, b"{", None)])
    world.deliver(SHUTDOWN)
    epoch = world.reader.epoch
    for _ in range(200):
        world.step()
    assert world.states == []
    assert world.reader.epoch > epoch
    assert [type(each) for each in world.said] == [RenewalFailed] * 3 + [Renewed]
    assert len(world.dead) == 1


def test_a_new_line_that_says_nothing_is_given_up_and_the_old_one_goes_on() -> None:
    world = settled(World(KrakenModel(7)))
    session = world.state.sessions[world.key]
    session.life.renewal.announce(session.connection, "as a test says")
    world.opens = False
    world.tell(Tick())
    silent = world.asked[-1]
    old = world.lines[0]
    world.tell(SocketOpened(world.key, silent))
    for _ in range(round(FEEDS["kraken"].silence_s * 20) + 2):
        world.deliver_on(old, world.exchange.next_frame())
        world.step([])
    assert world.closed[0] == silent
    assert world.live


def test_a_lost_frame_on_the_old_line_leaves_the_new_one_to_go_on() -> None:
    world = a_live_world()
    old = world.lines[0]
    world.snapshot_answers.extend((503, b"busy", None) for _ in range(2))
    world.deliver(SHUTDOWN)
    world.step()
    frame = world.exchange.next_frame()
    world.deliver_on(world.lines[1], frame)  # and never came on the old one
    world.deliver(world.exchange.next_frame())
    assert world.states == [S.GAP, S.SYNCING]
    assert world.closed == [old]
    world.until_live()
    assert world.truth_holds()


def a_trade(number: int, now: int) -> bytes:
    data = {
        "e": "trade",
        "s": "BTCUSDT",
        "t": number,
        "p": "100",
        "q": "1",
        "T": now // NS_PER_MS,
        "m": False,
    }
    return json.dumps({"stream": "btcusdt@trade", "data": data}).encode()


def traded(world: World) -> list[str]:
    return [each.trade_id for each in world.said if isinstance(each, Trade)]


def test_trades_on_both_lines_are_counted_once_and_none_is_missing() -> None:
    world = a_live_world()
    old = world.lines[0]
    world.opens = False
    world.deliver(a_trade(1, world.now))
    world.deliver(SHUTDOWN)
    world.tell(Tick())
    world.deliver(a_trade(2, world.now))
    world.open(world.asked[-1])
    new = world.lines[1]
    world.deliver_on(new, a_trade(3, world.now))
    world.deliver_on(new, a_trade(4, world.now))  # it runs ahead
    assert traded(world) == ["1", "2"]
    world.deliver_on(old, a_trade(3, world.now))
    world.step()
    world.step()
    assert world.lines == [new]
    world.deliver(a_trade(5, world.now))
    assert traded(world) == ["1", "2", "3", "4", "5"]
    assert world.health is not None
    assert (world.health.trade_holes, world.health.repeated_trades) == (0, 0)


def test_trades_that_neither_line_brought_are_told_as_missing() -> None:
    world = a_live_world()
    world.deliver(a_trade(1, world.now))
    world.deliver(SHUTDOWN)
    world.tell(Tick())
    world.deliver_on(world.lines[1], a_trade(4, world.now))
    renewed_lines = [world.lines[1]]
    for _ in range(5):
        world.step()
    assert world.lines == renewed_lines
    assert traded(world) == ["1", "4"]
    assert [each.missing for each in world.said if isinstance(each, TradesMissing)] == [2]


def test_a_renewal_does_not_touch_the_reserve() -> None:
    world = a_live_world()
    budget = world.state.budgets["binance"]
    budget.sockets.take(budget.sockets.capacity * RESERVE, world.now)
    old = world.lines[0]
    world.deliver(SHUTDOWN)
    world.step()
    assert world.lines == [old]
    renewed(world)


def test_a_book_that_is_let_go_lets_go_of_both_connections() -> None:
    for message in (BookReleased("binance", "BTC-USDT"), BookUnwanted("binance", "BTC-USDT")):
        world = a_live_world()
        world.deliver(SHUTDOWN)
        world.tell(Tick())
        old, new = world.lines
        out = handle(world.state, message, world.now)
        assert out[:2] == [CloseSocket(world.key, new), CloseSocket(world.key, old)]
        assert handle(world.state, FrameReceived(world.key, new, b"x"), world.now) == []


def test_a_clock_that_is_set_during_a_renewal_lets_go_of_both_connections_and_numbers_go_on() -> None:
    world = a_live_world()
    world.deliver(SHUTDOWN)
    world.tell(Tick())
    old, new = world.lines
    world.now += 3600 * NS_PER_S
    world.tell(ClockSet(3600 * NS_PER_S))
    assert set(world.closed) == {old, new}
    world.until_live()
    assert world.connection not in (old, new)
    assert world.truth_holds()


def test_what_comes_late_of_a_line_that_was_replaced_is_of_no_book() -> None:
    world = a_live_world()
    old = world.lines[0]
    world.deliver(SHUTDOWN)
    renewed(world)
    before = world.reader.book, world.reader.seq
    world.tell(FrameReceived(world.key, old, b"not a frame"))
    world.tell(SocketClosed(world.key, old, "late news"))
    assert (world.reader.book, world.reader.seq) == before
    assert world.live
    assert world.dead == []


def test_a_reconnect_that_is_asked_for_while_the_book_syncs_comes_once_it_is_live() -> None:
    world = World(BinanceModel(7))
    world.deliver(SHUTDOWN)
    world.until_live()
    for _ in range(20):
        world.step()
    assert world.health is not None
    assert world.health.reconnects == 1
    assert POLICY.backoff_min_ns > 0
    assert world.states.count(S.LIVE) == 1


def test_an_unproven_snapshot_that_is_older_than_the_book_is_not_taken() -> None:
    model = BitstampModel(7)
    world = settled(World(model))
    stale = model.snapshot()
    for _ in range(3):
        world.step()  # what the new line never hears of
    world.snapshot_answers.append((200, stale, None))
    world.deliver(REQUEST)
    epoch = world.reader.epoch
    for _ in range(30):
        world.step([])  # a quiet stream: no diff is held that the snapshot could be joined to
    assert [each.reason for each in world.said if isinstance(each, RenewalFailed)] == [
        "the snapshot is older than the book"
    ]
    for _ in range(60):
        world.step()
    assert world.reader.epoch > epoch
    assert world.states == []
    assert world.truth_holds()
