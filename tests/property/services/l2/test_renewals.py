"""Renewals under random faults of both lines: nothing wrong is published, and every trouble ends LIVE."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.l2.messages import SocketClosed
from tests.l2_world import World
from tests.model_bitstamp import BitstampModel
from tests.model_exchange import BinanceModel, KrakenModel
from tests.model_futures import FuturesModel
from tests.model_window import WindowModel, WindowWorld

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FAULTS = st.sampled_from(
    [
        *("none", "none", "reconnect", "reconnect", "reconnect", "reconnect", "lag", "swap"),
        *("drop old", "drop new", "drop both", "garbage old", "garbage new", "cut old", "cut new"),
        *("refuse", "slow snapshot", "hold opening", "open", "pause", "duplicate", "cross"),
    ]
)


class Lines:
    """Delivers a world's frames line by line, each as late as the test says."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.late: dict[int, deque[bytes]] = defaultdict(deque)
        self.lags: dict[int, int] = {}

    def say(self, frame: bytes, without: int | None = None, instead: bytes | None = None) -> None:
        """Say a frame on all lines but one, which gets another or none."""
        for connection in tuple(self.world.lines):
            if connection != without:
                self.late[connection].append(frame)
            elif instead is not None:
                self.late[connection].append(instead)
        self.flush()

    def flush(self) -> None:
        for connection in tuple(self.world.lines):
            while len(self.late[connection]) > self.lags.get(connection, 0):
                self.world.deliver_on(connection, self.late[connection].popleft())

    def cut(self, connection: int) -> None:
        self.world.lines.remove(connection)
        self.world.tell(SocketClosed(self.world.key, connection, "connection reset"))

    def play(self, fault: str) -> None:
        world, exchange = self.world, self.world.exchange
        old, new = (world.lines[0], world.lines[-1]) if world.lines else (None, None)
        match fault:
            case "reconnect":
                session = world.state.sessions[world.key]
                session.life.renewal.announce(session.connection, "as a test says")
            case "lag" if new is not None and not isinstance(exchange, KrakenModel):
                self.lags[new] = exchange.random.randint(0, 6)
            case "swap" if old is not None:
                self.lags[old] = 0
            case "drop old" | "drop new":
                self.say(exchange.next_frame(), without=old if fault == "drop old" else new)
            case "drop both":
                exchange.next_frame()
            case "garbage old" | "garbage new":
                frame = exchange.next_frame()
                self.say(frame, without=old if fault == "garbage old" else new, instead=frame[:-7])
            case "cut old" | "cut new" if old is not None and new is not None:
                self.cut(old if fault == "cut old" else new)
            case "refuse":
                world.snapshot_answers.append((503, b"busy", None))
            case "slow snapshot" if isinstance(exchange, BinanceModel):
                world.snapshot_answers.append((200, exchange.snapshot(), None))
                for _ in range(3):
                    self.say(exchange.next_frame())
            case "hold opening":
                world.opens = False
            case "open":
                world.opens = True
            case "pause":
                for _ in range(30):
                    world.step([])
            case "duplicate":
                frame = exchange.next_frame()
                self.say(frame)
                self.say(frame)
            case "cross":
                self.say(exchange.crossing_frame())
            case _:
                self.say(exchange.next_frame())
        world.step([])

    def heal(self) -> None:
        self.world.opens = True
        self.world.snapshot_answers.clear()
        self.lags.clear()
        self.flush()
        for step in range(600):  # 30 s: the longest pause is 2.5 s, a snapshot's budget is there in 5
            self.say(self.world.exchange.next_frame())
            self.world.step([])
            if step > 60 and self.world.live and len(self.world.lines) == 1:
                break


UNSEEN = {"drop old", "drop new", "drop both", "duplicate", "slow snapshot"}  # where only times are said
MODELS: Mapping[str, Callable[[int], BinanceModel | KrakenModel]] = {
    "binance": BinanceModel,
    "kraken": KrakenModel,
    "bitstamp": BitstampModel,
    "binance-usdm": lambda seed: FuturesModel(seed, "binance-usdm"),
}


@pytest.mark.parametrize("venue", MODELS)
@given(seed=st.integers(0, 2**32), faults=st.lists(FAULTS, max_size=80))
@settings(max_examples=60, deadline=None)
def test_whatever_happens_to_either_line_the_published_book_is_the_exchanges(
    venue: str, seed: int, faults: list[str]
) -> None:
    world = World(MODELS[venue](seed))
    world.until_live()
    lines = Lines(world)
    for fault in faults:
        if venue == "bitstamp" and fault in UNSEEN:
            continue
        lines.play(fault)
    lines.heal()
    assert world.live
    assert world.truth_holds()
    assert len(world.lines) == 1, "no connection is left over"


MOVES = st.one_of(st.integers(-12, 12), st.sampled_from([-60, 60, "refuse", "rest", "drop", "far"]))


@given(limit=st.sampled_from([5, 20, 60]), moves=st.lists(MOVES, max_size=40))
@settings(max_examples=60, deadline=None)
def test_wherever_the_market_goes_what_is_shown_as_known_is_the_exchanges(
    limit: int, moves: list[int | str]
) -> None:
    world = WindowWorld(limit)
    market: WindowModel = world.market
    world.until_live()
    for move in moves:
        match move:
            case int():
                world.step([market.move(move)])
            case "refuse":
                world.snapshot_answers.append((503, b"busy", None))
            case "rest":
                for step in range(240):
                    world.step(None if step % 60 == 0 else [])
            case "drop":
                market.next_frame()
            case _:
                world.step([market.far_frame(limit + 20)])
        if world.live:
            assert world.room_bps > 0
    world.snapshot_answers.clear()
    for _ in range(20):
        world.step()
    world.until_live()
    assert world.truth_holds()
