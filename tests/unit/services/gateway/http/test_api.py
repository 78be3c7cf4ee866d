from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from libs.common.events import BookState, InstrumentTerms, Subscribed
from libs.common.topics import L2_BOOK_HEALTH, L2_BOOK_TOPS, L2_SUBSCRIPTIONS
from services.gateway.http.strict_json import MAX_BODY
from tests.unit.services.gateway.world import KEY, NOW, Answer, World, a_book_health, a_book_top

BOOK = "/api/l2/binance/BTCUSDT"
TABLE = {"tick": "0.01", "lot": "0.00001", "minQty": "0.00001", "minNotional": "5", "source": "table"}


def assert_problem(answer: Answer, status: int, slug: str) -> dict[str, Any]:
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["type"] == f"/docs#{slug}"
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    assert answer.headers["x-correlation-id"]
    return document


async def test_a_book_is_answered_as_the_contract_says() -> None:
    world = World()
    world.live()
    answer = await world.ask(BOOK)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    book = answer.json()
    assert len(book["bids"]) == len(book["asks"]) == 20
    assert book["bids"][:2] == [[100.0, 1.0], [99.0, 2.0]]
    assert book["asks"][:2] == [[101.0, 2.0], [102.0, 3.0]]
    assert {k: v for k, v in book.items() if k not in ("bids", "asks", "reason")} == {
        "venue": "binance",
        "symbol": "BTC-USDT",
        "seq": 7,
        "ts": (NOW - 20_000_000) // 1_000_000,
        "state": "LIVE",
        "epoch": 1_767_225_500_000,
        "venueSeq": 1007,
        "receivedTs": (NOW - 10_000_000) // 1_000_000,
        "features": {
            "mid": 100.5,
            "microprice": 100.4,
            "spreadBps": 99.5,
            "obi": -0.2,
            "depthBid": 3.0,
            "depthAsk": 4.0,
            "depthTruncated": False,
            "tradeImbalance": 0.25,
        },
        "instrument": TABLE,
    }


async def test_a_book_says_what_its_venue_demands_as_soon_as_that_is_told() -> None:
    world = World()
    world.live()
    assert (await world.ask(BOOK)).json()["instrument"] == TABLE
    told = InstrumentTerms(
        tick=Decimal("0.1"), lot=Decimal("1E-8"), min_qty=Decimal("0.0001"), min_notional=Decimal("1E+1")
    )
    world.fold(L2_BOOK_HEALTH, KEY, msgspec.structs.replace(world.views.healths.items[KEY], terms=told))
    asked = {"tick": "0.1", "lot": "0.00000001", "minQty": "0.0001", "minNotional": "10", "source": "venue"}
    assert (await world.ask(BOOK)).json()["instrument"] == asked
    assert (await world.ask("/api/l2")).json()[0]["instrument"] == asked


@pytest.mark.parametrize("spelling", ["BTCUSDT", "btc-usdt", "BTC/USDT", "btc_usdt", "btc/usdt"])
async def test_every_spelling_of_a_symbol_names_the_same_book(spelling: str) -> None:
    world = World()
    world.live()
    assert (await world.ask(f"/api/l2/binance/{spelling}")).body == (await world.ask(BOOK)).body


@pytest.mark.parametrize("depth", [1, 50])
async def test_depth_is_the_number_of_levels(depth: int) -> None:
    world = World()
    world.live()
    book = (await world.ask(f"{BOOK}?depth={depth}")).json()
    assert len(book["bids"]) == len(book["asks"]) == depth


@pytest.mark.parametrize("depth", ["0", "51", "-1", "x", "", "1e1", "NaN", "9" * 5000])
async def test_another_depth_is_422_and_names_the_field(depth: str) -> None:
    world = World()
    world.live()
    problem = assert_problem(await world.ask(f"{BOOK}?depth={depth}"), 422, "invalid")
    assert problem["errors"][0]["field"] == "depth"


async def test_the_fast_path_and_the_route_give_the_same_bytes() -> None:
    world = World()
    world.live()
    fast = await world.ask(f"{BOOK}?depth=3")
    routed = await world.ask(f"{BOOK}?depth=3&anything=else")  # not plain: the route answers
    assert fast.body == routed.body
    for name in ("content-type", "cache-control", "content-length"):
        assert fast.headers[name] == routed.headers[name]


async def test_unknown_venue_symbol_and_unsubscribed_book_are_404_and_say_what_to_do() -> None:
    world = World()
    assert (
        "binance" in assert_problem(await world.ask("/api/l2/nope/BTCUSDT"), 404, "unknown-venue")["detail"]
    )
    assert_problem(await world.ask("/api/l2/binance/xyz"), 404, "unknown-symbol")
    detail = assert_problem(await world.ask(BOOK), 404, "not-subscribed")["detail"]
    assert "/api/l2/subscriptions" in detail


