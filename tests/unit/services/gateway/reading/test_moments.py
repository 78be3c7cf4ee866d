from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaConnectionError
from msgspec.structs import replace

from libs.common.events import (
    BookState,
    BookTop,
    EquityMarked,
    ExecutionRecord,
    ExecutionStatus,
    RiskBudget,
    Subscribed,
)
from libs.common.kafka import partition_of
from libs.common.topics import (
    EXECUTION_RECORDS,
    L2_BOOK_DELTAS,
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    L2_SUBSCRIPTIONS,
    PORTFOLIO_EQUITY,
    PORTFOLIO_RISK,
    book_key,
)
from services.gateway.reading.moment_state import RECORDS
from tests.full_valued import full
from tests.unit.services.gateway.http.test_api import assert_problem
from tests.unit.services.gateway.world import NOW, World, a_book_health, a_delta_row, a_keyframe_row

if TYPE_CHECKING:
    from tests.unit.services.gateway.world import Answer

NOW_MS = NOW // 10**6
T = NOW_MS - 60_000
EPOCH = T
BIDS, ASKS = {100.0: 1.0, 99.0: 2.0}, {101.0: 3.0, 102.0: 4.0}


def a_world(*symbols: str, **settings: Any) -> World:
    """Return a world with a minute of a book of each symbol, and nothing else."""
    world = World(**settings)
    for symbol in symbols or ("BTC-USDT",):
        at: dict[str, Any] = {"symbol": symbol}
        key = book_key("binance", symbol)
        rows = (
            a_keyframe_row(T, EPOCH, 1, BIDS, ASKS, **at),
            a_delta_row(T + 100, EPOCH, 2, bids=[(100.5, 1.0)], **at),
            a_delta_row(T + 200, EPOCH, 3, bids=[(100.5, 0.0)], **at),
        )
        partition = partition_of(key, world.settings.topic_partitions)
        for row in rows:
            world.moment_logs.append(L2_BOOK_DELTAS, partition, key, row.event, row.timestamp_ms)
    return world


def at(ms: int, more: str = "") -> str:
    return f"/api/at?ts={ms}{more}"


def told(answer: Answer, topic: Any) -> dict[str, dict[str, Any]]:
    assert answer.status == 200, answer.body
    return {each["key"]: each for each in answer.json()["records"] if each["topic"] == topic.name}


async def test_a_past_top_has_the_features_of_its_levels_and_the_id_of_the_newest_delta_inside() -> None:
    world = a_world()
    answer = await world.ask(at(T + 150))
    assert {name: answer.json()[name] for name in ("ts", "live", "from")} == {
        "ts": T + 150,
        "live": False,
        "from": T,
    }
    top = told(answer, L2_BOOK_TOPS)["binance:BTC-USDT"]
    partition = partition_of(b"BTC-USDT", 8)
    assert top["id"] == f"l2.book-deltas.v1:{partition}:1"
    assert top["data"]["type"] == "BookTop"
    assert top["data"]["bids"] == [[100.5, 1.0], [100.0, 1.0], [99.0, 2.0]]
    assert top["data"]["receivedTs"] == T + 100
    features = top["data"]["features"]
    assert (features["mid"], features["tradeImbalance"]) == (100.75, None)
    assert features["spreadBps"] == pytest.approx(1e4 * 0.5 / 100.75)


async def test_symbol_leaves_out_the_tops_of_others_and_no_more() -> None:
    world = a_world("BTC-USDT", "ETH-USDT")
    world.now = T * 10**6
    for symbol in ("BTC-USDT", "ETH-USDT"):
        world.fold(L2_BOOK_HEALTH, book_key("binance", symbol), a_book_health(symbol=symbol))
        world.fold(L2_BOOK_TOPS, book_key("binance", symbol), full_top(symbol))
    world.now = NOW
    for path in (at(T + 150, "&symbol=ethusdt"), "/api/at?symbol=ETH-USDT"):
        answer = await world.ask(path)
        assert list(told(answer, L2_BOOK_TOPS)) == ["binance:ETH-USDT"]
        assert len(told(answer, L2_BOOK_HEALTH)) == 2
        assert answer.json()["missing"] == []
    others = {slot for slot, _ in world.moment_logs.reads if slot[0] == L2_BOOK_DELTAS.name}
    assert others == {(L2_BOOK_DELTAS.name, partition_of(b"ETH-USDT", 8))}


def full_top(symbol: str) -> Any:
    return replace(full(BookTop), symbol=symbol)


async def test_a_book_that_was_there_and_is_not_proven_is_missing_with_what_l2_said() -> None:
    world = a_world()
    world.now = (T + 10) * 10**6
    health = a_book_health(venue="kraken", state=BookState.GAP, reason="a frame is missing")
    world.fold(L2_BOOK_HEALTH, b"kraken:BTC-USDT", health)
    world.fold(L2_SUBSCRIPTIONS, b"okx:BTC-USDT", Subscribed(venue="okx", symbol="BTC-USDT", requested_ts=1))
    world.now = NOW
    missing = (await world.ask(at(T + 150))).json()["missing"]
    why = "it is not proven to have been LIVE then; l2 had said"
    assert missing == [
        {"topic": "l2.book-tops.v1", "key": "kraken:BTC-USDT", "why": f"{why} GAP: a frame is missing"},
        {"topic": "l2.book-tops.v1", "key": "okx:BTC-USDT", "why": f"{why} nothing yet"},
    ]


