"""Work for a client that leaves is given up, and with it the place that it held."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from starlette.requests import ClientDisconnect

from services.gateway.http.places import Places
from services.gateway.http.presence import while_there

if TYPE_CHECKING:
    from starlette.types import Message


def a_client() -> tuple[asyncio.Event, asyncio.Queue[Message]]:
    return asyncio.Event(), asyncio.Queue()


async def test_who_leaves_gives_back_the_place() -> None:
    places = Places("audits", "audits are being read", 2, 1, retry_after_s=1)
    begun, sent = a_client()

    async def work() -> None:
        with places.held("127.0.0.1"):
            begun.set()
            await asyncio.Event().wait()

    waiting = asyncio.create_task(while_there(sent.get, work()))
    await begun.wait()
    assert places.taken.total == 1
    sent.put_nowait({"type": "http.request", "body": b"", "more_body": False})
    sent.put_nowait({"type": "http.disconnect"})
    with pytest.raises(ClientDisconnect):
        await waiting
    assert places.taken.total == 0


async def test_who_stays_gets_what_was_found_or_why_not() -> None:
    _, sent = a_client()

    async def found() -> int:
        return 7

    async def failed() -> int:
        raise KeyError("none")

    assert await while_there(sent.get, found()) == 7
    with pytest.raises(KeyError):
        await while_there(sent.get, failed())
