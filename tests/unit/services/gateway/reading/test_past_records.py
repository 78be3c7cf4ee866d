from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from hypothesis import given
from hypothesis import strategies as st

from libs.common.codec import encode
from libs.common.events import Trade, VenueScored
from libs.common.kafka import MissingTopicError, partition_of
from libs.common.topics import L2_BOOK_TOPS, L2_TRADES, VENUES_METRICS, VENUES_SCORES
from services.gateway.reading.record_history import Newest, Stretch
from services.gateway.stream.sse import json_ready
from tests.full_valued import full
from tests.unit.services.gateway.http.test_api import assert_problem
from tests.unit.services.gateway.topic_logs import InMemoryTopicLogs
from tests.unit.services.gateway.world import NOW, World

NOW_MS = NOW // 1_000_000
TRADE = full(Trade)
KEY = b"binance:BTC-USDT"
ROUTE = f"/api/records/{L2_TRADES.name}"


def a_gateway(trades: int = 0, step_ms: int = 1000, **settings: Any) -> World:
    """Return a gateway with so many trades, the newest of now."""
    world = World(**settings)
    for number in range(trades):
        world.topics.append(L2_TRADES, KEY, encode(TRADE), NOW_MS - (trades - 1 - number) * step_ms)
    return world


async def ids(world: World, query: str = "", route: str = ROUTE) -> list[tuple[int, int]]:
    """Return partition and offset of each record that is answered."""
    answer = await world.ask(route + query)
    assert answer.status == 200, answer.body
    places = [each["id"].split(":") for each in answer.json()]
    return [(int(partition), int(offset)) for _, partition, offset in places]


async def test_a_record_is_told_as_the_stream_tells_it_with_what_kafka_keeps_of_it() -> None:
    world = a_gateway(3)
    headers = [("ce_id", b"7"), ("ce_time", "é".encode()), ("odd", b"\xff")]
    offset = world.topics.append(L2_TRADES, KEY, encode(TRADE), 1_700_000_000_123, 5, headers)
    answer = await world.ask(f"{ROUTE}/5/{offset}")
    assert answer.json() == {
        "topic": L2_TRADES.name,
        "partition": 5,
        "offset": offset,
        "id": f"{L2_TRADES.name}:5:{offset}",
        "timestamp": 1_700_000_000_123,
        "key": "binance:BTC-USDT",
        "headers": {"ce_id": "7", "ce_time": "é", "odd": "�"},
        "data": json_ready(TRADE),
    }
    assert world.topics.opened == [(L2_TRADES.name, (5,))]
    assert world.topics.reads == [(5, offset)]


async def test_what_is_deleted_or_no_message_is_told_as_the_stream_tells_it() -> None:
    world = a_gateway()
    deleted = world.topics.append(L2_BOOK_TOPS, KEY, None, NOW_MS)
    rubbish = world.topics.append(L2_BOOK_TOPS, None, b"\xc1", NOW_MS)
    route = f"/api/records/{L2_BOOK_TOPS.name}"
    told = (await world.ask(f"{route}/0/{deleted}")).json()
    assert told["data"] == {"type": "Tombstone", "key": "binance:BTC-USDT"}
    told = (await world.ask(f"{route}/0/{rubbish}")).json()
    assert (told["key"], told["data"]["type"]) == ("", "Undecodable")
    assert told["data"]["reason"]
    kinds = [each["data"]["type"] for each in (await world.ask(route)).json()]
    assert kinds == ["Tombstone", "Undecodable"]


@pytest.mark.parametrize(
    ("place", "said"),
    [("0/2", "no longer there"), ("0/9", "not yet there"), ("0/5", "compacted away")],
)
async def test_a_place_where_nothing_stands_is_404_with_what_is_kept(place: str, said: str) -> None:
    world = World()
    world.topics.begins[L2_TRADES.name, 0] = 4
    for _ in range(4):
        world.topics.append(L2_TRADES, KEY, encode(TRADE), NOW_MS)
    del world.topics.records[L2_TRADES.name, 0][5]
    problem = assert_problem(await world.ask(f"{ROUTE}/{place}"), 404, "no-record")
    assert said in problem["detail"]
    assert problem["kept"] == {"from": 4, "to": 7}


async def test_an_empty_or_missing_partition_keeps_nothing() -> None:
    world = World()
    for partition, said in ((1, "Nothing is kept"), (8, "it has 0 to 7"), (2**31 - 1, "it has 0 to 7")):
        problem = assert_problem(await world.ask(f"{ROUTE}/{partition}/0"), 404, "no-record")
        assert said in problem["detail"]
        assert problem.get("kept") is None


