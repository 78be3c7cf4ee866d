"""Random streams, random faults: nothing wrong is ever published, and every trouble ends LIVE and right."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.l2_world import World
from tests.model_exchange import BinanceModel, KrakenModel
from tests.odd_frames import STRANGE, UNREADABLE

FAULTS = st.sampled_from(
    [
        "none",
        "none",
        "none",
        "drop",
        "duplicate",
        "reorder",
        "cross",
        "garbage",
        "disconnect",
        "raise",
        "refuse",
        "cut",
        "pause",
        "odd",
        "unreadable trades",
    ]
)


def play(world: World, fault: str) -> None:
    exchange = world.exchange
    match fault:
        case "none":
            world.step()
        case "drop":
            exchange.next_frame()
            world.step([])
        case "duplicate":
            frame = exchange.next_frame()
            # Where a venue has no ids a repeated frame is harmless: sizes are absolute.
            world.step([frame, frame])
        case "reorder":
            if isinstance(exchange, BinanceModel):
                first, second = exchange.next_frame(), exchange.next_frame()
                world.step([second, first])
        case "cross":
            world.step([exchange.crossing_frame()])
        case "garbage":
            world.step([exchange.next_frame()[:-7]])
        case "disconnect":
            world.disconnect("connection reset")
            world.step([])
        case "raise":
            if isinstance(exchange, BinanceModel):
                world.step([exchange.raised_frame()])
        case "refuse":
            world.snapshot_answers.append((503, b"busy", None))
            world.step()
        case "cut":
            world.cut_during_snapshot = True
            world.step()
        case "odd":
            world.step([STRANGE[exchange.venue][0], exchange.next_frame(), STRANGE[exchange.venue][1]])
        case "unreadable trades":
            world.step([UNREADABLE[exchange.venue], exchange.next_frame()])
        case "pause":
            for _ in range(30):
                world.step([])


@pytest.mark.parametrize("model", [BinanceModel, KrakenModel])
@given(seed=st.integers(0, 2**32), faults=st.lists(FAULTS, max_size=120))
@settings(max_examples=60, deadline=None)
def test_whatever_happens_to_the_stream_the_published_book_is_the_exchanges(
    model: type[BinanceModel | KrakenModel], seed: int, faults: list[str]
) -> None:
    world = World(model(seed))
    for fault in faults:
        play(world, fault)
    world.snapshot_answers.clear()
    world.cut_during_snapshot = False
    for _ in range(20):
        world.step()
    world.until_live()
    for _ in range(5):
        world.step()
    assert world.live
    assert world.truth_holds()
