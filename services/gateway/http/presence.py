"""Whether a client is still there; a shell: it waits for what the server hears of the connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from starlette.types import Receive

T = TypeVar("T")


async def disconnected(receive: Receive) -> None:
    """Return once the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def while_there(receive: Receive, work: Coroutine[None, None, T]) -> T:
    """Return what `work` returns; it is given up, with what it holds, when the client leaves.

    Raises
    ------
    ClientDisconnect
        If that is sooner.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(disconnected(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        working.cancel()  # what has ended keeps its result
    await asyncio.wait({working, leaving})
    if working.cancelled():
        raise ClientDisconnect
    return working.result()
