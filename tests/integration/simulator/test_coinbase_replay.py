"""The Coinbase recording behind real sockets: a subscriber receives it byte by byte, early or late."""

from __future__ import annotations

import asyncio
import json

from simulator.recordings import Frame, open_recording
from simulator.replay import list_books
from simulator.settings import SimulatorSettings
from tests.integration.simulator.test_coinbase_protocol import CoinbaseClient
from tests.integration.simulator.test_replay_sockets import replaying, take
from tests.recordings import COINBASE, needs_recordings


@needs_recordings
def test_both_products_of_the_recording_can_be_replayed() -> None:
    books = list_books(SimulatorSettings(feed=f"replay:{COINBASE}"))
    assert books == ["coinbase:BTC-USD", "coinbase:ETH-USD"]


@needs_recordings
async def test_two_clients_receive_the_recorded_connection_whole() -> None:
    recorded = [record.text for record in open_recording(COINBASE).records() if isinstance(record, Frame)]
    assert max(map(len, recorded)) > 4_800_000
    async with (
        replaying(COINBASE, replay_settle_s=0.5) as replay,
        replay.socket("/coinbase/") as first,
        replay.socket("/coinbase/") as second,
    ):
        for socket, product in ((first, "BTC-USD"), (second, "ETH-USD")):
            await CoinbaseClient(socket, product).subscribe("level2", "market_trades", "heartbeats")
        followed = await asyncio.gather(take(first, len(recorded)), take(second, len(recorded)))
    assert list(followed) == [recorded, recorded]
    assert [json.loads(frame)["sequence_num"] for frame in recorded] == list(range(1030))


@needs_recordings
async def test_a_client_that_comes_late_goes_on_without_a_hole_and_ends_with_the_same_book() -> None:
    async with replaying(COINBASE, replay_speed=20.0) as replay, replay.socket("/coinbase/") as early:
        first = CoinbaseClient(early, "ETH-USD")
        await first.subscribe("level2")
        while first.updates < 50:
            await first.frame()
        await replay.post("/control/pause")
        async with replay.socket("/coinbase/") as socket:
            late = CoinbaseClient(socket, "ETH-USD")
            await late.subscribe("level2", "heartbeats")
            snapshot = json.loads(await socket.receive_str())
            late.number = snapshot["sequence_num"]
            late.apply(snapshot["events"][0])
            await replay.post("/control/resume")
            for naive in (first, late):
                while naive.number != 1029:
                    await naive.frame()
        assert first.updates >= 50
        assert 0 < late.updates < first.updates
        truth = json.loads((await replay.get("/control/books/coinbase/ETH-USD"))[1])
    assert first.book.top() == late.book.top() == (truth["bids"], truth["asks"])
