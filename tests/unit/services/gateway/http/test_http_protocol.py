"""What the bytes of a request are answered with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.gateway.http.problems import MEDIA_TYPE
from tests.unit.services.gateway.wire import exchange, head_of
from tests.unit.services.gateway.world import World

if TYPE_CHECKING:
    from tests.unit.services.gateway.wire import Told

BOOK = "/api/l2/binance/BTCUSDT"
READ = [
    BOOK,
    f"{BOOK}?depth=3&x=1",
    "/api/l2",
    "/healthz",
    "/metrics",
    "/docs",
    "/openapi.json",
    "/asyncapi.json",
]
REFUSED = ["/nope", "/api/l2/nope/x", "/api/l2/subscriptions", f"{BOOK}?depth=0", "/docs/nope"]
CHANGING = (
    "x-correlation-id",
    "transfer-encoding",
)  # each its own; a HEAD needs none: RFC 9110 section 9.3.2


def a_world() -> World:
    world = World()
    world.live()
    return world


def lasting(told: Told) -> dict[str, str]:
    return {name: value for name, value in told.headers.items() if name not in CHANGING}


def assert_refused(told: Told, status: int, says: str) -> None:
    assert (told.status, told.headers["content-type"]) == (status, MEDIA_TYPE), told
    assert says in told.json()["detail"]


@pytest.mark.parametrize("target", READ + REFUSED)
async def test_a_head_has_the_status_and_the_headers_of_the_get_and_no_body(target: str) -> None:
    world = a_world()
    got = await exchange(world, head_of("GET", target))
    told = await exchange(world, head_of("HEAD", target))
    assert (told.status, lasting(told), told.body) == (got.status, lasting(got), b"")
    assert int(told.headers["content-length"]) == len(got.body)


async def test_a_head_of_a_stream_is_answered_and_leaves_no_stream_open() -> None:
    world = a_world()
    told = await exchange(world, head_of("HEAD", "/api/stream?topics=l2.trades.v1"))
    assert (told.status, told.body) == (200, b"")
    assert told.headers["content-type"].startswith("text/event-stream")
    assert world.hub.open_streams == 0
    await world.hub.close()


async def test_a_head_of_a_stream_that_cannot_open_says_so() -> None:
    world = a_world()
    world.script.away = OSError("no Kafka")
    told = await exchange(world, head_of("HEAD", "/api/stream?topics=l2.trades.v1"))
    assert (told.status, told.body) == (503, b"")
    await world.hub.close()


@pytest.mark.parametrize("target", [BOOK, "/api/l2", "/nope"])
async def test_without_host_http_1_1_is_400_and_1_0_is_not(target: str) -> None:
    world = a_world()
    assert_refused(await exchange(world, head_of("GET", target, host=None)), 400, "needs the header Host")
    assert world.refusals == {"not-http": 1}
    assert (await exchange(world, head_of("GET", target, host=None, version="1.0"))).status != 400


@pytest.mark.parametrize("target", [BOOK, "/api/l2"])
async def test_two_hosts_are_400(target: str) -> None:
    assert_refused(await exchange(a_world(), head_of("GET", target, "Host: x")), 400, "2 times")


@pytest.mark.parametrize("host", ["[", "[::1", "a b", "a/b", "x:y", "x@y", "\xe4", "[zz]"])
async def test_a_host_that_is_none_is_400(host: str) -> None:
    assert_refused(await exchange(a_world(), head_of("GET", "/nope", host=host)), 400, "is no host")


@pytest.mark.parametrize("host", ["", "localhost:5000", "[::1]:5000", "10.0.0.1", "desk.example:", "a_b"])
async def test_a_host_may_be_an_address_or_a_name_that_is_listed(host: str) -> None:
    world = World(served_as="desk.example, a_b")
    world.live()
    assert (await exchange(world, head_of("GET", BOOK, host=host))).status == 200


@pytest.mark.parametrize("name", ["Content-Type", "Idempotency-Key", "Last-Event-Id", "Origin"])
async def test_a_header_that_may_stand_once_is_400_if_it_stands_twice(name: str) -> None:
    told = await exchange(a_world(), head_of("GET", "/healthz", f"{name}: a", f"{name}: b"))
    assert_refused(told, 400, name)


@pytest.mark.parametrize("length", ["9" * 5000, "0" * 5000 + "1", "+5", "1_0", "5 5", "\xb2"])
async def test_a_length_beyond_all_bounds_or_of_other_digits_is_refused(length: str) -> None:
    head = head_of(
        "POST", "/api/l2/subscriptions", "Content-Type: application/json", f"Content-Length: {length}"
    )
    told = await exchange(a_world(), head + b"x")
    assert told.status in {400, 413, 431}
    assert told.headers["content-type"] == MEDIA_TYPE


async def test_a_header_folded_over_two_lines_is_refused() -> None:
    told = await exchange(a_world(), head_of("GET", "/healthz", "X-Forwarded-For: 10.0.0.1,\r\n a:b"))
    assert told.status == 400
    assert told.headers["content-type"] == MEDIA_TYPE


async def test_a_failure_outside_the_routes_is_a_problem_document_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = a_world()

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(world.guard, "refusal", fail)
    assert_refused(await exchange(world, head_of("GET", "/healthz")), 500, "its log says why")
    monkeypatch.setattr(world.books, "hot_page", fail)
    assert_refused(await exchange(world, head_of("GET", BOOK)), 500, "its log says why")