async def test_a_symbol_that_may_be_several_is_422_with_the_candidates() -> None:
    world = World()
    spelt = {"venue": "binance", "symbol": "BTCBUSD"}
    for answer in (await world.ask("/api/l2/binance/BTCBUSD"), await world.post(spelt)):
        (error,) = assert_problem(answer, 422, "invalid")["errors"]
        assert error["field"] == "symbol"
        assert "BTC-BUSD, BTCB-USD" in error["message"]


async def test_a_letter_that_only_looks_like_one_of_a_symbol_is_404() -> None:
    world = World()
    world.live()
    assert_problem(
        await world.ask("/api/l2/binance/\N{LATIN SMALL LETTER LONG S}olusdt"), 404, "unknown-symbol"
    )


async def test_a_book_that_never_synchronised_is_503_with_retry_after() -> None:
    world = World()
    world.fold(L2_BOOK_HEALTH, KEY, a_book_health(BookState.SYNCING))
    answer = await world.ask(BOOK)
    assert_problem(answer, 503, "book-not-synced")
    assert answer.headers["retry-after"] == "1"


async def test_a_book_that_is_live_no_more_answers_with_its_state() -> None:
    world = World()
    world.live(health=a_book_health(BookState.GAP, reason="hole after 12"))
    book = (await world.ask(BOOK)).json()
    assert (book["state"], book["reason"]) == ("GAP", "hole after 12")
    assert book["bids"]


async def test_a_book_whose_owner_is_silent_is_stale() -> None:
    world = World()
    world.live()
    world.now += 5_000_000_000
    assert (await world.ask(BOOK)).json()["state"] == "LIVE"
    world.now += 1
    book = (await world.ask(BOOK)).json()
    assert book["state"] == "STALE"
    assert "silent" in book["reason"]
    assert (await world.ask("/api/l2")).json()[0]["state"] == "STALE"


async def test_one_empty_side_gives_no_features_and_is_not_live_though_its_health_be_late() -> None:
    world = World()
    world.live(top=a_book_top(asks=(), features=None, venue_ts=None, venue_seq=None))
    book = (await world.ask(BOOK)).json()
    assert book["features"] is None
    assert book["state"] == "ONE_SIDED"
    assert book["reason"].startswith("no asks")
    assert book["asks"] == []
    assert book["venueSeq"] is None
    assert book["ts"] == book["receivedTs"]


async def test_the_list_shows_every_book_once_also_those_without_a_top() -> None:
    world = World()
    world.live()
    wish = Subscribed(venue="kraken", symbol="ETH-USDT", requested_ts=NOW)
    world.fold(L2_SUBSCRIPTIONS, b"kraken:ETH-USDT", wish)
    first, second = (await world.ask("/api/l2")).json()
    assert first.pop("reason")
    assert first == {
        "venue": "binance",
        "symbol": "BTC-USDT",
        "state": "LIVE",
        "epoch": 1_767_225_500_000,
        "seq": 7,
        "ts": (NOW - 20_000_000) // 1_000_000,
        "bestBid": 100.0,
        "bestAsk": 101.0,
        "gaps": 1,
        "resyncs": 2,
        "checksumFailures": 3,
        "ageMs": 10.0,
        "instrument": TABLE,
    }
    assert (second["venue"], second["state"], second["bestBid"], second["ageMs"]) == (
        "kraken",
        "SYNCING",
        None,
        None,
    )


async def test_a_dropped_book_is_gone_from_every_route() -> None:
    world = World()
    world.live()
    for topic in (L2_SUBSCRIPTIONS, L2_BOOK_HEALTH, L2_BOOK_TOPS):
        world.fold(topic, KEY, None)
    assert (await world.ask("/api/l2")).json() == []
    assert_problem(await world.ask(BOOK), 404, "not-subscribed")


async def test_nothing_is_answered_from_views_that_are_still_being_read() -> None:
    world = World(ready=False)
    for target in ("/api/l2", BOOK, "/readyz"):
        answer = await world.ask(target)
        assert "l2.book-tops.v1" in assert_problem(answer, 503, "not-ready")["detail"]
        assert answer.headers["retry-after"] == "1"
    assert_problem(await world.post({"venue": "binance", "symbol": "BTCUSDT"}), 503, "not-ready")
    assert (await world.ask("/healthz")).status == 200