async def test_now_is_what_the_views_hold_with_ids_and_the_newest_of_logs_that_no_view_is_of() -> None:
    world = a_world()
    world.live()
    world.now = T * 10**6
    world.fold(PORTFOLIO_RISK, b"default", full(RiskBudget))
    world.now = NOW
    partition = partition_of(b"default", 8)
    for equity in (1, 2):
        world.moment_logs.append(PORTFOLIO_EQUITY, partition, b"default", marked(equity), NOW_MS - 5 + equity)
    answer = await world.ask("/api/at")
    assert (answer.json()["ts"], answer.json()["live"]) == (NOW_MS, True)
    top = told(answer, L2_BOOK_TOPS)["binance:BTC-USDT"]
    assert top["id"].startswith("l2.book-tops.v1:0:")
    assert told(answer, PORTFOLIO_EQUITY)["default"]["id"] == f"portfolio.equity.v1:{partition}:1"
    assert told(await world.ask(at(NOW_MS - 4)), PORTFOLIO_EQUITY)["default"]["data"]["equity"] == "1"


def marked(equity: int) -> EquityMarked:
    mark: EquityMarked = replace(full(EquityMarked), book="default", equity=Decimal(equity))
    return mark


async def test_of_executions_the_newest_and_all_that_run_are_told() -> None:
    world = a_world()
    for n in range(RECORDS + 10):
        status = ExecutionStatus.WORKING if n == 3 else ExecutionStatus.COMPLETED
        record = replace(full(ExecutionRecord), execution_id=f"e{n}", created_ts=n, status=status)
        world.fold(EXECUTION_RECORDS, record.execution_id.encode(), record)
    for path in ("/api/at", at(NOW_MS)):
        found = told(await world.ask(path), EXECUTION_RECORDS)
        assert set(found) == {f"e{n}" for n in (3, *range(10, RECORDS + 10))}


async def test_before_what_is_kept_and_to_come_are_404_with_the_range_and_rubbish_is_422() -> None:
    world = a_world()
    for ms in (T - 1, 0, NOW_MS + 60_000):
        problem = assert_problem(await world.ask(at(ms)), 404, "not-known-then")
        assert problem["retained"] == {"from": T, "to": NOW_MS}
    for path in (
        "/api/at?ts=yesterday",
        "/api/at?ts=-1",
        "/api/at?ts=1.5",
        "/api/at?ts=99999999999999999999",
    ):
        assert_problem(await world.ask(path), 422, "invalid")
    assert_problem(await world.ask(at(T, "&symbol=nonsense")), 404, "unknown-symbol")


async def test_what_would_take_too_much_is_503_and_its_place_is_given_back() -> None:
    for limits in ({"at_max_records": 1}, {"at_max_bytes": 10}):
        world = a_world(**limits)
        problem = assert_problem(await world.ask(at(T + 150)), 503, "too-many")
        assert next(iter(limits)).upper() in problem["detail"]
        assert world.moments.places.taken.total == 0
    world = a_world(at_timeout_s=0.01)
    world.moment_logs.held.clear()
    assert "0.01 s" in assert_problem(await world.ask(at(T + 150)), 503, "too-many")["detail"]


async def test_without_kafka_it_is_503_and_while_the_views_are_behind_too() -> None:
    world = a_world()
    world.moment_logs.failure = KafkaConnectionError()
    assert "KafkaConnectionError" in assert_problem(await world.ask("/api/at"), 503, "not-ready")["detail"]
    assert_problem(await World(ready=False).ask("/api/at"), 503, "not-ready")


async def test_a_key_that_is_not_found_within_what_may_be_looked_through_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("FIRST", 2), ("MOST", 8)):
        monkeypatch.setattr(f"services.gateway.reading.moment_state.{name}", value)
    world = a_world()
    world.fold(PORTFOLIO_RISK, b"default", full(RiskBudget))
    partition = partition_of(b"default", 8)
    world.moment_logs.append(PORTFOLIO_EQUITY, partition, b"default", marked(1), T)
    for n in range(30):
        world.moment_logs.append(PORTFOLIO_EQUITY, partition, b"other", marked(n), T + 1)
    answer = await world.ask("/api/at")
    assert told(answer, PORTFOLIO_EQUITY).keys() == {"other"}
    [missing] = [each for each in answer.json()["missing"] if each["topic"] == "portfolio.equity.v1"]
    assert missing["key"] == "default"


async def test_a_client_that_leaves_gives_its_place_back() -> None:
    world = a_world()
    world.moment_logs.held.clear()
    asking = asyncio.create_task(world.ask(at(T + 150)))
    await world.moment_logs.asked.acquire()
    assert world.moments.places.taken.total == 1
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert world.moments.places.taken.total == 0
