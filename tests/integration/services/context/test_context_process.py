"""The context service as a process of its own, between a real Kafka and a host that fails."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import pytest

from libs.common.events import ContextInput, ContextSource, ServiceStatus, SourceState, Subscribed
from libs.common.kafka import Publisher, create_topics
from libs.common.settings import ServiceSettings
from libs.common.told import input_fault
from libs.common.topics import (
    CONTEXT_INPUTS,
    CONTEXT_SOURCES,
    L2_SUBSCRIPTIONS,
    SERVICES_STATUS,
    book_key,
    input_key,
)
from libs.common.views import View
from services.context.sources import LIVE
from tests.context_host import context_host
from tests.following import follow_for_ever

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from libs.common.kafka import Undecodable

pytestmark = pytest.mark.timeout(120)
PATIENCE_S = 20.0


@contextmanager
def context_process(kafka: str, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    known = {"KAFKA_BOOTSTRAP_SERVERS": kafka, "TOPIC_PARTITIONS": "2", "CONTEXT_PACE": "0.03"}
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.context"],
            env=os.environ | known | environment,
            stdout=out,
            stderr=out,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)


class Log:
    """What the service says, folded from its topics."""

    def __init__(self) -> None:
        self.inputs: View[ContextInput] = View(CONTEXT_INPUTS)
        self.sources: View[ContextSource] = View(CONTEXT_SOURCES)
        self.statuses: View[ServiceStatus] = View(SERVICES_STATUS)

    def said(self, symbol: str, name: str) -> ContextInput | None:
        """Return an input that may be used now."""
        told = self.inputs.items.get(input_key(symbol, name))
        return told if input_fault(told, time.time_ns()) == "" else None

    def by(self, symbol: str, name: str) -> str:
        told = self.said(symbol, name)
        return "" if told is None else told.source

    def state(self, source: str) -> SourceState | None:
        told = self.sources.items.get(source.encode())
        return None if told is None else told.state


@asynccontextmanager
async def followed(settings: ServiceSettings) -> AsyncIterator[tuple[Log, Publisher]]:
    log = Log()

    async def refuse(undecodable: Undecodable) -> None:
        raise AssertionError(undecodable.reason)

    await create_topics(settings, (L2_SUBSCRIPTIONS, CONTEXT_INPUTS, CONTEXT_SOURCES, SERVICES_STATUS))
    views = (log.inputs, log.sources, log.statuses)
    async with Publisher(settings) as publisher:
        following = asyncio.create_task(follow_for_ever(settings, views, on_undecodable=refuse))
        yield log, publisher
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def written(log: Path) -> str:
    return log.read_text()


async def until(what: str, holds: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert process.poll() is None, written(log)
        assert time.monotonic() < end, f"not in time: {what}\n{written(log)}"
        await asyncio.sleep(0.02)


async def subscribe(publisher: Publisher, symbol: str) -> None:
    wish = Subscribed(venue="binance", symbol=symbol, requested_ts=time.time_ns())
    await publisher.send_and_wait(L2_SUBSCRIPTIONS, book_key("binance", symbol), wish, time.time_ns())


async def test_inputs_come_from_the_preferred_source_and_from_the_next_while_it_fails(
    fresh_kafka: str, tmp_path: Path
) -> None:
    settings = ServiceSettings(kafka_bootstrap_servers=fresh_kafka, topic_partitions=2)
    path = tmp_path / "context.log"
    async with context_host() as host, followed(settings) as (log, publisher):
        await subscribe(publisher, "BTC-USDT")
        left = ContextSource(
            source="gone", names=("rr25",), state=SourceState.FRESH, next_ts=0, ts=time.time_ns()
        )
        await publisher.send_and_wait(CONTEXT_SOURCES, b"gone", left, time.time_ns())
        hosts = ",".join(f"{name}={host.url}" for name in LIVE)
        environment = {"CONTEXT_HOSTS": hosts, "CONTEXT_SOURCES": ",".join((*LIVE, "stub")), "FEED": "live"}
        with context_process(fresh_kafka, path, **environment) as process:

            async def comes(what: str, holds: Callable[[], bool]) -> None:
                await until(what, holds, process, path)

            expected = {
                ("BTC-USDT", "fundingRate"): "binance-usdm",
                ("BTC-USDT", "basisBps"): "binance-usdm",
                ("BTC-USDT", "rr25"): "deribit",
                ("BTC-USDT", "atmVol"): "deribit",
                ("BTC-USDT", "termSlope"): "deribit",
                ("BTC-USDT", "onchain"): "blockchain-info",
                ("BTC-USDT", "sentiment"): "binance-ratio",
                ("*", "sentiment"): "fear-greed",
            }
            await comes("all inputs", lambda: {key: log.by(*key) for key in expected} == expected)
            await comes(
                "every source is fresh", lambda: {log.state(name) for name in LIVE} == {SourceState.FRESH}
            )
            assert b"gone" not in log.sources.items
            assert (said := log.said("BTC-USDT", "fundingRate")) is not None
            assert said.value == 0.0001
            assert (said := log.said("BTC-USDT", "basisBps")) is not None
            assert said.value == pytest.approx(100.0)

            await subscribe(publisher, "ETH-USDT")
            await comes("a new symbol's funding", lambda: log.by("ETH-USDT", "fundingRate") == "binance-usdm")
            assert (said := log.said("ETH-USDT", "fundingRate")) is not None
            assert said.value == pytest.approx(0.0002)  # of 4 h

            for fault, state in (
                ("broken", SourceState.FAILING),
                ("html", SourceState.FAILING),
                ("old", SourceState.STALE),
            ):
                host.faults["/fapi/v1/premiumIndex"] = fault
                await comes(f"{fault}: okx", lambda: log.by("BTC-USDT", "fundingRate") == "okx")
                await comes(f"{fault}: told", lambda s=state: log.state("binance-usdm") is s)  # type: ignore[misc]  # a bound value
                assert log.sources.items[b"binance-usdm"].reason != ""
                others = {log.state(name) for name in LIVE if name != "binance-usdm"}
                assert others == {SourceState.FRESH}
                host.faults.clear()
                await comes("binance again", lambda: log.by("BTC-USDT", "fundingRate") == "binance-usdm")

            told = log.sources.items[b"binance-usdm"]
            assert told.failures >= 3
            assert told.answered_ts is not None
            (status,) = log.statuses.items.values()
            assert (status.service, status.instance) == ("context", "0")

            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 20) == 0, written(path)
            end = time.monotonic() + PATIENCE_S
            while log.sources.items or log.statuses.items:
                assert time.monotonic() < end, "states that outlive their process"
                await asyncio.sleep(0.02)


async def test_a_replay_has_the_stub_alone_and_says_so(fresh_kafka: str, tmp_path: Path) -> None:
    settings = ServiceSettings(kafka_bootstrap_servers=fresh_kafka, topic_partitions=2)
    path = tmp_path / "context.log"
    async with followed(settings) as (log, publisher):
        await subscribe(publisher, "SOL-USDT")
        with context_process(fresh_kafka, path, FEED="replay:a.gz") as process:
            await until("a stub", lambda: log.by("SOL-USDT", "onchain") == "stub", process, path)
            await until("the other", lambda: log.by("SOL-USDT", "sentiment") == "stub", process, path)
            await until("its state", lambda: log.sources.items.keys() == {b"stub"}, process, path)


async def test_what_somebody_else_says_is_not_written_over_until_it_ends(
    fresh_kafka: str, tmp_path: Path
) -> None:
    settings = ServiceSettings(kafka_bootstrap_servers=fresh_kafka, topic_partitions=2)
    path = tmp_path / "context.log"
    async with followed(settings) as (log, publisher):
        await subscribe(publisher, "SOL-USDT")
        with context_process(fresh_kafka, path, FEED="replay:a.gz") as process:
            await until("a stub", lambda: log.by("SOL-USDT", "sentiment") == "stub", process, path)
            now = time.time_ns()
            theirs = ContextInput(
                symbol="SOL-USDT",
                name="sentiment",
                value=0.5,
                source="desk",
                ts=now,
                valid_until_ts=now + 3 * 10**9,
            )
            key = input_key("SOL-USDT", "sentiment")
            await publisher.send_and_wait(CONTEXT_INPUTS, key, theirs, now)
            await until("theirs", lambda: log.by("SOL-USDT", "sentiment") == "desk", process, path)
            seen = set()
            while time.time_ns() < theirs.valid_until_ts - 2 * 10**8:  # some polls of the stub
                seen.add(log.by("SOL-USDT", "sentiment"))
                await asyncio.sleep(0.02)
            assert seen == {"desk"}
            assert log.by("SOL-USDT", "onchain") == "stub"
            await until("ours again", lambda: log.by("SOL-USDT", "sentiment") == "stub", process, path)
