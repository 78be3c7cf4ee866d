"""`bookrunner policy`: from an empty folder to a signal on Kafka, and what a broken policy shows."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from libs.common.events import BookTop, Candle, Features, PolicyRegistered, PolicySignalled, PolicyState
from libs.common.time_units import MINUTE_NS
from libs.common.topics import (
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    L2_CANDLES,
    POLICIES_REGISTRY,
    POLICIES_SIGNALS,
    candle_key,
    signal_key,
)
from tests.integration.libs.cli.command import finish, publishing, run, start
from tests.unit.libs.cli.builders import ASKS, BIDS, EPOCH, a_health

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from libs.common.kafka import Publisher

pytestmark = pytest.mark.timeout(150)

KEY = b"binance:BTC-USDT"
BROKEN = """
from bookrunner import Policy


def signal(market):
    return 1 / 0


POLICY = Policy(signal=signal, summary="divides by nothing")
"""
FEATURES = Features(
    mid=100.25,
    microprice=100.25,
    spread_bps=50.0,
    obi=0.0,
    depth_bid=1.0,
    depth_ask=1.0,
    depth_truncated=False,
)


async def tell_book(publisher: Publisher, seq: int) -> None:
    now = time.time_ns()
    top = BookTop(
        venue="binance",
        symbol="BTC-USDT",
        epoch=EPOCH,
        seq=seq,
        venue_seq=None,
        bids=BIDS,
        asks=ASKS,
        features=FEATURES,
        venue_ts=None,
        received_ts=now,
    )
    await publisher.send_and_wait(L2_BOOK_TOPS, KEY, top, now)
    await publisher.send_and_wait(L2_BOOK_HEALTH, KEY, a_health(ts=now), now)


async def tell_minutes(publisher: Publisher, count: int) -> None:
    """Publish closed minutes up to now, whose price rises by a hundredth of a percent each."""
    begin = time.time_ns() // MINUTE_NS * MINUTE_NS - count * MINUTE_NS
    for n in range(count):
        price = 100.0 * 1.0001**n * (1.001 if n % 2 else 1.0)
        candle = Candle(
            venue="binance",
            symbol="BTC-USDT",
            interval="1m",
            open_ts=begin + n * MINUTE_NS,
            open=price,
            high=price,
            low=price,
            close=price,
            volume=1.0,
            trades=1,
            closed=True,
        )
        await publisher.send_and_wait(L2_CANDLES, candle_key(candle), candle, candle.open_ts + MINUTE_NS)


@asynccontextmanager
async def market(kafka: str) -> AsyncIterator[None]:
    async with publishing(kafka) as publisher:
        await tell_minutes(publisher, 40)

        async def beat() -> None:
            seq = 0
            while True:
                seq += 1
                await tell_book(publisher, seq)
                await asyncio.sleep(0.5)

        beating = asyncio.create_task(beat())
        try:
            yield
        finally:
            beating.cancel()


async def lines_until(process: asyncio.subprocess.Process, *said: str) -> str:
    """Return what a command prints until all of this has been said."""
    assert process.stdout is not None
    printed = ""
    async with asyncio.timeout(60):
        while not all(each in printed for each in said):
            line = await process.stdout.readline()
            if not line:
                raise AssertionError(f"it ended, and had said {printed}; {await finish(process)}")
            printed += line.decode()
    return printed


async def test_three_commands_from_an_empty_folder_to_a_signal(fresh_kafka: str, tmp_path: Path) -> None:
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": fresh_kafka,
        "RUN_DIR": str(tmp_path / "none"),
        "POLICIES_DIR": str(tmp_path / "own"),
    }
    made = await run("policy", "new", "mine", **settings)
    assert made.code == 0, made
    assert (tmp_path / "own" / "test_mine.py").is_file()
    checked = await run("policy", "check", "mine", **settings)
    assert checked.code == 0, checked
    async with market(fresh_kafka):
        hosting = await start("policy", "run", **settings)
        try:
            said = await lines_until(hosting, "runs; default may choose it", "BTC-USDT +")
            assert said.startswith(f"hosting mine of {tmp_path / 'own'} on Kafka at {fresh_kafka}; Ctrl-C")
            assert "standard deviations in 30 minutes" in said
            listed = await run("policy", "list", **settings)
            assert listed.code == 0, listed
            (row,) = (line for line in listed.out.splitlines() if line.startswith("mine "))
            assert " user " in row
            assert " running " in row
            assert " mine.py " in row
            assert "BTC-USDT +" in row
            assert "not used" not in row
            (tmp_path / "own" / "broken.py").write_text(BROKEN)
            faulty = await lines_until(
                hosting, "broken  is quarantined: ", "ZeroDivisionError", "return 1 / 0"
            )
            assert 'broken.py", line 6' in faulty
            shown = await run("policy", "list", "broken", **settings)
            assert "quarantined" in shown.out
            assert "    return 1 / 0" in shown.out
        finally:
            with suppress(ProcessLookupError):
                hosting.send_signal(signal.SIGTERM)
            ended = await finish(hosting)
        assert ended.code == 0, ended
    assert "mine  is registered no more" in ended.out
    assert ended.out.endswith("stopped: nothing of it is hosted any more\n")
    gone = await run("policy", "list", **settings)
    assert gone.code == 1
    assert "no policy is registered" in gone.err


async def test_only_the_policies_named_are_hosted(fresh_kafka: str, tmp_path: Path) -> None:
    settings = {"KAFKA_BOOTSTRAP_SERVERS": fresh_kafka, "RUN_DIR": str(tmp_path / "none")}
    for name in ("one", "two"):
        await run("policy", "new", name, "--folder", str(tmp_path / "own"), **settings)
    async with market(fresh_kafka):
        hosting = await start("policy", "run", "two", "--folder", str(tmp_path / "own"), **settings)
        try:
            await lines_until(hosting, "two  version", "BTC-USDT +")
            listed = await run("policy", "list", **settings)
            assert [line.split()[0] for line in listed.out.splitlines()[2:]] == ["two"]
        finally:
            with suppress(ProcessLookupError):
                hosting.send_signal(signal.SIGINT)
            ended = await finish(hosting)
    assert ended.code == 130, ended


async def test_the_list_says_of_each_signal_whether_it_is_used_and_of_a_fault_its_first_line(
    fresh_kafka: str,
) -> None:
    now = time.time_ns()

    def a_policy(policy_id: str, kind: str = "user", **changes: object) -> PolicyRegistered:
        fields: dict[str, object] = {"kind": kind, "summary": "of a test", "version": "0123456789ab"}
        return PolicyRegistered(policy_id=policy_id, **fields | changes)  # type: ignore[arg-type]  # by name

    def a_signal(policy_id: str, symbol: str, valid_s: int, version: str = "") -> PolicySignalled:
        return PolicySignalled(
            policy_id=policy_id,
            symbol=symbol,
            value=-0.25,
            reason="of a test",
            inputs_ts=now - 10 * 10**9,
            valid_until_ts=now + valid_s * 10**9,
            version=version,
        )

    policies = [
        a_policy("p_sma", "builtin"),
        a_policy("fresh"),
        a_policy("quiet"),
        a_policy("old"),
        a_policy("gone"),
        a_policy("x_desk", "external", version="outside"),
        a_policy("bad", state=PolicyState.QUARANTINED, fault="it raised ValueError\n  File bad.py, line 3"),
    ]
    signals = [
        a_signal("fresh", "BTC-USDT", 600, "0123456789ab"),
        a_signal("fresh", "ETH-USDT", -3, "0123456789ab"),
        a_signal("old", "BTC-USDT", 600, "ba9876543210"),
        a_signal("x_desk", "BTC-USDT", 600),
    ]
    async with publishing(fresh_kafka) as publisher:
        for policy in policies:
            await publisher.send_and_wait(POLICIES_REGISTRY, policy.policy_id.encode(), policy, now)
        await publisher.send_and_wait(POLICIES_REGISTRY, b"gone", None, now)
        for each in signals:
            key = signal_key(each.policy_id, each.symbol)
            await publisher.send_and_wait(POLICIES_SIGNALS, key, each, now)
    listed = await run("policy", "list", KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
    assert listed.code == 0, listed
    text = listed.out
    ids = [line.split()[0] for line in text.splitlines()[2:] if line and not line.startswith(" ")]
    assert ids == ["bad", "fresh", "old", "quiet", "x_desk", "p_sma", "the"]
    assert re.search(r"BTC-USDT -0\.250 \d+ s old, for \d{3} s more  of a test", text)
    assert re.search(r"ETH-USDT -0\.250 \d+ s old, not used: the signal expired", text)
    assert "not used: the signal is of version ba9876543210, the policy is 0123456789ab" in text
    assert "it has said nothing yet" in text
    assert "it raised ValueError" in text
    assert "line 3" not in text
    assert "the whole fault: bookrunner policy list bad" in text
    shown = await run("policy", "list", "bad", KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
    assert "      File bad.py, line 3" in shown.out
    unknown = await run("policy", "list", "nobody", KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
    assert (unknown.code, unknown.out) == (1, "")
    assert "no policy is called 'nobody'; there are: " in unknown.err


async def test_no_kafka_and_no_policy_are_said_in_a_line(tmp_path: Path) -> None:
    settings = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "RUN_DIR": str(tmp_path / "none")}
    folder = ("--folder", str(tmp_path))
    empty = await run("policy", "run", *folder, **settings)
    assert (empty.code, empty.err.count("\n")) == (1, 1)
    assert "there is no policy in" in empty.err
    absent = await run("policy", "run", "--folder", str(tmp_path / "none"), **settings)
    assert "cannot be read: No such file or directory; `bookrunner policy new mine` makes one" in absent.err
    await run("policy", "new", "mine", *folder, **settings)
    away = await run("policy", "run", *folder, **settings)
    assert (away.code, away.err.count("\n")) == (1, 1)
    assert "Kafka does not answer on 127.0.0.1:9" in away.err
