"""A venue that does not match halts its books; one that will end a connection gets another at once."""

from __future__ import annotations

import pytest

from libs.common.events import BookState
from libs.common.live_books import PATIENCE, usable
from libs.common.time_units import NS_PER_MS
from tests.l2_world import POLICY, World
from tests.model_bitstamp import BitstampModel
from tests.model_exchange import BinanceModel, KrakenModel
from tests.model_okx import OkxWorld

S = BookState
SECOND = 1_000 * NS_PER_MS
HEARTBEAT = b'{"channel":"heartbeat"}'
SYSTEMS = ("maintenance", "cancel_only", "post_only", "limit_only")
each_system = pytest.mark.parametrize("system", SYSTEMS)


def a_status(system: str) -> bytes:
    return (
        b'{"channel":"status","type":"update","data":[{"version":"2.0.8","system":"%s","api_version":"v2",'
        b'"connection_id":12393906104898154338}]}' % system.encode()
    )


class Kraken(World):
    """Kraken, which says its status to each connection before anything else."""

    def __init__(self, system: str = "online") -> None:
        self.system = system
        super().__init__(KrakenModel(7))

    def open(self, connection: int) -> None:
        exchange, self.exchange = self.exchange, BinanceModel(1)  # so that the snapshot does not come first
        super().open(connection)
        self.exchange = exchange
        self.deliver_on(connection, a_status(self.system))
        assert isinstance(exchange, KrakenModel)
        self.deliver_on(connection, exchange.snapshot_frame())

    def say(self, system: str) -> None:
        self.system = system
        self.step([a_status(system)])


def a_live_world() -> Kraken:
    world = Kraken()
    world.until_live()
    for _ in range(20):
        world.step()
    assert world.live
    world.states.clear()
    return world


@each_system
def test_a_status_that_is_not_online_halts_the_book_with_the_venues_word(system: str) -> None:
    world = a_live_world()
    opened = list(world.opened)
    world.say(system)
    assert world.health is not None
    assert world.health.state is S.HALTED
    assert world.health.reason.startswith(system)
    fault = usable(world.tops[-1], world.health, world.now, PATIENCE["trading"])
    assert str(fault) == f"the book is HALTED: {world.health.reason}"
    deltas = world.deltas
    for _ in range(60 * 20):
        world.step([world.exchange.next_frame(), HEARTBEAT])
    assert world.states == [S.HALTED]
    assert (world.deltas, world.opened) == (deltas, opened), "nothing is published, and the line is kept"
    assert (world.health.disconnects, world.health.gaps, world.health.stales) == (0, 0, 0)


@each_system
def test_online_brings_the_book_back_under_a_new_epoch(system: str) -> None:
    world = a_live_world()
    epoch = world.reader.epoch
    world.say(system)
    for _ in range(100):
        world.exchange.next_frame()  # nobody knows what happened meanwhile
        world.step([HEARTBEAT])
    world.say("online")
    world.until_live(20)
    assert world.states == [S.HALTED, S.SYNCING, S.LIVE]
    assert world.reader.epoch > epoch
    for _ in range(20):
        world.step()
    assert world.live
    assert world.truth_holds()


@each_system
def test_a_status_before_the_snapshot_keeps_the_book_from_being_live(system: str) -> None:
    world = Kraken(system)
    for _ in range(60 * 20):
        world.step([world.exchange.next_frame(), HEARTBEAT])
    assert S.LIVE not in world.states
    assert world.states[-1] is S.HALTED
    assert len(world.opened) == 1
    world.say("online")
    world.until_live(20)
    assert world.truth_holds()


def test_a_change_from_one_halt_to_another_is_told() -> None:
    world = a_live_world()
    for system in SYSTEMS:
        world.say(system)
        assert world.health is not None
        assert world.health.reason.startswith(system)
    assert world.states == [S.HALTED]


def test_a_halted_book_whose_line_dies_connects_again_and_is_halted_again() -> None:
    world = a_live_world()
    world.say("maintenance")
    for _ in range(6 * 20):
        world.step([])
    assert S.STALE in world.states
    for _ in range(20 * 20):
        world.step([HEARTBEAT])
    assert world.states[-1] is S.HALTED
    world.disconnect("maintenance cuts connections")
    for _ in range(20 * 20):
        world.step([HEARTBEAT])
    assert world.states[-1] is S.HALTED
    world.say("online")
    world.until_live(40)


def test_a_halt_whose_end_was_missed_is_asked_for_in_time() -> None:
    world = a_live_world()
    world.say("maintenance")
    world.system = "online"  # said by the venue, and lost
    for _ in range(POLICY.given_up_ns // (50 * NS_PER_MS) + 100):
        world.step([HEARTBEAT])
    assert world.live


def test_an_unreadable_frame_does_not_end_a_halt() -> None:
    world = a_live_world()
    world.say("maintenance")
    world.step([b'{"channel":"book","type":"update","data":[{"sym', HEARTBEAT])
    assert len(world.dead) == 1
    assert world.states == [S.HALTED]


def test_online_says_nothing_to_a_book_that_is_live() -> None:
    world = a_live_world()
    opened = list(world.opened)
    world.say("online")
    assert (world.states, world.opened) == ([], opened)


NOTICES = {
    "binance": (
        b'{"e":"serverShutdown","E":1770123456789}',
        b'{"stream":"serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}',
    ),
    "bitstamp": (b'{"event":"bts:request_reconnect","channel":"","data":""}',),
    "okx": (
        b'{"event":"notice","code":"64008","msg":"The connection will soon be closed","connId":"a4d3ae55"}',
    ),
}


@pytest.mark.parametrize(("venue", "raw"), [(venue, raw) for venue, raws in NOTICES.items() for raw in raws])
def test_a_venue_that_will_end_the_connection_gets_another_at_once(venue: str, raw: bytes) -> None:
    by_rest = {"binance": BinanceModel, "bitstamp": BitstampModel}
    world = OkxWorld(7) if venue == "okx" else World(by_rest[venue](7))
    world.until_live()
    for _ in range(20):
        world.step()
    assert world.live
    assert world.health is not None
    before, connection = world.health, world.connection
    world.states.clear()
    world.step([raw])
    for _ in range(40):
        world.step()
    assert world.connection not in (None, connection)
    assert connection in world.closed
    assert world.states == [], "it never left LIVE"
    assert world.truth_holds()
    assert world.health.disconnects == before.disconnects, "it was no failure"
    assert world.health.reconnects == 1
