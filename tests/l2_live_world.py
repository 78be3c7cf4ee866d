"""A world whose book has been LIVE for a while."""

from __future__ import annotations

from tests.l2_world import World
from tests.model_exchange import BinanceModel, KrakenModel


def a_live_world(venue: str, seed: int = 7) -> World:
    world = World(BinanceModel(seed) if venue == "binance" else KrakenModel(seed))
    world.until_live()
    for _ in range(20):
        world.step()
    assert world.live
    assert world.deltas >= 19
    world.states.clear()
    return world
