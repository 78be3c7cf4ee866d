"""Work that waits, and is given up when something else comes first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


async def unless(event: asyncio.Event, work: Coroutine[None, None, T]) -> T | None:
    """Return what `work` returns; once `event` is set, give up what has not ended and return None."""
    working, setting = asyncio.ensure_future(work), asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({working, setting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        setting.cancel()
        working.cancel()  # what has ended keeps its result
    await asyncio.wait({working})
    return None if working.cancelled() else working.result()
