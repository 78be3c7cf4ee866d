"""Any sequence of losses on a chained stream: what is published is the exchange's book, and it comes back."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import example, given, settings

from tests.l2_world import World
from tests.model_futures import FuturesModel

FAULTS = ("none", "lose", "repeat", "swap", "cross", "cut", "inside", "ahead")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["binance-usdm", "binance-coinm"]),
    st.integers(0, 1000),
    st.lists(st.sampled_from(FAULTS), max_size=25),
)
@example("binance-usdm", 213, ["inside", "swap"])
def test_whatever_happens_to_the_stream_the_published_book_is_the_exchanges(
    venue: str, seed: int, faults: list[str]
) -> None:
    exchange = FuturesModel(seed, venue)
    world = World(exchange)
    for fault in faults:
        match fault:
            case "lose":
                exchange.next_frame()
                world.step()
            case "repeat":
                world.step([exchange.next_frame()] * 2)
            case "swap":
                world.step([exchange.next_frame(), exchange.next_frame()][::-1])
            case "cross":
                world.step([exchange.crossing_frame()])
            case "cut":
                world.disconnect("connection reset")
            case "inside":  # snapshots are of an id within the last event, and lose what came after it
                exchange.snapshot_inside = not exchange.snapshot_inside
                world.step()
            case "ahead":  # what the snapshot contains comes after it
                frame = exchange.next_frame()
                world.step([])
                world.step([frame])
            case _:
                world.step()
    world.until_live(1000)
    world.step()  # a snapshot inside an event that was lost joins, and the next event shows the loss
    world.until_live(1000)
    before = world.deltas
    for _ in range(5):
        world.step()
    assert world.live
    assert world.deltas >= before + 5
    assert world.truth_holds()
