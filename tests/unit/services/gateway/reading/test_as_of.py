from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from libs.common.events import BookState
from libs.common.topics import L2_BOOK_HEALTH
from services.gateway.reading.as_of import Row
from tests.unit.services.gateway.http.test_api import assert_problem
from tests.unit.services.gateway.logs import InMemoryLog
from tests.unit.services.gateway.world import (
    KEY,
    NOW,
    World,
    a_book_health,
    a_delta_row,
    a_keyframe_row,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

NOW_MS = NOW // 1_000_000
T = NOW_MS - 60_000
E1, E2 = T, T + 5_000
BIDS, ASKS = {100.0: 1.0, 99.0: 2.0}, {101.0: 3.0, 102.0: 4.0}

ROWS = (
    a_keyframe_row(T, E1, 1, BIDS, ASKS, reason="resync"),
    a_delta_row(T + 100, E1, 2, bids=[(100.0, 0.0)], venue_seq=77, venue_ts=(T + 90) * 1_000_000),
    a_delta_row(T + 100, E1, 3, asks=[(101.0, 5.0)]),
    a_delta_row(T + 200, E1, 4, bids=[(98.0, 1.0)]),
    a_keyframe_row(T + 5_000, E2, 1, {50.0: 1.0}, {51.0: 1.0}, reason="resync"),
    a_delta_row(T + 5_100, E2, 2, bids=[(50.5, 2.0)]),
)


def a_world(rows: Iterable[Row] = ROWS, **settings: Any) -> World:
    world = World(**settings)
    world.logs[KEY] = InMemoryLog([(row.timestamp_ms, row) for row in rows])
    return world


def book_at(at_ms: object, more: str = "") -> str:
    return f"/api/l2/binance/BTCUSDT?at={at_ms}{more}"


async def test_a_moment_holds_every_message_of_its_millisecond_and_none_of_the_next() -> None:
    world = a_world()
    before, at, after = [(await world.ask(book_at(T + 100 + step))).json() for step in (-1, 0, 1)]
    assert [book["seq"] for book in (before, at, after)] == [1, 3, 3]
    assert before["bids"] == [[100.0, 1.0], [99.0, 2.0]]
    assert at["bids"] == [[99.0, 2.0]]
    assert at["asks"] == [[101.0, 5.0], [102.0, 4.0]]


async def test_the_answer_is_the_ordinary_one_with_the_moment_in_it() -> None:
    world = a_world()
    answer = await world.ask(book_at(T + 99))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    world.live()
    assert answer.json().keys() == (await world.ask("/api/l2/binance/BTCUSDT")).json().keys() | {"at"}
    assert {
        name: value for name, value in answer.json().items() if name not in ("bids", "asks", "reason")
    } == {
        "instrument": None,
        "venue": "binance",
        "symbol": "BTC-USDT",
        "seq": 1,
        "ts": T,
        "state": "LIVE",
        "epoch": E1,
        "venueSeq": None,
        "features": None,
        "receivedTs": T,
        "at": T + 99,
    }


async def test_times_and_ids_are_those_of_the_last_message_inside() -> None:
    rows = (ROWS[0], ROWS[1], a_delta_row(T + 150, E1, 3))
    book = (await a_world(rows).ask(book_at(T + 149))).json()
    assert (book["seq"], book["venueSeq"], book["ts"], book["receivedTs"]) == (2, 77, T + 90, T + 100)


async def test_depth_is_the_number_of_levels_of_a_past_book_too() -> None:
    book = (await a_world().ask(book_at(T + 50, "&depth=1"))).json()
    assert (book["bids"], book["asks"]) == ([[100.0, 1.0]], [[101.0, 3.0]])
    assert_problem(await a_world().ask(book_at(T + 50, "&depth=51")), 422, "invalid")


async def test_between_two_epochs_the_book_is_not_known_and_the_nearest_moments_are_told() -> None:
    world = a_world()
    for at in (T + 200, T + 4_999):
        problem = assert_problem(await world.ask(book_at(at)), 404, "not-known-then")
        assert problem["nearby"] == {"before": T + 199, "after": T + 5_000}
        assert f"known until {T + 199} and from {T + 5_000} on" in problem["detail"]
        assert "retained" not in problem
    assert (await world.ask(book_at(T + 199))).json()["epoch"] == E1
    second = (await world.ask(book_at(T + 5_000))).json()
    assert (second["epoch"], second["bids"]) == (E2, [[50.0, 1.0]])


async def test_a_moment_without_a_side_is_known_and_was_not_live() -> None:
    rows = (
        ROWS[0],
        a_delta_row(T + 100, E1, 2, bids=[(100.0, 0.0), (99.0, 0.0)]),
        a_delta_row(T + 200, E1, 3, bids=[(98.0, 1.0)]),
        a_delta_row(T + 300, E1, 4, asks=[(101.0, 0.0), (102.0, 0.0)]),
    )
    world = a_world(rows)
    states = [(await world.ask(book_at(T + at))).json()["state"] for at in (99, 100, 199, 200, 299)]
    assert states == ["LIVE", "ONE_SIDED", "ONE_SIDED", "LIVE", "LIVE"]
    told = (await world.ask(book_at(T + 150))).json()
    assert (told["bids"], told["features"]) == ([], None)
    assert told["reason"].startswith("no bids")
    assert_problem(await world.ask(book_at(T + 400)), 404, "not-known-then")
    world.fold(L2_BOOK_HEALTH, KEY, a_book_health(BookState.ONE_SIDED, epoch=E1))
    assert (await world.ask(book_at(T + 400))).json()["state"] == "ONE_SIDED", "its owner vouches for it"


async def test_an_owner_in_doubt_vouches_for_no_moment_after_the_last_message() -> None:
    world = a_world(ROWS[:2])
    world.fold(L2_BOOK_HEALTH, KEY, a_book_health(epoch=E1))
    assert (await world.ask(book_at(T + 400))).json()["state"] == "LIVE"
    world.fold(L2_BOOK_HEALTH, KEY, a_book_health(epoch=E1, in_doubt=True))
    assert_problem(await world.ask(book_at(T + 400)), 404, "not-known-then")


async def test_an_epoch_whose_only_keyframe_nothing_joins_is_passed_over() -> None:
    alone = a_keyframe_row(T + 1_000, T + 1_000, 1, BIDS, ASKS, reason="resync")
    world = a_world((*ROWS[:4], alone, *ROWS[4:]))
    for at in (T + 500, T + 1_000, T + 2_000):
        problem = assert_problem(await world.ask(book_at(at)), 404, "not-known-then")
        assert problem["nearby"] == {"before": T + 199, "after": T + 5_000}
    problem = assert_problem(await a_world((alone, *ROWS[4:])).ask(book_at(T)), 404, "not-known-then")
    assert problem["retained"] == {"from": T + 5_000, "to": T + 5_099}


async def test_moments_that_take_too_many_records_to_find_are_left_out() -> None:
    problem = assert_problem(await a_world(as_of_max_records=8).ask(book_at(T + 300)), 404, "not-known-then")
    assert "nearby" not in problem
    assert "it is known" not in problem["detail"]


@pytest.mark.parametrize("hidden", [Row(T + 150, None), a_delta_row(T + 150, E1, 9)])
async def test_behind_a_hole_nothing_is_shown_until_the_next_keyframe(hidden: Row) -> None:
    healed = a_keyframe_row(T + 300, E1, 12, BIDS, ASKS)
    world = a_world((*ROWS[:3], hidden, healed, a_delta_row(T + 301, E1, 13)))
    problem = assert_problem(await world.ask(book_at(T + 150)), 404, "not-known-then")
    assert problem["nearby"] == {"before": T + 99, "after": T + 300}
    assert_problem(await world.ask(book_at(T + 120)), 404, "not-known-then")
    assert (await world.ask(book_at(T + 99))).json()["seq"] == 1
    assert (await world.ask(book_at(T + 300))).json()["seq"] == 12


async def test_a_message_said_again_or_by_a_replaced_owner_neither_ends_nor_proves_anything() -> None:
    again = ROWS[2]._replace(timestamp_ms=T + 150)
    replaced = a_delta_row(T + 160, E1 - 1, 900, bids=[(1.0, 1.0)])
    world = a_world((*ROWS[:3], again, replaced, ROWS[3]))
    for at in (T + 149, T + 155, T + 199):
        book = (await world.ask(book_at(at))).json()
        assert (book["seq"], book["bids"], book["receivedTs"]) == (3, [[99.0, 2.0]], T + 100)
    world = a_world((*ROWS[:3], again, replaced))
    assert_problem(await world.ask(book_at(T + 149)), 404, "not-known-then")


@pytest.mark.parametrize("hidden", [Row(T + 150, None), a_delta_row(T + 150, E1, 9)])
async def test_its_owner_s_word_cannot_fill_a_hole(hidden: Row) -> None:
    world = a_world((*ROWS[:3], hidden))
    world.fold(L2_BOOK_HEALTH, KEY, a_book_health(epoch=E1, ts=NOW))
    problem = assert_problem(await world.ask(book_at(T + 160)), 404, "not-known-then")
    assert problem["nearby"] == {"before": T + 149, "after": None}
    assert (await world.ask(book_at(T + 149))).json()["seq"] == 3


async def test_after_the_newest_message_the_owner_s_word_for_the_same_epoch_counts() -> None:
    at = NOW_MS - 1_000
    rows = (*ROWS[:4], a_delta_row(NOW_MS - 2_000, E1, 5))
    world = a_world(rows)
    assert_problem(await world.ask(book_at(at)), 404, "not-known-then")
    for health, before in (
        (a_book_health(epoch=E2), NOW_MS - 2_001),
        (a_book_health(BookState.GAP, epoch=E1), NOW_MS - 2_001),
        (a_book_health(epoch=E1, ts=at * 1_000_000 - 5_000_000_001), at - 1),
    ):
        world.fold(L2_BOOK_HEALTH, KEY, health)
        problem = assert_problem(await world.ask(book_at(at)), 404, "not-known-then")
        assert problem["nearby"] == {"before": before, "after": None}
    world.fold(L2_BOOK_HEALTH, KEY, a_book_health(epoch=E1, ts=at * 1_000_000 - 5_000_000_000))
    assert (await world.ask(book_at(at))).json()["seq"] == 5


async def test_a_book_that_was_quiet_for_longer_than_the_look_back_is_found_further_back() -> None:
    rows = (*ROWS[:4], a_delta_row(T + 50_000, E1, 5))
    world = a_world(rows, as_of_look_back_s=3)
    assert (await world.ask(book_at(T + 47_001))).json()["seq"] == 4


async def test_no_more_of_the_log_is_read_than_the_moment_needs() -> None:
    rows = [a_keyframe_row(T, E1, 1, BIDS, ASKS)]
    rows += [a_delta_row(T + 10 * n, E1, n + 1, bids=[(90.0, float(n))]) for n in range(1, 5_000)]
    rows[1::1000] = [
        a_keyframe_row(T + 10 * n, E1, n + 1, {90.0: float(n)}, {}) for n in range(1, 5_000, 1000)
    ]
    world = a_world(rows, as_of_look_back_s=11)
    book = (await world.ask(book_at(T + 25_000))).json()
    assert (book["seq"], book["bids"]) == (2_501, [[90.0, 2_500.0]])
    reads = world.logs[KEY].reads
    assert min(reads) == 1_400
    assert max(reads) <= 2_501 + 3
    assert len(reads) == len(set(reads)) == world.past_books.records


async def test_a_message_that_never_came_is_not_looked_for_to_the_end_of_the_log() -> None:
    world = World(as_of_look_back_s=1)
    others = [(T + 200 + 10 * n, None) for n in range(2_000)]
    world.logs[KEY] = log = InMemoryLog([*((row.timestamp_ms, row) for row in ROWS[:4]), *others])
    assert_problem(await world.ask(book_at(T + 300)), 404, "not-known-then")
    assert max(log.reads) <= 4 + 110 + 3


async def test_before_everything_kept_is_404_with_the_range_there_is() -> None:
    world = a_world()
    problem = assert_problem(await world.ask(book_at(T - 1)), 404, "not-known-then")
    assert problem["retained"] == {"from": T, "to": T + 5_099}
    assert str(T) in problem["detail"]
    assert_problem(await world.ask(book_at(0)), 404, "not-known-then")
    world.live(health=a_book_health(epoch=E2))
    assert (await world.ask(book_at(T - 1))).json()["retained"] == {"from": T, "to": NOW_MS}


async def test_what_retention_took_is_before_everything_kept() -> None:
    world = World()
    world.logs[KEY] = InMemoryLog([(row.timestamp_ms, row) for row in ROWS], begin=1)
    problem = assert_problem(await world.ask(book_at(T + 150)), 404, "not-known-then")
    assert problem["retained"] == {"from": T + 5_000, "to": T + 5_099}


async def test_the_future_is_404_and_a_clock_a_second_ahead_is_forgiven() -> None:
    world = a_world()
    world.fold(L2_BOOK_HEALTH, KEY, a_book_health(epoch=E2, ts=NOW))
    assert (await world.ask(book_at(NOW_MS + 1_000))).json()["seq"] == 2
    problem = assert_problem(await world.ask(book_at(NOW_MS + 1_001)), 404, "not-known-then")
    assert problem["retained"]["from"] == T


async def test_a_book_of_which_nothing_is_kept_is_404_without_a_range() -> None:
    for rows in ((), ROWS[1:4]):
        problem = assert_problem(await a_world(rows).ask(book_at(T + 150)), 404, "not-known-then")
        assert "nothing" in problem["detail"]
        assert "retained" not in problem


@pytest.mark.parametrize("at", ["", "x", "-1", "1.5", "1e12", "NaN", str(NOW), "9" * 5000, "2026-01-01"])
async def test_a_moment_that_is_no_count_of_milliseconds_is_422(at: str) -> None:
    problem = assert_problem(await a_world().ask(book_at(at)), 422, "invalid")
    assert problem["errors"][0]["field"] == "at"


async def test_unknown_books_and_unread_views_are_told_as_ever() -> None:
    assert_problem(await World().ask(f"/api/l2/nope/BTCUSDT?at={T}"), 404, "unknown-venue")
    assert_problem(await World().ask(f"/api/l2/binance/xyz?at={T}"), 404, "unknown-symbol")
    assert_problem(await World(ready=False).ask(book_at(T)), 503, "not-ready")


async def test_one_rebuild_too_many_is_503_and_its_place_is_free_afterwards() -> None:
    world = a_world(as_of_max_rebuilds=2)
    log = world.logs[KEY]
    log.held.clear()
    first = [asyncio.create_task(world.ask(book_at(T + 50))) for _ in range(2)]
    for _ in first:
        await log.asked.acquire()
    refused = await world.ask(book_at(T + 50))
    assert_problem(refused, 503, "too-many")
    assert refused.headers["retry-after"] == "1"
    log.held.set()
    assert [answer.status for answer in await asyncio.gather(*first)] == [200, 200]
    assert (await world.ask(book_at(T + 50))).status == 200


async def test_more_records_or_time_than_allowed_is_503_and_frees_its_place() -> None:
    short = a_world(as_of_max_records=2)
    problem = assert_problem(await short.ask(book_at(T + 199)), 503, "too-many")
    assert "2 records" in problem["detail"]
    slow = a_world(as_of_timeout_s=0.01)
    slow.logs[KEY].held.clear()
    answer = await slow.ask(book_at(T + 50))
    assert "0.01 s" in assert_problem(answer, 503, "too-many")["detail"]
    assert answer.headers["retry-after"] == "1"
    assert (short.past_books.places.taken.total, slow.past_books.places.taken.total) == (0, 0)


async def test_more_bytes_of_a_book_than_may_be_kept_are_503_and_name_the_setting() -> None:
    world = a_world(as_of_max_bytes=1_000)
    world.logs[KEY].row_bytes = 600
    problem = assert_problem(await world.ask(book_at(T + 199)), 503, "too-many")
    assert "more than 1000 bytes (AS_OF_MAX_BYTES)" in problem["detail"]
    assert world.past_books.places.taken.total == 0
    world.logs[KEY].row_bytes = 10
    assert (await world.ask(book_at(T + 199))).status == 200


async def test_a_range_that_is_too_long_to_find_is_left_out() -> None:
    problem = assert_problem(
        await a_world(as_of_max_records=2).ask(book_at(NOW_MS + 2_000)), 404, "not-known-then"
    )
    assert "retained" not in problem


async def test_the_document_tells_the_moment_the_past_book_and_its_problem() -> None:
    document = (await World().ask("/openapi.json")).json()
    operation = document["paths"]["/api/l2/{venue}/{symbol}"]["get"]
    (at,) = [parameter for parameter in operation["parameters"] if parameter["name"] == "at"]
    assert "receivedTs" in at["description"]
    absent = operation["responses"]["404"]["content"]["application/problem+json"]
    assert absent["examples"]["not-known-then"]["value"]["retained"].keys() == {"from", "to"}
    schemas = document["components"]["schemas"]
    assert set(schemas["BookAsOf"]["properties"]) == {*schemas["BookAnswer"]["properties"], "at"}
    assert schemas["BookAsOf"]["examples"][0].keys() == set(schemas["BookAsOf"]["properties"])
