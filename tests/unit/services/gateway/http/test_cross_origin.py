from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from services.gateway.settings import GatewaySettings
from tests.unit.services.gateway.wire import exchange, head_of
from tests.unit.services.gateway.world import World

OURS = "https://desk.example"
BOOK = "/api/l2/binance/BTCUSDT"
STREAM = "/api/stream?topics=l2.trades.v1"
TOKEN = "c2VjcmV0LXRva2VuLXNlY3JldA"  # noqa: S105 -- a test's own
ASKED = "Access-Control-Request-Method: POST"
GRANT = "access-control-allow-origin"


def a_world(origins: str = f"{OURS}, http://localhost:3000", **settings: Any) -> World:
    world = World(cors_origins=origins, **settings)
    world.live()
    return world


@pytest.mark.parametrize("target", [BOOK, "/api/l2", "/nope", f"{BOOK}?depth=0", "/docs", "/openapi.json"])
async def test_it_is_off_by_default(target: str) -> None:
    world = a_world("")
    read = await world.ask(target, headers={"origin": OURS})
    preflight = await exchange(world, head_of("OPTIONS", target, f"Origin: {OURS}", ASKED))
    for name, value in (*read.headers.items(), *preflight.headers.items()):
        assert not name.startswith("access-control")
        assert (name, "origin" in value.lower()) != ("vary", True)
    assert preflight.status in {404, 405}


@pytest.mark.parametrize("target", [BOOK, "/api/l2", "/nope", f"{BOOK}?depth=0", "/docs", "/openapi.json"])
async def test_a_page_of_an_allowed_origin_may_read_every_answer_and_another_may_not(target: str) -> None:
    world = a_world()
    for origin in (OURS, "http://localhost:3000"):
        answer = await world.ask(target, headers={"origin": origin})
        assert answer.headers[GRANT] == origin
        assert "X-Correlation-Id" in answer.headers["access-control-expose-headers"]
        assert answer.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in answer.headers
    for origin in ("null", f"{OURS}.evil", "http://desk.example", "HTTPS://DESK.EXAMPLE", "*", ""):
        answer = await world.ask(target, headers={"origin": origin})
        assert GRANT not in answer.headers
        assert answer.headers["vary"] == "Origin"
    assert GRANT not in (await world.ask(target)).headers


async def test_a_stream_and_bytes_that_are_no_http_are_told_too() -> None:
    world = a_world()
    head = await exchange(world, head_of("HEAD", STREAM, f"Origin: {OURS}"))
    assert (head.status, head.headers[GRANT]) == (200, OURS)
    await world.hub.close()
    broken = await exchange(world, head_of("POST", BOOK, f"Origin: {OURS}", "Content-Length: x"))
    assert (broken.status, broken.headers[GRANT]) == (400, OURS)


async def test_a_preflight_is_answered_without_the_token_and_allows_what_the_routes_take() -> None:
    world = a_world(token=SecretStr(TOKEN), write_burst=1)
    for _ in range(3):
        told = await exchange(
            world, head_of("OPTIONS", "/api/l2/subscriptions", f"Origin: {OURS.lower()}", ASKED)
        )
        assert (told.status, told.body) == (204, b"")
        assert told.headers[GRANT] == OURS
        assert {"get", "post", "delete"} <= set(told.headers["access-control-allow-methods"].split(", "))
        for header in ("authorization", "content-type", "idempotency-key"):
            assert header in told.headers["access-control-allow-headers"].split(", ")


@pytest.mark.parametrize("headers", [[f"Origin: {OURS}"], [ASKED], ["Origin: https://evil.example", ASKED]])
async def test_what_is_no_preflight_of_an_allowed_origin_is_a_405(headers: list[str]) -> None:
    told = await exchange(a_world(), head_of("OPTIONS", "/api/l2", *headers))
    assert told.status == 405
    assert told.headers["allow"] == "get, head"


async def test_every_origin_is_allowed_only_where_changes_need_a_token() -> None:
    answer = await a_world("*", token=SecretStr(TOKEN)).ask(BOOK, headers={"origin": "https://any.example"})
    assert answer.headers[GRANT] == "*"
    with pytest.raises(ValidationError, match="needs a GATEWAY_TOKEN"):
        GatewaySettings(cors_origins="*")


@pytest.mark.parametrize(
    "origins",
    [
        *("desk.example", "https://desk.example/", "https://Desk.example", "ftp://x", "null", "https://*.x"),
        *("https://x:443", "http://x:80", "https://x:", "https://a b", "https://x?y", f"*,{OURS}"),
        *("https://u@x", "https://x\r\ny: z", "https://x:0"),
    ],
)
def test_a_setting_that_no_browser_would_send_is_refused_at_the_start(origins: str) -> None:
    with pytest.raises(ValidationError, match="GATEWAY_CORS_ORIGINS"):
        GatewaySettings(cors_origins=origins, token=SecretStr(TOKEN))
