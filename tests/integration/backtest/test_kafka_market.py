"""What a running system has on Kafka is a market: taken into the run's folder, and traded from there."""

from __future__ import annotations

import asyncio
import shlex
import time
from typing import TYPE_CHECKING, Any

import msgspec

from backtest.command.request import iso
from backtest.command.summary import Summary
from libs.common.time_units import DAY_NS, MINUTE_NS
from libs.common.topics import L2_BOOK_DELTAS, L2_CANDLES, L2_CANDLES_DAILY, L2_TRADES, book_key, candle_key
from tests.history_market import SYMBOL, a_market, candles_of, trades_of
from tests.integration.libs.cli.command import publishing, start

if TYPE_CHECKING:
    from pathlib import Path


async def ran(*arguments: str, **settings: str) -> None:
    process = await start("backtest", *arguments, **settings)
    async with asyncio.timeout(150):
        _, err = await process.communicate()
    assert process.returncode == 0, (err or b"").decode()


def decided(folder: Path) -> Any:
    summary = msgspec.json.decode((folder / "summary.json").read_bytes(), type=Summary)
    assert summary.performance.counts.decisions > 0
    return summary


async def test_what_kafka_has_is_traded_on_and_kept_for_another_run(fresh_kafka: str, tmp_path: Path) -> None:
    begin = (
        time.time_ns() // MINUTE_NS * MINUTE_NS - 30 * MINUTE_NS
    )  # Kafka drops what is older than it keeps
    told = a_market(200, begin=begin, step_ns=MINUTE_NS // 60, epoch_every=1000)
    days = candles_of(begin // DAY_NS * DAY_NS - 25 * DAY_NS, 25, "1d")
    async with publishing(fresh_kafka) as publisher:
        for candle in days:
            for topic in (L2_CANDLES, L2_CANDLES_DAILY):
                await publisher.send(topic, candle_key(candle), candle, begin)
        for event in told.events:
            key = book_key("binance", SYMBOL)
            await publisher.send(L2_BOOK_DELTAS, key, event, event.received_ts)
        for trade in trades_of(told):
            await publisher.send(L2_TRADES, book_key("binance", SYMBOL), trade, trade.received_ts)
    stretch = ("--from", iso(begin + 2 * MINUTE_NS // 60), "--to", "+2m", "--interval", "20s")
    out = tmp_path / "run"
    await ran("--kafka", *stretch, "--out", str(out), KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
    first = decided(out)
    assert (first.market.fidelity, first.market.synthetic) == ("topics", False)
    assert first.market.books == (f"binance:{SYMBOL}",)
    again = shlex.split(first.command)
    assert again[:4] == ["bookrunner", "backtest", "--data", str(out / "data")]
    await ran(*again[2:], "--out", str(tmp_path / "again"))
    assert decided(tmp_path / "again") == first
