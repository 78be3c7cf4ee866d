from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from libs.common.budgets import budget_of
from libs.common.events import Subscribed
from libs.common.topics import (
    EXECUTION_RECORDS,
    L2_BOOK_DELTAS,
    L2_BOOK_HEALTH,
    L2_SUBSCRIPTIONS,
    L2_TRADES,
    TOPICS,
    book_key,
)
from tests.execution_world import ExecutionWorld
from tests.integration.libs.cli.command import PATIENCE_S, environment, finish, publishing, run, start
from tests.unit.libs.cli.builders import a_delta, a_health, a_keyframe
from tests.unit.libs.cli.test_lines import A_TRADE

if TYPE_CHECKING:
    from libs.common.kafka import Publisher

KEY = book_key("binance", "BTC-USDT")
OTHER = book_key("kraken", "BTC-USDT")  # another venue of the symbol: the same partition


async def publish_a_book(publisher: Publisher) -> None:
    """Publish a LIVE book at seq 3, between messages of another venue's."""
    now = time.time_ns()
    await publisher.send_and_wait(L2_BOOK_DELTAS, KEY, a_delta(7, epoch=1, bids=((1.0, 1.0),)), now)
    await publisher.send_and_wait(L2_BOOK_DELTAS, KEY, a_keyframe(1, received_ts=now), now)
    await publisher.send_and_wait(
        L2_BOOK_DELTAS, OTHER, a_keyframe(1, venue="kraken", bids=((1.0, 1.0),)), now
    )
    await publisher.send_and_wait(
        L2_BOOK_DELTAS, KEY, a_delta(2, bids=((100.25, 4.0),), received_ts=now), now
    )
    await publisher.send_and_wait(L2_BOOK_DELTAS, OTHER, a_delta(2, venue="kraken", bids=((2.0, 1.0),)), now)
    await publisher.send_and_wait(L2_BOOK_DELTAS, KEY, a_delta(3, asks=((100.5, 0.0),), received_ts=now), now)
    await publisher.send_and_wait(L2_BOOK_HEALTH, KEY, a_health(ts=now), now)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_topics_marks_what_is_missing_and_creates_it_when_asked(fresh_kafka: str) -> None:
    before = await run("topics", KAFKA_BOOTSTRAP_SERVERS=fresh_kafka, TOPIC_PARTITIONS="3")
    assert before.code == 0
    assert before.out.count("missing") == len(TOPICS)
    after = await run("topics", "--create", KAFKA_BOOTSTRAP_SERVERS=fresh_kafka, TOPIC_PARTITIONS="3")
    assert (after.code, after.err) == (0, "")
    rows = [line.split() for line in after.out.splitlines()[1:] if not line.startswith(" ")]  # folded
    assert [row[0] for row in rows] == list(TOPICS)
    assert {row[-1] for row in rows} == {"ok"}


async def test_topics_counts_records_and_marks_other_partitions(fresh_kafka: str) -> None:
    async with publishing(fresh_kafka) as publisher:
        for seq in range(1, 6):
            await publisher.send_and_wait(L2_BOOK_DELTAS, KEY, a_delta(seq), time.time_ns())
    shown = await run("topics", KAFKA_BOOTSTRAP_SERVERS=fresh_kafka, TOPIC_PARTITIONS="2")
    row = next(line for line in shown.out.splitlines() if line.startswith(L2_BOOK_DELTAS.name))
    assert re.search(r"BookDelta +8 +5 ", row)
    assert "8 partitions, TOPIC_PARTITIONS is 2" in row


async def test_tail_prints_decoded_messages_of_one_key_without_colour_in_a_pipe(fresh_kafka: str) -> None:
    async with publishing(fresh_kafka) as publisher:
        await publish_a_book(publisher)
    shown = await run(
        *("tail", "book-deltas", "--from", "beginning", "--no-follow", "--key", "binance:btcusdt"),
        KAFKA_BOOTSTRAP_SERVERS=fresh_kafka,
    )
    assert (shown.code, shown.err) == (0, "")
    lines = shown.out.splitlines()
    assert [line.split()[3] for line in lines] == ["BookDelta", "BookSnapshot", "BookDelta", "BookDelta"]
    assert all("binance:BTC-USDT" in line for line in lines)
    assert lines[-1].endswith("ask 100.5 gone")
    assert "\x1b" not in shown.out