async def test_an_unknown_route_is_404_and_a_wrong_method_405_with_those_allowed() -> None:
    world = World()
    assert_problem(await world.ask("/nope"), 404, "unknown-route")
    answer = await world.ask("/api/l2", "POST")
    assert_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, HEAD"
    assert (await world.ask("/api/l2/subscriptions")).headers["allow"] == "POST"
    assert (await world.ask("/openapi.json", "PUT")).headers["allow"] == "GET, HEAD"
    several = await world.ask("/api/l2/subscriptions/binance/BTCUSDT", "PUT")
    assert several.headers["allow"] == "DELETE, GET, HEAD"


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'{"venue": "\\ud800"}', b"[" * 60_000, b"'x'"])
async def test_a_body_that_is_not_json_is_400(raw: bytes) -> None:
    assert_problem(await World().post(raw), 400, "not-json")


@pytest.mark.parametrize("body", [[], "x", 1, None, True])
async def test_json_that_is_no_object_is_422(body: object) -> None:
    assert_problem(await World().post(body), 422, "invalid")


@pytest.mark.parametrize("content_type", ["text/plain", "application/jsonx", ""])
async def test_a_body_of_another_media_type_is_415(content_type: str) -> None:
    assert_problem(await World().post({}, content_type=content_type), 415, "wrong-media-type")


async def test_no_media_type_is_415_and_a_charset_is_welcome() -> None:
    world = World()
    assert_problem(await world.ask("/api/l2/subscriptions", "POST", b"{}"), 415, "wrong-media-type")
    assert_problem(await world.post({}, content_type="application/json; charset=utf-8"), 422, "invalid")


@pytest.mark.parametrize(
    "charset", ["iso-8859-1", "utf-16", '"us-ascii"', "utf-8; charset=latin1", "utf-8 x", "", '"utf-8']
)
async def test_another_charset_is_415_and_says_what_is_read(charset: str) -> None:
    answer = await World().post({}, content_type=f"application/json; charset={charset}")
    detail = assert_problem(answer, 415, "wrong-media-type")["detail"]
    assert "utf-8" in detail or "application/json" in detail


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "utf-8 ;", "utf-8; version=1"])
async def test_utf_8_is_read_however_it_is_declared(charset: str) -> None:
    answer = await World().post({}, content_type=f"application/json ;charset={charset}")
    assert_problem(answer, 422, "invalid")


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, deflate", "GZIP"])
async def test_a_content_encoding_is_415_and_names_identity(encoding: str) -> None:
    answer = await World().post({}, content_encoding=encoding)
    assert "identity" in assert_problem(answer, 415, "wrong-media-type")["detail"]
    assert answer.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
async def test_no_encoding_and_identity_are_the_same(encoding: str) -> None:
    assert_problem(await World().post({}, content_encoding=encoding), 422, "invalid")


async def test_a_media_type_made_to_be_slow_is_answered_at_once() -> None:
    slow = "application/json" + ";  " * 9_000 + "@"
    async with asyncio.timeout(5):
        assert_problem(await World().post({}, content_type=slow), 415, "wrong-media-type")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"venue": "binance", "symbol": "BTCUSDT", "venue": "kraken"}',
        b'{"venue": "binance", "v\\u0065nue": "binance"}',
        b'{"x": [1, {"y": {"venue": 1, "z": 1e999, "venue": -0}}]}',
    ],
)
async def test_a_key_that_stands_twice_is_400_and_named(raw: bytes) -> None:
    assert "'venue'" in assert_problem(await World().post(raw), 400, "not-json")["detail"]


async def test_one_key_in_two_objects_is_no_repetition() -> None:
    raw = b'{"a": {"venue": 1}, "b": [{"venue": 2}, {"venue": NaN}]}'
    assert_problem(await World().post(raw), 422, "invalid")


async def test_a_byte_order_mark_is_400_and_named() -> None:
    raw = b'\xef\xbb\xbf{"venue": "binance", "symbol": "BTCUSDT"}'
    assert "U+FEFF" in assert_problem(await World().post(raw), 400, "not-json")["detail"]


@pytest.mark.parametrize("number", [" 5", "5 ", "1_0", "5.0", "+5", "\N{FULLWIDTH DIGIT FIVE}", "1e1"])
@pytest.mark.parametrize("target", [f"{BOOK}?depth=", f"{BOOK}?at=", "/api/exec/records?limit="])
async def test_a_whole_number_of_an_address_is_plain_digits(target: str, number: str) -> None:
    world = World()
    world.live()
    problem = assert_problem(await world.ask(target + quote(number)), 422, "invalid")
    assert problem["errors"][0]["field"] == target.partition("?")[2].rstrip("=")


