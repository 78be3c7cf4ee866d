from __future__ import annotations

import asyncio
import json

import pytest

from libs.common.events import BookState, IdempotentReply, Subscribed
from libs.common.topics import GATEWAY_IDEMPOTENCY, L2_BOOK_HEALTH, L2_SUBSCRIPTIONS
from tests.unit.services.gateway.http.test_api import assert_problem
from tests.unit.services.gateway.world import KEY, NOW, World, a_book_health, a_reply

WISH = {"venue": "binance", "symbol": "BTCUSDT"}
DELETE = "/api/l2/subscriptions/binance/BTCUSDT"


async def test_a_wish_is_written_under_the_canonical_key_and_answered_when_l2_speaks_of_the_book() -> None:
    world = World()
    answer = await world.post({"venue": "binance", "symbol": "btc/usdt"}, x_correlation_id="mine")
    assert answer.status == 201
    assert answer.json() == {"venue": "binance", "symbol": "BTC-USDT", "state": "SYNCING"}
    (sent,) = world.writer.sent
    assert (sent.topic, sent.key) == (L2_SUBSCRIPTIONS, KEY)
    assert sent.event == Subscribed(venue="binance", symbol="BTC-USDT", requested_ts=NOW, source="request")
    assert dict(sent.headers)["ce_correlationid"] == b"mine"


async def test_a_book_that_is_there_already_is_200_and_nothing_is_written() -> None:
    world = World()
    world.live()
    answer = await world.post(WISH)
    assert (answer.status, answer.json()["state"]) == (200, "LIVE")
    assert world.writer.sent == []


async def test_an_old_word_of_l2_does_not_answer_a_new_wish() -> None:
    world = World()
    world.fold(L2_BOOK_HEALTH, KEY, a_book_health(BookState.LIVE))  # l2 has yet to drop the book
    world.writer.l2_answers = False
    assert_problem(await world.post(WISH), 504, "no-answer")


async def test_without_an_answer_in_time_a_command_is_504_with_its_id() -> None:
    world = World()
    world.writer.l2_answers = False
    first = assert_problem(await world.post(WISH, idempotency_key="k"), 504, "no-answer")
    world.writer.l2_answers = True
    world.fold(L2_SUBSCRIPTIONS, KEY, None)
    assert (await world.post(WISH, idempotency_key="k")).status == 201  # a problem is not kept
    sent = [dict(sent.headers)["ce_id"].decode() for sent in world.writer.sent if sent.key == KEY]
    assert sent == [first["commandId"]] * 2


async def test_a_symbol_that_the_venue_does_not_list_is_404_with_those_it_does_and_nothing_is_written() -> (
    None
):
    world = World()
    problem = assert_problem(
        await world.post({"venue": "binance", "symbol": "DOGEUSDT"}), 404, "unknown-symbol"
    )
    assert "ETH-USDT" in problem["detail"]
    assert_problem(await world.post({"venue": "nope", "symbol": "BTCUSDT"}), 404, "unknown-venue")
    assert_problem(await world.post({"venue": "binance", "symbol": "x:y\nz"}), 404, "unknown-symbol")
    assert world.writer.sent == []


@pytest.mark.parametrize("wanted", [False, True])
async def test_a_pair_that_its_venue_serves_as_another_is_refused_with_that_one(*, wanted: bool) -> None:
    world = World()
    if wanted:  # by an older version, which nobody asked for its aliases
        key = b"coinbase:BTC-USDC"
        subscribed = Subscribed(venue="coinbase", symbol="BTC-USDC", requested_ts=NOW)
        world.fold(L2_SUBSCRIPTIONS, key, subscribed)
        world.fold(L2_BOOK_HEALTH, key, a_book_health(BookState.REFUSED, venue="coinbase", symbol="BTC-USDC"))
    answer = await world.post({"venue": "coinbase", "symbol": "BTC/USDC"})
    problem = assert_problem(answer, 404, "unknown-symbol")
    assert problem["detail"] == "coinbase serves BTC-USDC as BTC-USD: subscribe coinbase:BTC-USD."
    assert world.writer.sent == []


async def test_a_book_of_a_recording_that_no_table_lists_can_be_stopped() -> None:
    world = World()
    health = a_book_health(venue="kraken-v1", symbol="BTC-CHF")
    world.fold(L2_BOOK_HEALTH, b"kraken-v1:BTC-CHF", health)
    answer = await world.ask("/api/l2/subscriptions/kraken-v1/BTCCHF", "DELETE")
    assert (answer.status, answer.json()["state"]) == (200, "UNSUBSCRIBED")


async def test_stopping_a_book_writes_a_tombstone_and_waits_until_l2_has_dropped_it() -> None:
    world = World()
    world.live()
    answer = await world.ask(DELETE, "DELETE")
    assert answer.status == 200
    assert answer.json() == {"venue": "binance", "symbol": "BTC-USDT", "state": "UNSUBSCRIBED"}
    assert [(sent.topic, sent.key, sent.event) for sent in world.writer.sent] == [
        (L2_SUBSCRIPTIONS, KEY, None)
    ]
    assert_problem(await world.ask(DELETE, "DELETE"), 404, "not-subscribed")


