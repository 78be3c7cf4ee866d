"""What a web page of another origin, or one with a rebound name, is answered."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from services.gateway.settings import GatewaySettings
from tests.unit.services.gateway.http.test_api import assert_problem
from tests.unit.services.gateway.wire import exchange, head_of
from tests.unit.services.gateway.world import World

WISH = {"venue": "binance", "symbol": "BTC-USDT"}
BOOK = "/api/l2/binance/BTCUSDT"
ENDED = "/api/l2/subscriptions/binance/BTCUSDT"
READ = [
    BOOK,
    f"{BOOK}?depth=3",
    "/api/l2",
    "/healthz",
    "/readyz",
    "/metrics",
    "/docs",
    "/openapi.json",
    "/nope",
]


def a_world(**settings: Any) -> World:
    world = World(**settings)
    world.live()
    return world


@pytest.mark.parametrize("target", READ)
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:5000", "127.0.0.1.evil.example", "localhost.evil.example", "x"]
)
async def test_a_page_whose_name_was_rebound_to_this_machine_reads_nothing(target: str, host: str) -> None:
    world = a_world()
    told = await exchange(world, head_of("GET", target, host=host))
    assert told.status == 421
    assert told.json()["type"] == "/docs#misdirected"
    assert "GATEWAY_SERVED_AS" in told.json()["detail"]
    assert world.refusals == {"misdirected": 1}


async def test_a_page_whose_name_was_rebound_to_this_machine_changes_nothing() -> None:
    world = a_world()
    answer = await world.post(WISH, host="evil.example:5000", origin="http://evil.example:5000")
    assert_problem(answer, 421, "misdirected")
    answer = await world.ask(ENDED, "DELETE", headers={"host": "evil.example:5000"})
    assert_problem(answer, 421, "misdirected")
    assert world.writer.sent == []


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:5000", "[::1]:5000", "192.0.2.7"])
async def test_this_machine_is_asked_by_address_or_as_localhost(host: str) -> None:
    assert (await exchange(a_world(), head_of("GET", BOOK, host=host))).status == 200


@pytest.mark.parametrize("host", ["desk.example", "DESK.example:443", "gateway:5000"])
async def test_a_name_is_served_once_it_is_listed(host: str) -> None:
    assert (await exchange(a_world(), head_of("GET", BOOK, host=host))).status == 421
    world = a_world(served_as="gateway, Desk.example")
    assert (await exchange(world, head_of("GET", BOOK, host=host))).status == 200


async def test_the_name_that_is_listened_on_is_served() -> None:
    world = a_world(host="desk.example", private_network=True)
    assert (await exchange(world, head_of("GET", BOOK, host="desk.example:5000"))).status == 200


@pytest.mark.parametrize("names", ["*", "desk.example:5000", "https://desk.example", "a b", ".x", "x/"])
def test_names_that_are_none_are_refused_at_the_start(names: str) -> None:
    with pytest.raises(ValidationError, match="GATEWAY_SERVED_AS"):
        GatewaySettings(served_as=names)


FOREIGN = [
    {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-site"},
    {"origin": "http://127.0.0.1:8000"},  # of a browser that says no more
    {"origin": "http://localhost:5000"},  # another origin, though it may be the same server
    {"origin": "https://127.0.0.1:5000"},
    {"origin": "http://127.0.0.1"},
    {"origin": "http://127.0.0.1:50001"},
    {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    {"origin": "null"},
    {"origin": "null", "sec-fetch-site": "same-origin"},
    {"origin": ""},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "what comes next"},
    {"origin": "http://127.0.0.1:5000", "sec-fetch-site": "same-site"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH", "BREW"])
async def test_a_page_of_another_origin_changes_nothing(method: str, headers: dict[str, str]) -> None:
    world = a_world()
    answer = await world.ask(ENDED, method, b"{}", headers | {"content-type": "application/json"})
    document = assert_problem(answer, 403, "foreign-page")
    assert "GATEWAY_CORS_ORIGINS" in document["detail"]
    assert world.writer.sent == []
    assert world.refusals == {"foreign-page": 1}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://127.0.0.1:5000", "sec-fetch-site": "same-origin"},
        {"origin": "http://127.0.0.1:5000"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "same-origin"},
        {"origin": "https://127.0.0.1:5000", "sec-fetch-site": "same-origin"},  # through a proxy with TLS
        {"host": "LocalHost:5000", "origin": "http://localhost:5000"},
        {"host": "[::1]:5000", "origin": "http://[::1]:5000"},
    ],
)
async def test_programs_and_the_gateways_own_pages_change_what_they_did(headers: dict[str, str]) -> None:
    world = a_world()
    assert (await world.post(WISH, **headers)).status == 200
    assert (await world.ask(ENDED, "DELETE", headers=headers)).status == 200


async def test_a_page_that_is_listed_may_change_something_and_null_never_is() -> None:
    world = a_world(cors_origins="https://desk.example")
    listed = {"origin": "https://desk.example", "sec_fetch_site": "cross-site"}
    assert (await world.post(WISH, **listed)).status == 200
    others = {"origin": "https://other.example", "sec_fetch_site": "cross-site"}
    assert (await world.post(WISH, **others)).status == 403
    token = "c2VjcmV0LXRva2VuLXNlY3JldA"  # noqa: S105 -- a test's own
    world = a_world(cors_origins="*", token=token)
    bearer = {"authorization": f"Bearer {token}"}
    assert (await world.post(WISH, **others, **bearer)).status == 200
    assert (await world.post(WISH, origin="null", **bearer)).status == 403


@pytest.mark.parametrize("headers", FOREIGN)
async def test_a_page_of_another_origin_is_not_let_read_and_lets_nothing_be_made(
    headers: dict[str, str],
) -> None:
    for target in (BOOK, "/api/l2", f"{BOOK}?at=1", "/api/audit/7d444840", "/nope", "/openapi.json"):
        answer = await a_world().ask(target, headers=headers)
        told = headers.get("sec-fetch-site", "same-origin") != "same-origin"  # else the browser alone knows
        hot = target == BOOK  # costs less than the refusal
        assert (answer.status == 403) is (told and not hot)
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in answer.headers


async def test_a_link_is_followed_and_a_frame_or_picture_is_not() -> None:
    foreign = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert (await a_world().ask("/docs", headers=foreign | {"sec-fetch-dest": "document"})).status == 200
    for dest in ("iframe", "image", "empty", "script"):
        answer = await a_world().ask("/docs", headers=foreign | {"sec-fetch-dest": dest})
        assert_problem(answer, 403, "foreign-page")
    listed = {"origin": "https://desk.example", "sec-fetch-site": "cross-site", "sec-fetch-dest": "empty"}
    world = a_world(cors_origins="https://desk.example")
    assert (await world.ask("/api/l2", headers=listed)).status == 200


async def test_a_refusal_of_what_is_no_http_is_not_for_other_pages_either() -> None:
    told = await exchange(a_world(), head_of("POST", BOOK, "Content-Length: x"))
    assert told.headers["cross-origin-resource-policy"] == "same-origin"


async def test_a_foreign_page_is_refused_before_the_token_and_the_rates() -> None:
    token = "c2VjcmV0LXRva2VuLXNlY3JldA"  # noqa: S105 -- a test's own
    world = a_world(write_burst=1, write_rate_per_s=1, token=token)
    for _ in range(3):
        assert (await world.post(WISH, origin="http://127.0.0.1:8000")).status == 403
    assert (await world.post(WISH, authorization=f"Bearer {token}")).status == 200


async def test_openapi_tells_of_both_refusals() -> None:
    paths = (await a_world().ask("/openapi.json")).json()["paths"]
    for methods in paths.values():
        for method, operation in methods.items():
            assert "421" in operation["responses"]
            assert "403" in operation["responses"], method
