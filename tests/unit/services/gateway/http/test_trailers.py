"""What stands behind a chunked body is no header, and is bounded."""

from __future__ import annotations

import json

from services.gateway.http.protocol import MAX_HEAD
from services.gateway.http.strict_json import MAX_BODY
from tests.unit.services.gateway.wire import answers_to, head_of
from tests.unit.services.gateway.world import World

WISH = json.dumps({"venue": "binance", "symbol": "BTC-USDT"}).encode()
HEAD = head_of(
    "POST", "/api/l2/subscriptions", "Content-Type: application/json", "Transfer-Encoding: chunked"
)
BODY = b"%x\r\n%b\r\n0\r\n" % (len(WISH), WISH)


def a_world() -> World:
    world = World()
    world.live()
    return world


async def test_a_trailer_is_no_header_of_its_request() -> None:
    told = await answers_to(
        a_world(), HEAD + BODY + b"Host: evil.example\r\nContent-Type: text/plain\r\n\r\n"
    )
    assert [each.status for each in told] == [200]


async def test_trailers_without_end_are_refused_and_keep_no_memory() -> None:
    world = a_world()
    part = b"a: b\r\n" * 2_000
    told = await answers_to(world, HEAD + BODY, *[part] * (MAX_HEAD // len(part) + 3))
    assert [each.status for each in told] == [431]
    assert world.writer.sent == []


async def test_one_trailer_without_end_is_refused_too() -> None:
    told = await answers_to(a_world(), HEAD + BODY + b"a: ", *[b"x" * 10_000] * (MAX_HEAD // 10_000 + 3))
    assert [each.status for each in told] == [431]


async def test_sizes_of_chunks_without_end_are_refused() -> None:
    told = await answers_to(a_world(), HEAD, *[b"0" * 10_000] * (MAX_HEAD // 10_000 + 3))
    assert [each.status for each in told] in ([400], [431])


async def test_a_body_of_many_small_chunks_is_taken() -> None:
    body = b"".join(b"1\r\n%c\r\n" % byte for byte in WISH)
    parts = [bytes([byte]) for byte in body]
    told = await answers_to(a_world(), HEAD, *parts, b"0\r\n\r\n")
    assert [each.status for each in told] == [200]


async def test_the_largest_body_may_come_at_once_or_in_large_parts() -> None:
    padded = WISH + b" " * (MAX_BODY - len(WISH))
    whole = b"%x\r\n%b\r\n0\r\n\r\n" % (len(padded), padded)
    halves = [whole[: len(whole) // 2], whole[len(whole) // 2 :]]
    for parts in ([HEAD, whole], [HEAD + whole], [HEAD, *halves]):
        told = await answers_to(a_world(), *parts)
        assert [each.status for each in told] == [200]