async def test_a_book_that_l2_does_not_drop_in_time_is_504() -> None:
    world = World()
    world.live()
    world.writer.l2_answers = False
    problem = assert_problem(await world.ask(DELETE, "DELETE"), 504, "no-answer")
    assert problem["commandId"]


async def test_a_book_of_which_l2_left_the_top_behind_is_not_stopped() -> None:
    world = World()
    world.live()
    world.writer.l2_answers = False
    stopping = asyncio.create_task(world.ask(DELETE, "DELETE"))
    await asyncio.sleep(0)
    world.fold(L2_BOOK_HEALTH, KEY, None)
    assert_problem(await stopping, 504, "no-answer")


async def test_the_same_key_and_body_are_answered_again_and_not_done_again() -> None:
    world = World()
    first = await world.post(WISH, idempotency_key="k")
    world.fold(L2_BOOK_HEALTH, KEY, a_book_health(BookState.LIVE))
    again = await world.post(WISH, idempotency_key="k")
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert len([sent for sent in world.writer.sent if sent.topic is L2_SUBSCRIPTIONS]) == 1


async def test_the_same_key_with_another_body_is_409() -> None:
    world = World()
    await world.post(WISH, idempotency_key="k")
    assert_problem(
        await world.post({"venue": "binance", "symbol": "ETHUSDT"}, idempotency_key="k"),
        409,
        "idempotency-key-reused",
    )


async def test_after_a_problem_the_same_request_keeps_its_id_and_another_one_gets_another() -> None:
    world = World()
    world.writer.l2_answers = False
    other = {"venue": "binance", "symbol": "ETHUSDT"}
    for body in (WISH, WISH, other):
        assert_problem(await world.post(body, idempotency_key="k"), 504, "no-answer")
    first, again, another = (
        dict(sent.headers)["ce_id"] for sent in world.writer.sent if sent.topic is L2_SUBSCRIPTIONS
    )
    assert first == again != another


async def test_of_two_at_the_same_time_the_second_waits_for_the_first() -> None:
    world = World()
    first, second = await asyncio.gather(
        world.post(WISH, idempotency_key="k"), world.post(WISH, idempotency_key="k")
    )
    assert (first.status, first.body) == (second.status, second.body)
    assert [a.headers.get("idempotency-replayed") for a in (first, second)] == [None, "true"]


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256])
async def test_a_key_of_anything_but_255_visible_characters_is_422(key: str) -> None:
    problem = assert_problem(await World().post(WISH, idempotency_key=key), 422, "invalid")
    assert problem["errors"][0]["field"] == "Idempotency-Key"


async def test_a_reply_is_kept_for_its_time_and_then_deleted() -> None:
    world = World(idempotency_ttl_s=60)
    await world.post(WISH, idempotency_key="k")
    assert await world.idempotency.forget_old_replies() == 0
    world.now += 60_000_000_000
    assert await world.idempotency.forget_old_replies() == 1
    assert world.writer.sent[-1][:3] == (GATEWAY_IDEMPOTENCY, b"k", None)
    assert "idempotency-replayed" not in (await world.post(WISH, idempotency_key="k")).headers


async def test_the_kept_reply_is_what_another_gateway_needs_to_answer_again() -> None:
    world = World()
    first = await world.post(WISH, idempotency_key="k")
    kept = next(sent.event for sent in world.writer.sent if sent.topic is GATEWAY_IDEMPOTENCY)
    assert isinstance(kept, IdempotentReply)
    other = World()
    other.fold(GATEWAY_IDEMPOTENCY, b"k", kept)
    again = await other.post(WISH, idempotency_key="k")
    assert again.body == first.body
    assert other.writer.sent == []


async def test_more_keys_than_can_be_kept_are_503_and_none_is_forgotten() -> None:
    world = World(idempotency_max_keys=1)
    world.fold(GATEWAY_IDEMPOTENCY, b"other", a_reply())
    answer = await world.post(WISH, idempotency_key="k")
    assert_problem(answer, 503, "too-many")
    assert answer.headers["retry-after"]
    assert b"other" in world.views.replies.items


async def test_a_reply_that_cannot_be_kept_in_time_is_504() -> None:
    world = World()
    world.live()  # the wish itself needs no message
    world.writer.folds = False
    assert_problem(await world.post(WISH, idempotency_key="k"), 504, "no-answer")


async def test_concurrent_start_and_stop_of_a_book_end_in_the_order_they_came() -> None:
    world = World()
    answers = await asyncio.gather(world.post(WISH), world.ask(DELETE, "DELETE"), world.post(WISH))
    assert [answer.status for answer in answers] == [201, 200, 201]
    assert json.loads(answers[2].body)["state"] == "SYNCING"
