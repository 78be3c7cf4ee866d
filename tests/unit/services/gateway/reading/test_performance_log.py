from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from aiokafka.errors import KafkaConnectionError

from libs.common.codec import encode
from libs.common.events import RouterSnapshot
from libs.common.kafka import MissingTopicError, Record
from libs.common.time_units import DAY_NS, MINUTE_NS, NS_PER_MS, NS_PER_S
from libs.common.topics import PORTFOLIO_EQUITY, ROUTER_SNAPSHOTS
from libs.performance.answer import Performance
from libs.performance.measure import performance_of
from libs.performance.tape import Tape
from services.gateway.http.spans import MOST_DAYS
from tests.full_valued import full
from tests.unit.libs.performance.test_marks import a_walk
from tests.unit.services.gateway.http.test_api import assert_problem
from tests.unit.services.gateway.world import NOW, World

if TYPE_CHECKING:
    from libs.common.events import EquityMarked

ROUTE = "/api/performance"
BEGIN = NOW // MINUTE_NS * MINUTE_NS - 200 * MINUTE_NS
NOW_MS = NOW // NS_PER_MS


def a_gateway(marks: list[EquityMarked], **settings: Any) -> World:
    world = World(**settings)
    world.traded.records = [
        Record(
            topic=PORTFOLIO_EQUITY,
            partition=0,
            offset=n,
            timestamp_ms=mark.ts // NS_PER_MS,
            key=b"default",
            event=mark,
            value=encode(mark),
        )
        for n, mark in enumerate(marks)
    ]
    return world


async def test_the_answer_has_the_numbers_of_the_marks_in_the_time_asked_for() -> None:
    marks = a_walk(150, begin=BEGIN)
    world = a_gateway(marks)
    begin, end = marks[10].ts // NS_PER_MS * NS_PER_MS, marks[99].ts // NS_PER_MS * NS_PER_MS + NS_PER_MS
    answer = await world.ask(f"{ROUTE}?from={begin // NS_PER_MS}&to={end // NS_PER_MS}")
    assert answer.status == 200
    tape = Tape(begin, end)
    for mark in marks:
        tape.take(mark)
    found = msgspec.json.decode(answer.body, type=Performance)
    assert found == performance_of(tape)
    assert found.counts.marks == 90
    assert world.traded.begins == [begin]
    assert world.writer.sent == []


async def test_without_a_time_it_is_the_last_day_and_so_long_ago_is_a_time() -> None:
    world = a_gateway([])
    for query in ("", "?from=-2h", "?from=-3d&to=-1d"):
        assert (await world.ask(ROUTE + query)).status == 200
    ago = [NOW - begin for begin in world.traded.begins]
    assert ago == [DAY_NS, 7200 * NS_PER_S, 3 * DAY_NS]


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ("from=yesterday", "from", "-30d"),
        ("to=-0d", "to", "-30d"),
        ("from=-1h&to=-2h", "from", "before `to`"),
        (f"from={NOW_MS}&to={NOW_MS}", "from", "before `to`"),
        (f"to={NOW_MS + 60_000}", "to", f"now is {NOW_MS}"),
        (f"from=-{MOST_DAYS + 1}d", "from", "1095 days"),
    ],
)
async def test_a_time_that_is_none_is_422_and_says_what_would_be_one(
    query: str, field: str, said: str
) -> None:
    world = a_gateway([])
    errors = assert_problem(await world.ask(f"{ROUTE}?{query}"), 422, "invalid")["errors"]
    assert [error["field"] for error in errors] == [field]
    assert said in errors[0]["message"]
    assert world.traded.begins == []


async def test_the_routers_own_values_are_those_of_its_newest_snapshot() -> None:
    world = a_gateway([])
    snapshot = msgspec.structs.replace(full(RouterSnapshot), scope="default")
    world.fold(ROUTER_SNAPSHOTS, b"default", snapshot)
    answer = await world.ask(ROUTE)
    assert answer.status == 200
    assert answer.json()["policies"] == []  # none was chosen in this time
    assert answer.json()["equity"]["start"]["why"] == "there is no mark of equity"


async def test_what_takes_too_many_bytes_is_503_and_names_the_setting() -> None:
    world = a_gateway(a_walk(150, begin=BEGIN), performance_max_bytes=1000)
    detail = assert_problem(await world.ask(ROUTE), 503, "too-many")["detail"]
    assert "PERFORMANCE_MAX_BYTES" in detail
    assert world.traded.open == world.performance_log.places.taken.total == 0


async def test_what_takes_too_long_is_503_and_its_reading_ends() -> None:
    world = a_gateway([], performance_timeout_s=0.01)
    world.traded.held.clear()
    async with asyncio.timeout(5):
        answer = await world.ask(ROUTE)
    assert "within 0.01 s" in assert_problem(answer, 503, "too-many")["detail"]
    assert world.traded.open == 0


@pytest.mark.parametrize("failure", [KafkaConnectionError(), MissingTopicError(), ConnectionRefusedError()])
async def test_while_kafka_is_away_it_is_503_and_says_so(failure: Exception) -> None:
    world = a_gateway([])
    world.traded.failure = failure
    answer = await world.ask(ROUTE)
    assert "Kafka does not answer" in assert_problem(answer, 503, "not-ready")["detail"]