async def test_tail_begins_where_it_is_told_and_ends_at_its_limit(fresh_kafka: str) -> None:
    now = time.time_ns()
    async with publishing(fresh_kafka) as publisher:
        for seq in range(1, 11):
            ts = now - (11 - seq) * 60 * 10**9
            await publisher.send_and_wait(L2_BOOK_DELTAS, KEY, a_delta(seq), ts)

    async def seqs(*options: str) -> list[int]:
        arguments = ("tail", "book-deltas", "--json", *options)
        shown = await run(*arguments, KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
        assert (shown.code, shown.err) == (0, "")
        return [json.loads(line)["event"]["seq"] for line in shown.out.splitlines()]

    assert await seqs("--from", "-210s", "--no-follow") == [8, 9, 10]
    assert await seqs("--from", "6", "--no-follow") == [7, 8, 9, 10]
    assert await seqs("--from", "beginning", "--limit", "2") == [1, 2]
    assert await seqs("--from", "end", "--no-follow") == []


async def test_tail_shows_what_cannot_be_decoded_and_goes_on(fresh_kafka: str) -> None:
    async with publishing(fresh_kafka) as publisher:
        # A trade on the topic of deltas is no message of that topic.
        await publisher.send_and_wait(L2_BOOK_DELTAS, KEY, A_TRADE, time.time_ns())
        await publisher.send_and_wait(L2_BOOK_DELTAS, KEY, a_delta(1), time.time_ns())
        await publisher.dead_letter(KEY, b"\xff\xfe", "no JSON", "socket")
    shown = await run(
        *("tail", "book-deltas", "--from", "beginning", "--no-follow"), KAFKA_BOOTSTRAP_SERVERS=fresh_kafka
    )
    assert shown.code == 0
    undecodable, delta = shown.out.splitlines()
    assert "UNDECODABLE" in undecodable
    assert "BookDelta" in delta
    as_json = await run(
        *("tail", "book-deltas", "--from", "beginning", "--limit", "1", "--json"),
        KAFKA_BOOTSTRAP_SERVERS=fresh_kafka,
    )
    assert {"error", "value"} <= json.loads(as_json.out).keys()
    letters = await run(
        *("tail", "dead-letters", "--from", "beginning", "--no-follow"), KAFKA_BOOTSTRAP_SERVERS=fresh_kafka
    )
    assert "no JSON" in letters.out
    assert "\\xff\\xfe" in letters.out


async def test_tail_follows_and_ends_quietly_when_its_reader_has_enough(fresh_kafka: str) -> None:
    async with publishing(fresh_kafka) as publisher:
        await publisher.send_and_wait(L2_TRADES, KEY, A_TRADE, time.time_ns())
        settings = {"KAFKA_BOOTSTRAP_SERVERS": fresh_kafka}
        reading, writing = os.pipe()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "libs.cli", "tail", "trades", "--from", "beginning"),
            env=environment(**settings),
            stdout=writing,
            stderr=asyncio.subprocess.PIPE,
        )
        os.close(writing)
        assert b"Trade" in await asyncio.to_thread(os.read, reading, 4096)
        os.close(reading)
        await publisher.send_and_wait(L2_TRADES, KEY, A_TRADE, time.time_ns())
        ended = await finish(process)
    assert (ended.code, ended.err) == (0, "")


