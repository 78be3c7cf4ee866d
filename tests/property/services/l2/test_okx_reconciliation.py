"""Random streams, faults and resets of ids: nothing wrong is published, and all ends LIVE and right."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model_okx import OkxWorld

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
        "reset",
        "quiet",
    ]
)


def play(world: OkxWorld, fault: str) -> None:
    exchange = world.exchange
    match fault:
        case "none":
            world.step()
        case "drop":
            exchange.next_frame()
            world.step([])
        case "duplicate":
            frame = exchange.next_frame()
            world.step([frame, frame])
        case "reorder":
            first, second = exchange.update_frame(), exchange.update_frame()
            world.step([second, first])
        case "cross":
            world.step([exchange.crossing_frame()])
        case "garbage":
            world.step([exchange.next_frame()[:-7]])
        case "disconnect":
            world.disconnect("connection reset")
            world.step([])
        case "reset":
            world.step([exchange.reset_frame()])
        case "quiet":
            world.step([exchange.keep_alive_frame(), b"pong"])


@given(seed=st.integers(0, 2**32), faults=st.lists(FAULTS, max_size=120))
@settings(max_examples=80, deadline=None)
def test_whatever_happens_to_the_stream_the_published_book_is_the_exchanges(
    seed: int, faults: list[str]
) -> None:
    world = OkxWorld(seed)
    for fault in faults:
        play(world, fault)
    for _ in range(20):
        world.step()
    world.until_live()
    for _ in range(5):
        world.step()
    assert world.live
    assert world.truth_holds()
