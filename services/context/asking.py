"""The network's shell: a source is asked within its rate, each answer within its time and size."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import aiohttp

from libs.common.reply_headers import pause_of
from libs.common.time_units import NS_PER_S
from libs.common.token_bucket import TokenBucket
from libs.common.venue_http import FAILURES, VenueHttp, told
from services.context.judging import OK, REFUSED, Reply

if TYPE_CHECKING:
    from collections.abc import Collection

    from services.context.source import Get, Source


class Asker:
    """Asks one source, and remembers what holds longer than a poll.

    Parameters
    ----------
    base
        Address that paths are appended to.
    timeout_s
        Longest wait for one answer.
    most_bytes
        Longest answer, as it is once it is no longer compressed.
    """

    def __init__(
        self, source: Source, http: VenueHttp, base: str, *, timeout_s: float, most_bytes: int
    ) -> None:
        self._source, self._http, self._base = source, http, base
        self._timeout_s, self._most_bytes = timeout_s, most_bytes
        self._bucket = None if source.rate is None else TokenBucket(source.rate, time.monotonic_ns())
        self._kept: dict[str, tuple[Reply, int]] = {}  # by path, with the end of its use
        self.requests = 0

    async def ask(self, symbols: Collection[str]) -> dict[str, Reply]:
        """Return the answers by path; after one that ends the poll, nothing more is asked."""
        replies: dict[str, Reply] = {}
        for get in self._source.requests(symbols):
            replies[get.path] = reply = await self._one(get)
            if reply.status not in {OK, REFUSED}:
                break
        return replies

    def forget(self) -> None:
        """Ask for everything at the next poll."""
        self._kept.clear()

    async def _one(self, get: Get) -> Reply:
        kept = self._kept.get(get.path)
        if kept is not None and time.monotonic_ns() < kept[1]:
            return kept[0]
        if self._bucket is not None:
            await asyncio.sleep(self._bucket.spend(time.monotonic_ns(), 1) / NS_PER_S)
        self.requests += 1
        reply = await get_within(self._http, self._base + get.path, self._timeout_s, self._most_bytes)
        if get.keep_s and reply.status == OK:
            self._kept[get.path] = (reply, time.monotonic_ns() + int(get.keep_s * NS_PER_S))
        return reply


async def get_within(http: VenueHttp, url: str, timeout_s: float, most_bytes: int) -> Reply:
    """GET an address; no answer, or one too long, has status 0 and the reason."""
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s), http.get(url, aiohttp.ClientTimeout(total=None)) as reply:
            pauses = [pause_of(text, time.time()) for text in reply.headers.getall("Retry-After", [])]
            async for piece in reply.content.iter_any():
                body += piece
                if len(body) > most_bytes:
                    return Reply(0, fault=f"the answer is longer than {most_bytes} bytes")
    except FAILURES as error:
        return Reply(0, fault=f"there is no answer: {told(error, http.proxies, url)}")
    pause = max((pause for pause in pauses if pause is not None), default=None)
    return Reply(reply.status, bytes(body), pause)