@pytest.mark.parametrize(
    "topic", ["router.state.v1", "gateway.idempotency.v1", "dead-letters.v1", "l2.trades"]
)
async def test_a_topic_that_is_not_streamed_is_404_with_those_that_are(topic: str) -> None:
    world = World()
    for route in (f"/api/records/{topic}", f"/api/records/{topic}/0/0"):
        assert "l2.trades.v1" in assert_problem(await world.ask(route), 404, "unknown-topic")["detail"]
    assert world.topics.opened == []


@pytest.mark.parametrize(
    ("route", "field"),
    [
        (f"{ROUTE}/x/0", "partition"),
        (f"{ROUTE}/0/-1", "offset"),
        (f"{ROUTE}/0/{2**63}", "offset"),
        (f"{ROUTE}?limit=5001", "limit"),
        (f"{ROUTE}?limit=0", "limit"),
        (f"{ROUTE}?every=0s", "every"),
        (f"{ROUTE}?every=5", "every"),
        (f"{ROUTE}?from=tomorrow", "from"),
        (f"{ROUTE}?from=-1m&to=-2m", "from"),
        (f"{ROUTE}?to={NOW_MS + 60_000}", "to"),
    ],
)
async def test_what_cannot_be_meant_is_422_and_opens_nothing(route: str, field: str) -> None:
    world = World()
    errors = assert_problem(await world.ask(route), 422, "invalid")["errors"]
    assert [each["field"] for each in errors] == [field]
    assert world.topics.opened == []


async def test_a_stretch_has_the_newest_records_of_its_time_the_oldest_of_them_first() -> None:
    world = a_gateway(2000)  # of the last 2,000 s
    assert await ids(world) == [(0, offset) for offset in range(1099, 2000)]  # of 15 min, both ends in
    assert await ids(world, "?limit=3") == [(0, 1997), (0, 1998), (0, 1999)]
    stretch = f"?from={NOW_MS - 20_000}&to={NOW_MS - 10_000}"
    assert await ids(world, stretch) == [(0, offset) for offset in range(1979, 1990)]
    assert await ids(world, stretch + "&limit=2") == [(0, 1988), (0, 1989)]
    assert await ids(world, "?from=-1h&limit=5000") == [(0, offset) for offset in range(2000)]


async def test_the_newest_few_of_a_long_log_are_read_without_the_rest() -> None:
    world = a_gateway(5000, step_ms=10)
    assert len(await ids(world, "?limit=20")) == 20
    assert len(world.topics.reads) == 20


async def test_a_record_has_its_timestamp_key_and_message() -> None:
    world = a_gateway(1)
    assert (await world.ask(ROUTE)).json() == [
        {
            "topic": L2_TRADES.name,
            "id": f"{L2_TRADES.name}:0:0",
            "key": "binance:BTC-USDT",
            "timestamp": NOW_MS,
            "data": json_ready(TRADE),
        }
    ]


async def test_partitions_are_merged_by_time() -> None:
    world = World()
    for number in range(10):
        world.topics.append(L2_TRADES, KEY, encode(TRADE), NOW_MS - 10 + number, partition=number % 3)
    assert await ids(world, "?limit=4") == [(0, 2), (1, 2), (2, 2), (0, 3)]


async def test_a_key_is_sought_until_there_are_enough_in_its_own_partition_only() -> None:
    world = World()
    home = partition_of(KEY, 8)
    for number in range(4000):
        key = KEY if number % 400 == 0 else b"okx:BTC-USDT"
        world.topics.append(L2_TRADES, key, encode(TRADE), NOW_MS - 4000 + number, partition=home)
    found = await ids(world, "?key=binance:BTC-USDT&limit=6")
    assert found == [(home, offset) for offset in (1600, 2000, 2400, 2800, 3200, 3600)]
    assert world.topics.opened == [(L2_TRADES.name, (home,))]
    assert len(world.topics.reads) == len(set(world.topics.reads)) == 3000


async def test_the_key_of_an_answer_may_stand_in_any_partition() -> None:
    world = World()
    world.topics.append(VENUES_SCORES, b"BTC-USDT", encode(full(VenueScored)), NOW_MS, partition=6)
    route = f"/api/records/{VENUES_SCORES.name}"
    assert await ids(world, "?key=BTC-USDT", route) == [(6, 0)]