async def test_ctrl_c_ends_tail_without_a_word(fresh_kafka: str) -> None:
    async with publishing(fresh_kafka) as publisher:
        await publisher.send_and_wait(L2_TRADES, KEY, A_TRADE, time.time_ns())
    process = await start("tail", "trades", "--from", "beginning", KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        assert b"Trade" in await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    ended = await finish(process)
    assert (ended.code, ended.err) == (130, "")


async def test_book_once_prints_the_ladder_rebuilt_from_keyframe_and_deltas(fresh_kafka: str) -> None:
    async with publishing(fresh_kafka) as publisher:
        await publish_a_book(publisher)
    shown = await run("book", "binance", "BTCUSDT", "--once", KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
    assert (shown.code, shown.err) == (0, "")
    assert "● LIVE" in shown.out
    rows = [re.findall(r"[\d.]+", line) for line in shown.out.splitlines() if "│" in line]
    assert rows[0] == ["4.00000", "4.00000", "100.25", "101.00", "1.00000", "1.00000"]
    assert rows[1] == ["5.00000", "1.00000", "100.00"]
    assert "seq 3" in shown.out


async def test_book_finds_the_keyframe_of_a_book_that_was_silent_for_an_hour(fresh_kafka: str) -> None:
    hour_ago = time.time_ns() - 3600 * 10**9
    async with publishing(fresh_kafka) as publisher:
        await publisher.send_and_wait(L2_BOOK_DELTAS, KEY, a_keyframe(1, received_ts=hour_ago), hour_ago)
        await publisher.send_and_wait(L2_BOOK_HEALTH, KEY, a_health(ts=hour_ago), hour_ago)
    shown = await run("book", "binance", "BTCUSDT", "--once", KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
    assert "● STALE" in shown.out
    assert "the l2 process is silent" in shown.out
    assert "100.00 │ 100.50" in shown.out


async def test_book_names_the_books_there_are_when_asked_for_another(fresh_kafka: str) -> None:
    async with publishing(fresh_kafka) as publisher:
        await publish_a_book(publisher)
    shown = await run("book", "okx", "ETH-USDT", "--once", KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
    assert (shown.code, shown.out) == (1, "")
    assert shown.err == "bookrunner: no book okx:ETH-USDT on Kafka; there are: binance:BTC-USDT\n"


async def test_a_live_ladder_in_a_terminal_follows_new_deltas(fresh_kafka: str) -> None:
    async with publishing(fresh_kafka) as publisher:
        await publish_a_book(publisher)
        controller, terminal = pty.openpty()
        os.set_blocking(controller, False)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "libs.cli", "book", "binance", "BTCUSDT"),
            env=environment(
                KAFKA_BOOTSTRAP_SERVERS=fresh_kafka, TERM="xterm-256color", COLUMNS="80", LINES="24"
            ),
            stdin=terminal,
            stdout=terminal,
            stderr=asyncio.subprocess.PIPE,
        )
        os.close(terminal)
        seen = await read_terminal(controller, until="100.25")
        assert "LIVE" in seen
        now = time.time_ns()
        delta = a_delta(4, bids=((100.75, 2.0),), received_ts=now)
        await publisher.send_and_wait(L2_BOOK_DELTAS, KEY, delta, now)
        await read_terminal(controller, until="100.75")
        process.send_signal(signal.SIGINT)
        ended = await finish(process)
        os.close(controller)
    assert (ended.code, ended.err) == (130, "")


async def read_terminal(controller: int, until: str) -> str:
    """Return what a terminal was sent, once `until` is in it."""
    loop = asyncio.get_running_loop()
    text = b""
    async with asyncio.timeout(PATIENCE_S):
        while until.encode() not in text:
            readable = asyncio.Event()
            loop.add_reader(controller, readable.set)
            await readable.wait()
            loop.remove_reader(controller)
            text += os.read(controller, 65536)
    return text.decode("utf-8", "replace")


@pytest.mark.parametrize(
    "arguments",
    [
        ["topics"],
        ["tail", "trades"],
        ["book", "binance", "BTCUSDT"],
        ["venues"],
        ["executions"],
        ["verify", "d585da82"],
        ["verify", "d585da82-2fb6-5596-94a2-0296c89596cf"],
        ["portfolio"],
        ["router"],
        ["frontier", "--plot", "/nowhere/frontier.png"],
    ],
    ids=" ".join,
)
async def test_a_kafka_that_is_away_is_one_line_that_names_the_setting(arguments: list[str]) -> None:
    ended = await run(*arguments, KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("bookrunner: Kafka does not answer on 127.0.0.1:")
    assert "KAFKA_BOOTSTRAP_SERVERS" in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["tail", "trades"],
        ["book", "binance", "BTCUSDT"],
        ["venues"],
        ["executions"],
        ["verify", "d585da82"],
        ["portfolio"],
        ["router"],
        ["frontier", "--plot", "/nowhere/frontier.png"],
    ],
    ids=lambda a: a[0],
)
async def test_without_services_every_command_is_one_line_that_says_how_to_start_them(
    arguments: list[str], fresh_kafka: str
) -> None:
    ended = await run(*arguments, KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
    assert (ended.code, ended.out) == (1, "")
    assert "start the services with `make run`" in ended.err
    assert ended.err.count("\n") == 1


async def test_trading_is_halted_though_no_execution_runs(fresh_kafka: str) -> None:
    async with publishing(fresh_kafka):
        ended = await run("halt", "--reason", "prices look wrong", KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
        assert (ended.code, ended.err) == (0, "")
        assert "prices look wrong" in ended.out
        shown = await run("limits", KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
    assert "prices look wrong" in shown.out


async def test_an_execution_is_found_by_any_beginning_of_its_id_that_no_other_has(fresh_kafka: str) -> None:
    ids = ["d585da82-2fb6-5596-94a2-0296c89596cf", "d585da82-ffff-5596-94a2-0296c89596cf"]
    async with publishing(fresh_kafka) as publisher:
        world = ExecutionWorld()
        world.ready()
        one = world.execute("one")
        world.finish()
        ended = world.records[one]
        for identifier in ids:
            record = msgspec.structs.replace(ended, execution_id=identifier)
            await publisher.send_and_wait(EXECUTION_RECORDS, identifier.encode(), record, time.time_ns())
    ambiguous = await run("verify", "d585", KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
    assert (ambiguous.code, ambiguous.out) == (2, "")
    assert all(identifier in ambiguous.err for identifier in ids)
    found = await run("verify", "d585da82-f", KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
    assert found.out == f"{ids[1]}: no entry of it on execution.audit.v1\n"
    tail = ("tail", "records", "--from", "beginning", "--no-follow", "--json", "--key", "d585da82-2")
    shown = await run(*tail, KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
    assert [json.loads(line)["key"] for line in shown.out.splitlines()] == [ids[0]]


async def test_a_gateway_that_is_away_is_one_line_that_names_the_setting() -> None:
    ended = await run("ask", "router/choose", "{}", GATEWAY_PORT=str(free_port()))
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("bookrunner: the gateway does not answer on 127.0.0.1:")
    assert ended.err.count("\n") == 1


async def test_doctor_says_how_to_start_when_nothing_runs() -> None:
    ended = await run(
        "doctor",
        KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}",
        GATEWAY_PORT=str(free_port()),
        SIMULATOR_PORT=str(free_port()),
    )
    assert ended.err == ""
    for name in ("kafka", "simulator", "gateway"):
        assert re.search(rf"! warn  {name} .*not started\n.*make run", ended.out)


async def test_doctor_fails_for_what_is_missing_beside_a_kafka_that_runs(fresh_kafka: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        ended = await run(
            "doctor",
            KAFKA_BOOTSTRAP_SERVERS=fresh_kafka,
            GATEWAY_PORT=str(stranger.getsockname()[1]),
            SIMULATOR_PORT=str(free_port()),
        )
    assert ended.code == 1
    assert "✓ ok    kafka" in ended.out
    assert re.search(r"✗ fail  topics .*missing", ended.out)
    assert re.search(r"✗ fail  simulator .*though other parts run", ended.out)
    assert re.search(r"✗ fail  gateway .*something else listens", ended.out)


async def test_doctor_names_a_topic_that_has_outgrown_its_budget(fresh_kafka: str) -> None:
    def about_budgets(out: str) -> str:
        return "\n".join(re.findall(r"^.* budgets .*\n.*$", out, re.MULTILINE))

    ports = {"GATEWAY_PORT": str(free_port()), "SIMULATOR_PORT": str(free_port())}
    async with publishing(fresh_kafka) as publisher:
        before = await run("doctor", KAFKA_BOOTSTRAP_SERVERS=fresh_kafka, **ports)
        assert "✓ ok    budgets      no topic is over its own" in about_budgets(before.out)
        noise = np.random.Generator(np.random.Philox(1)).bytes(2 * budget_of(L2_SUBSCRIPTIONS).bytes)
        wish = Subscribed(venue="binance", symbol=noise.hex(), requested_ts=1, source="request")
        await publisher.send_and_wait(L2_SUBSCRIPTIONS, KEY, wish, time.time_ns())
    after = await run("doctor", KAFKA_BOOTSTRAP_SERVERS=fresh_kafka, **ports)
    told = about_budgets(after.out)
    assert "! warn  budgets      l2.subscriptions.v1 takes " in told
    assert "→ docs/operations.md#topicoverbudget" in told
    listed = await run("topics", KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
    row = next(line for line in listed.out.splitlines() if line.startswith(L2_SUBSCRIPTIONS.name))
    share = re.search(r" (\d+)%", row)
    assert share is not None
    assert int(share[1]) > 100
