"""Random streams, random faults: nothing wrong is ever published, and every trouble ends LIVE and right."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model_coinbase import CoinbaseWorld
from tests.odd_frames import STRANGE

BREAKS = ("odd", "late", "drop", "duplicate", "reorder", "corrupt", "cross", "garbage", "disconnect", "pause")
FAULTS = st.sampled_from(("none", "none", "none", "other", *BREAKS))


def play(world: CoinbaseWorld, fault: str) -> None:
    model = world.model
    match fault:
        case "other":
            world.step([model.other_frame(), model.next_frame()])
        case "odd":
            world.step([STRANGE["coinbase"][0], model.next_frame(), STRANGE["coinbase"][1]])
        case "late":
            frame = model.next_frame()
            world.step([frame, model.next_frame(), model.other_frame(), frame, model.next_frame()])
        case "drop":
            model.next_frame()
            world.step([])
        case "duplicate":
            frame = model.next_frame()
            world.step([frame, frame])
        case "reorder":
            first, second = model.next_frame(), model.next_frame()
            world.step([second, first])
        case "corrupt":
            world.step([model.corrupt_frame()])
        case "cross":
            world.step([model.crossing_frame()])
        case "garbage":
            world.step([model.next_frame()[:-7]])
        case "disconnect":
            world.disconnect("connection reset")
            world.step([])
        case "pause":
            for _ in range(30):
                world.step([])
        case _:
            world.step()


@given(seed=st.integers(0, 2**32), faults=st.lists(FAULTS, max_size=120))
@settings(max_examples=60, deadline=None)
def test_whatever_happens_to_the_connection_the_published_book_is_the_exchanges(
    seed: int, faults: list[str]
) -> None:
    world = CoinbaseWorld(seed)
    for fault in faults:
        play(world, fault)
    for _ in range(20):
        world.step()
    world.until_live()
    for _ in range(5):
        world.step()
    assert world.live
    assert world.truth_holds()
    assert world.reader.book == world.model.now