@pytest.mark.parametrize("number", [" 5", "1_0", "nan", "inf", "\N{ARABIC-INDIC DIGIT FIVE}"])
async def test_a_timeout_of_an_address_is_plain_digits(number: str) -> None:
    target = f"/api/exec/plan-and-execute?timeoutS={quote(number)}"
    answer = await World().ask(target, "POST", b"{}", {"content-type": "application/json"})
    assert assert_problem(answer, 422, "invalid")["errors"][0]["field"] == "timeoutS"


async def test_a_body_over_64_kib_is_413_however_it_is_cut() -> None:
    world = World()
    assert_problem(await world.post(b" " * (MAX_BODY + 1)), 413, "too-large")
    chunks = [b" " * 1000] * 66
    headers = {"content-type": "application/json"}
    assert_problem(await world.ask("/api/l2/subscriptions", "POST", chunks, headers), 413, "too-large")
    fits = json.dumps({"venue": "binance", "symbol": "BTCUSDT"}).encode().ljust(MAX_BODY)
    assert (await world.post(fits)).status == 201


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        (b"{}", {"venue", "symbol"}),
        (b'{"venue": "binance", "symbol": "BTCUSDT", "depth": 5}', {"depth"}),
        (b'{"venue": 5, "symbol": null}', {"venue", "symbol"}),
        (b'{"venue": NaN, "symbol": Infinity}', {"venue", "symbol"}),
        (b'{"venue": "", "symbol": "BTCUSDT"}', {"venue"}),
        (b'{"venue": "binance", "symbol": "' + b"x" * 41 + b'"}', {"symbol"}),
    ],
)
async def test_every_wrong_field_is_named_in_a_422(raw: bytes, fields: set[str]) -> None:
    problem = assert_problem(await World().post(raw), 422, "invalid")
    assert {error["field"] for error in problem["errors"]} == fields


@pytest.mark.parametrize("target", ["/api/stream", "/api/stream?topics=", "/api/stream?topics=a,,b"])
async def test_a_stream_of_no_topic_is_422(target: str) -> None:
    assert_problem(await World().ask(target), 422, "invalid")


@pytest.mark.parametrize("topic", ["nope", "gateway.idempotency.v1", "dead-letters.v1"])
async def test_a_topic_that_is_not_streamed_is_404_and_lists_those_that_are(topic: str) -> None:
    problem = assert_problem(await World().ask(f"/api/stream?topics={topic}"), 404, "unknown-topic")
    assert "l2.trades.v1" in problem["detail"]


async def test_a_failure_is_500_under_its_correlation_id_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()

    def broken() -> int:
        raise ZeroDivisionError

    world.api.state.parts = world.api.state.parts.__class__(
        **{**vars(world.api.state.parts), "clock": broken}
    )
    assert_problem(await world.ask("/api/l2"), 500, "internal")
    assert [record.message for record in caplog.records] == ["request_failed"]


async def test_the_document_of_the_api_names_every_route_and_resolves_every_reference() -> None:
    document = (await World().ask("/openapi.json")).json()
    assert set(document["paths"]) == {
        "/api/l2",
        "/api/l2/{venue}/{symbol}",
        "/api/l2/subscriptions",
        "/api/l2/subscriptions/{venue}/{symbol}",
        "/api/context",
        "/api/policies",
        "/api/signals",
        "/api/signals/webhook",
        "/api/router/choose",
        "/api/router/update",
        "/api/router/policies",
        "/api/router/scopes",
        "/api/router/policies/{policy_id}",
        "/api/router/snapshot",
        "/api/stream",
        "/api/at",
        "/api/venues/registry",
        "/api/venues/score",
        "/healthz",
        "/readyz",
        "/metrics",
        "/asyncapi.json",
        "/api/exec/simulate",
        "/api/exec/plan-and-execute",
        "/api/exec/records",
        "/api/exec/sizing/last",
        "/api/exec/halt",
        "/api/exec/resume",
        "/api/exec/limits",
        "/api/exec/{execution_id}",
        "/api/paper/orders",
        "/api/paper/orders/{order_id}",
        "/api/audit/{execution_id}",
        "/api/portfolio/optimize",
        "/api/portfolio/positions",
        "/api/portfolio/risk",
        "/api/performance",
        "/api/exec/{execution_id}/lineage",
        "/api/records/{topic}",
        "/api/records/{topic}/{partition}/{offset}",
        "/api/simulation",
        "/api/simulation/faults",
        "/api/simulation/faults/{number}",
        "/api/system",
        "/api/why",
    }
    references = set(_references(document))
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references <= known
    book = document["paths"]["/api/l2/{venue}/{symbol}"]["get"]["responses"]
    assert set(book) == {"200", "400", "403", "404", "414", "421", "422", "429", "431", "503"}


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [found for value in node.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    return []
