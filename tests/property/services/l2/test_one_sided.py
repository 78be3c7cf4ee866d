"""A book whose sides come and go: LIVE with both and never without, and always the exchange's."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.events import BookState
from tests.l2_world import World
from tests.model_thin import Thin

S = BookState
SIZES = st.sampled_from((0.5, 1.0, 7.0))
BIDS = st.dictionaries(st.sampled_from((97.0, 98.0, 99.0)), SIZES)
ASKS = st.dictionaries(st.sampled_from((101.0, 102.0, 103.0)), SIZES)
FAULTS = st.sampled_from(("none", "none", "none", "none", "drop", "duplicate", "disconnect", "pause"))


@given(st.lists(st.tuples(FAULTS, BIDS, ASKS), max_size=60))
@settings(max_examples=100, deadline=None)
def test_a_book_is_live_with_two_sides_only_and_is_the_exchanges_with_any(
    changes: list[tuple[str, dict[float, float], dict[float, float]]],
) -> None:
    model = Thin(3)
    world = World(model)  # which holds every LIVE and ONE_SIDED against the reader's sides
    for fault, bids, asks in changes:
        frame = model.change(bids, asks)
        match fault:
            case "drop":
                world.step([])
            case "duplicate":
                world.step([frame, frame])
            case "disconnect":
                world.disconnect("connection reset")
                world.step([])
            case "pause":
                for _ in range(30):
                    world.step([])
            case _:
                world.step([frame])
    bids, asks = (changes[-1][1], changes[-1][2]) if changes else ({99.0: 1.0}, {101.0: 1.0})
    wanted = S.LIVE if bids and asks else S.ONE_SIDED
    for _ in range(400):
        world.step([model.change(bids, asks)])
        if world.health is not None and world.health.state is wanted:
            break
    assert world.health is not None
    assert world.health.state is wanted
    assert world.truth_holds()
    assert world.reader.book == model.truth[model.id]
