"""What asks for an upgrade is answered as if it did not, and its body is a body."""

from __future__ import annotations

import asyncio
import json
import shutil

import pytest

from services.gateway.http.protocol import MAX_PIPELINED
from tests.unit.services.gateway.serving import Serving
from tests.unit.services.gateway.wire import answers_to, head_of
from tests.unit.services.gateway.world import World

WISH = json.dumps({"venue": "binance", "symbol": "BTC-USDT"}).encode()
SMUGGLED = b"DELETE /api/l2/subscriptions/binance/BTCUSDT HTTP/1.1\r\nHost: localhost\r\n\r\n"
H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
WEBSOCKET = (
    *("Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
SEVERAL = ("Upgrade: h2c", "Connection: upgrade", "UPGRADE: TLS/1.0, websocket")
NEXT = head_of("GET", "/healthz")
ASKING = pytest.mark.parametrize("asking", [H2C, WEBSOCKET, SEVERAL])


def a_world() -> World:
    world = World()
    world.live()
    return world


def a_post(body: bytes, *headers: str, chunked: bool) -> tuple[bytes, bytes]:
    """Return head and body as sent."""
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    head = head_of("POST", "/api/l2/subscriptions", "Content-Type: application/json", *headers, length)
    return head, b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body


def wishes(world: World) -> list[tuple[str, bytes]]:
    return [(type(sent.event).__name__, sent.key) for sent in world.writer.sent]


@ASKING
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("parted", [False, True])
async def test_a_body_belongs_to_its_request(asking: tuple[str, ...], chunked: bool, parted: bool) -> None:  # noqa: FBT001 -- each way to send one
    for body in (WISH, SMUGGLED, SMUGGLED * 2):
        plain, asked = a_world(), a_world()
        expected = await answers_to(plain, b"".join(a_post(body, chunked=chunked)) + NEXT)
        head, sent = a_post(body, *asking, chunked=chunked)
        parts = (head[:40], head[40:], sent[:9], sent[9:], NEXT) if parted else (head + sent + NEXT,)
        told = await answers_to(asked, *parts)
        assert [(each.status, each.body) for each in told] == [(each.status, each.body) for each in expected]
        assert len(told) == 2
        assert wishes(asked) == wishes(plain)
        assert not any(each.headers.keys() & {"upgrade"} for each in told)


@ASKING
@pytest.mark.parametrize("target", ["/healthz", "/api/l2/binance/BTCUSDT", "/nope"])
async def test_a_get_is_answered_and_so_is_what_follows(asking: tuple[str, ...], target: str) -> None:
    plain = await answers_to(a_world(), head_of("GET", target) + NEXT)
    told = await answers_to(a_world(), head_of("GET", target, *asking) * 3 + NEXT)
    assert [each.status for each in told] == [plain[0].status] * 3 + [200]
    assert {each.body for each in told[:3]} == {plain[0].body}


@pytest.mark.parametrize("target", ["evil.example:443", "/api/l2/subscriptions/binance/BTCUSDT"])
@pytest.mark.parametrize("parted", [False, True])
async def test_no_tunnel_is_opened_and_nothing_behind_its_head_is_read(target: str, parted: bool) -> None:  # noqa: FBT001 -- both ways to send it
    world = a_world()
    head = head_of("CONNECT", target)
    told = await answers_to(world, *((head, SMUGGLED) if parted else (head + SMUGGLED,)))
    assert [each.status for each in told] == [400]
    assert told[0].headers["connection"] == "close"
    assert wishes(world) == []


async def test_so_many_requests_at_once_are_answered_and_the_last_says_that_no_more_are_read() -> None:
    told = await answers_to(a_world(), NEXT * (MAX_PIPELINED * 3))
    assert [each.status for each in told] == [200] * (MAX_PIPELINED + 1)
    assert ["connection" in each.headers for each in told] == [False] * MAX_PIPELINED + [True]
    told = await answers_to(a_world(), *([NEXT] * 3 * MAX_PIPELINED))  # one after the other, all
    assert len(told) == 3 * MAX_PIPELINED


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_curl_that_would_rather_speak_http_2_gets_its_answer() -> None:
    world = a_world()
    async with Serving(world).listening() as (host, port):
        arguments = ("--http2", "-X", "POST", "-H", "Content-Type: application/json", "-d", WISH.decode())
        address = f"http://{host}:{port}/api/l2/subscriptions"
        curl = await asyncio.create_subprocess_exec(
            *("curl", "-sS", "--max-time", "20", *arguments, address, address), stdout=-1, stderr=-1
        )
        told, complaint = await curl.communicate()
    assert (curl.returncode, complaint) == (0, b"")
    assert told.count(b'"symbol":"BTC-USDT"') == 2, told


@pytest.mark.parametrize(
    ("line", "headers"),
    [
        ("GET http://localhost HTTP/1.1", ()),
        ("GET http://a:99999999/ HTTP/1.1", ()),
        ("POST /healthz HTTP/1.1", ("Transfer-Encoding: gzip",)),
        ("POST /healthz HTTP/1.1", ("Transfer-Encoding: xchunked",)),
    ],
)
@ASKING
async def test_what_is_no_http_is_refused_with_an_upgrade_as_without(
    asking: tuple[str, ...], line: str, headers: tuple[str, ...]
) -> None:
    for more in ((), asking):
        world = World()
        sent = "\r\n".join((line, "Host: localhost", *headers, *more, "", ""))
        (told,) = await answers_to(world, sent.encode())
        assert told.status == 400
        assert world.refusals["not-http"] == 1


@ASKING
async def test_so_many_upgrades_at_once_are_answered_too(asking: tuple[str, ...]) -> None:
    told = await answers_to(World(), head_of("GET", "/healthz", *asking) * (MAX_PIPELINED + 2))
    assert [each.status for each in told] == [200] * (MAX_PIPELINED + 1)
    assert told[-1].headers["connection"] == "close"
