"""The venues service on a real broker, killed with SIGKILL while it is asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from libs.common.events import VenueScored
from libs.common.topics import VENUES_METRICS, book_key
from tests.venues_running import VENUES, Market, Process, until

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 6
LIFE_S = 4.0  # start to recovered takes about 3 s
BINANCE = book_key("binance", "BTC-USDT")


async def test_every_command_is_answered_alike_over_kills_and_the_registry_keeps_its_history(
    fresh_kafka: str, tmp_path: Path
) -> None:
    market = Market(fresh_kafka)
    process = Process(fresh_kafka, tmp_path)
    try:
        async with market.open():
            first = await market.ask(0)
            await until("the first answer", lambda: first in market.answers, process)
            market.gaps = 3
            metrics = market.metrics.items
            await until(
                "the gaps are counted", lambda: BINANCE in metrics and metrics[BINANCE].gaps == 3, process
            )
            market.gaps = 5  # and two more

            asked: list[str] = []
            asking = asyncio.create_task(_ask_for_ever(market, asked))
            for _ in range(KILLS):
                before = len(market.answers)
                await asyncio.wait({asking}, timeout=LIFE_S)
                await until("answers come again", lambda n=before: len(market.answers) > n, process)  # type: ignore[misc]  # a bound value
                process.kill_and_restart()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await until("every command is answered", lambda: set(asked) <= market.answers.keys(), process)

            again = await market.ask(len(asked))  # one of the newest 512, which are remembered
            count = len(market.answers[again])
            await until(
                "a repeated command is answered again", lambda: len(market.answers[again]) > count, process
            )

            differing = [
                command
                for command, records in market.answers.items()
                if len({(record.value, record.partition, record.headers) for record in records}) > 1
            ]
            assert differing == []
            assert len(asked) > 100
            await until("the counts go on", lambda: metrics[BINANCE].gaps == 5, process)
            found = metrics[BINANCE]
            assert found.beta > 5  # the prior's 1 and 5 gaps, which decay within the hour
            assert found.latency_p50_ms is not None
            answer = msgspec.msgpack.decode(market.answers[first][0].value or b"", type=VenueScored)
            assert {each.venue for each in answer.candidates} == VENUES.keys()
            headers = dict(market.answers[first][0].headers)
            assert headers["ce_causationid"].decode() == first
            assert headers["ce_correlationid"] == b"conversation"
        assert process.stop() == 0, process.log.read_text()[-3000:]
    finally:
        process.process.kill()
        process.process.wait()


async def _ask_for_ever(market: Market, asked: list[str]) -> None:
    while True:
        asked.append(await market.ask(len(asked) + 1))
        await asyncio.sleep(0.04)


async def test_metrics_are_published_about_once_a_second_and_book(fresh_kafka: str, tmp_path: Path) -> None:
    market = Market(fresh_kafka)
    process = Process(fresh_kafka, tmp_path)
    try:
        async with market.open():
            await until("all venues are measured", lambda: len(market.metrics.items) == len(VENUES), process)
            begun, seq = _positions(market), market.seq
            await until("five seconds of books", lambda: market.seq >= seq + 50, process)
            published = _positions(market) - begun
            assert 0 < published <= 6 * len(VENUES) + len(VENUES)
            assert VENUES_METRICS.compacted
    finally:
        process.process.kill()
        process.process.wait()


def _positions(market: Market) -> int:
    return sum(market.metrics.position(partition) for partition in range(4))