async def test_every_keeps_the_last_of_each_key_and_step() -> None:
    world = World()
    begin = NOW_MS // 5000 * 5000 - 20_000
    for number in range(20):  # seconds
        for key in (b"binance:BTC-USDT", b"okx:BTC-USDT"):
            world.topics.append(VENUES_METRICS, key, b"\xc1", begin + 1000 * number)
    route = f"/api/records/{VENUES_METRICS.name}"
    found = await ids(world, f"?every=5s&from={begin}", route)
    assert found == [(0, offset) for offset in (8, 9, 18, 19, 28, 29, 38, 39)]
    assert await ids(world, f"?every=5s&from={begin}&limit=3", route) == found[-3:]


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"records_max_bytes": 500}, "RECORDS_MAX_BYTES"), ({"records_held_bytes": 500}, "RECORDS_HELD_BYTES")],
)
async def test_what_takes_too_many_bytes_is_503_and_names_the_setting(
    settings: dict[str, int], said: str
) -> None:
    world = a_gateway(100, **settings)
    assert said in assert_problem(await world.ask(ROUTE), 503, "too-many")["detail"]
    assert (world.topics.open_now, world.parts.past_records.places.taken.total) == (0, 0)
    assert len(world.topics.reads) < 30


async def test_what_is_passed_by_counts_as_read_and_not_as_held() -> None:
    world = a_gateway(100, records_held_bytes=10 * len(encode(TRADE)))
    assert await ids(world, "?every=99d") == [(0, 99)]


async def test_what_takes_too_long_is_503_and_its_reading_ends() -> None:
    world = a_gateway(5, records_timeout_s=0.01)
    world.topics.held.clear()
    for route in (ROUTE, f"{ROUTE}/0/0"):
        async with asyncio.timeout(5):
            answer = await world.ask(route)
        assert "within 0.01 s" in assert_problem(answer, 503, "too-many")["detail"]
    assert world.topics.open_now == 0


@pytest.mark.parametrize("failure", [KafkaConnectionError(), MissingTopicError(), ConnectionRefusedError()])
async def test_without_kafka_it_is_503(failure: Exception) -> None:
    world = a_gateway(5)
    world.topics.failure = failure
    for route in (ROUTE, f"{ROUTE}/0/0"):
        assert_problem(await world.ask(route), 503, "not-ready")


async def test_an_address_has_its_share_and_all_together_have_an_end() -> None:
    world = a_gateway(5, records_max_reads=2, records_max_reads_per_address=1)
    world.topics.held.clear()
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(world.ask(ROUTE, peer="10.0.0.1"))
        await world.topics.asked.acquire()
        assert_problem(await world.ask(ROUTE, peer="10.0.0.1"), 429, "share-taken")
        second = tasks.create_task(world.ask(f"{ROUTE}/0/0", peer="10.0.0.2"))
        await world.topics.asked.acquire()
        assert_problem(await world.ask(ROUTE, peer="10.0.0.3"), 503, "too-many")
        world.topics.held.set()
    assert (first.result().status, second.result().status) == (200, 200)
    assert world.parts.past_records.places.taken.total == 0


PLACES = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 40), st.sampled_from([b"a", b"b", b"c"])), max_size=60
)


@given(
    records=PLACES,
    span=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    limit=st.integers(1, 8),
    key=st.none() | st.sampled_from([b"a", b"b"]),
    every=st.none() | st.integers(1, 9),
    window=st.integers(1, 9),
)
def test_what_windows_keep_is_what_one_look_at_everything_finds(
    records: list[tuple[int, int, bytes]],
    span: tuple[int, int],
    limit: int,
    key: bytes | None,
    every: int | None,
    window: int,
) -> None:
    logs = InMemoryTopicLogs()
    for partition, timestamp, record_key in sorted(records, key=lambda each: each[1]):
        logs.append(L2_TRADES, record_key, b"x" * timestamp, timestamp, partition)
    all_raws = {partition: list(log.values()) for (_, partition), log in logs.records.items()}
    newest = Newest(Stretch(min(span), max(span), limit, key, every))
    for partition, raws in all_raws.items():
        left = raws
        while left and not newest.is_full(partition):
            for raw in left[-window:]:
                newest.take(raw)
            newest.end_window()
            left = left[:-window]
    naive: dict[Any, Any] = {}
    for raw in (raw for raws in all_raws.values() for raw in raws):
        if min(span) <= raw.timestamp <= max(span) and key in (None, raw.key):
            step = raw.offset if every is None else (raw.key, raw.timestamp // every)
            naive[raw.partition, step] = raw
    expected = sorted(naive.values(), key=lambda raw: (raw.timestamp, raw.partition, raw.offset))[-limit:]
    assert newest.records() == expected
    assert newest.size >= sum(len(raw.key or b"") + len(raw.value or b"") for raw in expected)
