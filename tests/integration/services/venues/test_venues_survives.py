"""The venues service on a real broker, killed with SIGKILL while it is asked."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from libs.common.events import CommandRejected, Refusal, ServiceState, VenueScored
from libs.common.kafka import partition_of, read
from libs.common.topics import DEAD_LETTERS, VENUES_METRICS, book_key
from services.venues.tables import TELL_S
from tests.venues_running import PARTITIONS, VENUES, Market, Process, refuse, until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KILLS = 6
SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "ADA-USDT")  # partitions 2 and others; no book but BTC's
LIFE_S = 4.0  # start to recovered takes about 3 s
BINANCE = book_key("binance", "BTC-USDT")


@pytest.mark.parametrize("module", ["services.venues", "tests.venues_slow_seek"])
async def test_every_command_is_answered_alike_over_kills_and_the_registry_keeps_its_history(
    fresh_kafka: str, tmp_path: Path, module: str
) -> None:
    market = Market(fresh_kafka)
    process = Process(fresh_kafka, tmp_path, module)
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


@pytest.mark.parametrize("module", ["services.venues", "tests.venues_slow_seek"])
async def test_a_second_process_shares_the_work_and_its_death_loses_no_command(
    fresh_kafka: str, tmp_path: Path, module: str
) -> None:
    market = Market(fresh_kafka)
    first = Process(fresh_kafka, tmp_path, module)
    second: Process | None = None
    try:
        async with market.open():
            opening = await market.ask(0)
            await until("the first answer", lambda: opening in market.answers, first)
            asked: list[str] = []
            asking = asyncio.create_task(_ask_for_ever(market, asked, SYMBOLS))
            second = Process(fresh_kafka, tmp_path, instance="1")
            await until("the second one answers too", lambda: '"scored"' in second.log.read_text(), second)
            second.process.kill()
            second.process.wait()
            dead = len(asked)
            await until("later commands are answered", lambda: dead < _answered(asked, market), first)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await until("every command is answered", lambda: set(asked) <= market.answers.keys(), first)
            assert all(len({record.value for record in each}) == 1 for each in market.answers.values())
    finally:
        for process in (first, second):
            if process is not None:
                process.process.kill()
                process.process.wait()


async def test_answers_go_where_they_are_wanted_and_nonsense_to_the_dead_letters(
    fresh_kafka: str, tmp_path: Path
) -> None:
    market = Market(fresh_kafka)
    process = Process(fresh_kafka, tmp_path)
    try:
        async with market.open():
            await market.ask_nonsense()
            plain = await market.ask(1)
            elsewhere = await market.ask(2, reply_key="saga-7")
            await until("both are answered", lambda: {plain, elsewhere} <= market.answers.keys(), process)
            assert market.answers[plain][0].partition == partition_of(b"BTC-USDT", PARTITIONS)
            assert market.answers[elsewhere][0].partition == partition_of(b"saga-7", PARTITIONS)
            assert partition_of(b"saga-7", PARTITIONS) != partition_of(b"BTC-USDT", PARTITIONS)
            assert {market.answers[each][0].key for each in (plain, elsewhere)} == {b"BTC-USDT"}
            letters = [
                record
                async for batch in read(
                    market.settings, [DEAD_LETTERS], on_undecodable=refuse, stop_at_end=True
                )
                for record in batch
            ]
            assert [dict(letter.headers)["source"][:20] for letter in letters] == [b"venues.commands.v1/2"]
            await market.fill()
            metrics = market.metrics.items
            await until(
                "the fill is counted", lambda: BINANCE in metrics and metrics[BINANCE].fills == 1, process
            )
            assert metrics[BINANCE].slippage_bps == pytest.approx(1.0)
        assert process.stop() == 0, process.log.read_text()[-3000:]
    finally:
        process.process.kill()
        process.process.wait()


async def test_records_as_long_as_kafka_takes_them_are_refused_and_kept(
    fresh_kafka: str, tmp_path: Path
) -> None:
    market = Market(fresh_kafka)
    process = Process(fresh_kafka, tmp_path)
    try:
        async with market.open():
            await market.ask_garbage(b"g" * 1_040_000)
            long = await market.ask(1, symbol="S" * 510_000)
            await until("it is refused", lambda: long in market.answers, process)
            answer = msgspec.msgpack.decode(market.answers[long][0].value or b"", type=CommandRejected)
            assert (answer.refusal, len(answer.key)) == (Refusal.INVALID, 256)
            after = await market.ask(2)
            await until("the next one is answered", lambda: after in market.answers, process)
            letters = [
                record
                async for batch in read(
                    market.settings, [DEAD_LETTERS], on_undecodable=refuse, stop_at_end=True
                )
                for record in batch
            ]
            assert [len(letter.value or b"") for letter in letters] == [1_040_000]
        assert process.stop() == 0, process.log.read_text()[-3000:]
    finally:
        process.process.kill()
        process.process.wait()


def _answered(asked: list[str], market: Market) -> int:
    return sum(command in market.answers for command in asked)


async def _ask_for_ever(market: Market, asked: list[str], symbols: Sequence[str] = ("BTC-USDT",)) -> None:
    while True:
        symbol = symbols[len(asked) % len(symbols)]
        asked.append(await market.ask(len(asked) + 1, symbol))
        await asyncio.sleep(0.04)


async def test_the_windows_of_lags_come_back_after_a_kill(fresh_kafka: str, tmp_path: Path) -> None:
    market = Market(fresh_kafka)
    process = Process(fresh_kafka, tmp_path)
    metrics = market.metrics.items
    try:
        async with market.open():
            await until(
                "the lag is measured",
                lambda: BINANCE in metrics and metrics[BINANCE].clock_offset_ms == 5.0,
                process,
            )
            market.lag_ms = 9.0
            await until("greater lags too", lambda: metrics[BINANCE].latency_p99_ms == 4.0, process)
            told_s = time.monotonic() + TELL_S + 2.0
            await until("their changelog has them", lambda: time.monotonic() > told_s, process)
            market.lag_ms = None
            process.kill_and_restart()
            killed = time.time_ns()
            await until("it is back", lambda: metrics[BINANCE].ts > killed, process)
            assert metrics[BINANCE].clock_offset_ms == 5.0
            assert metrics[BINANCE].latency_p99_ms == 4.0
    finally:
        process.process.kill()
        process.process.wait()


async def test_it_is_ready_once_it_has_read_what_was_there_however_clocks_differ(
    fresh_kafka: str, tmp_path: Path
) -> None:
    market = Market(fresh_kafka)
    market.behind_ns = 2_000_000_000
    async with market.open():
        process = Process(fresh_kafka, tmp_path)

        def says_ready() -> bool:
            return any(status.state is ServiceState.READY for status in market.statuses.items.values())

        try:
            await until("it is ready", says_ready, process)
            assert len(market.metrics.items) == len(VENUES)
        finally:
            process.process.kill()
            process.process.wait()


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
