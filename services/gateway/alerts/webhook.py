"""The way to the webhook: one POST, bounded in time and size, of which nothing tells the address; a shell."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, NamedTuple, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.resolver import ThreadedResolver

from libs.common.proxies import UnusableProxyError
from libs.common.venue_http import FAILURES, connector_through

if TYPE_CHECKING:
    from types import TracebackType

    from aiohttp.abc import ResolveResult
    from pydantic import SecretStr

    from libs.common.proxies import Proxies

TIMEOUT_S: Final = 2.0  # from the first lookup to the answer's head
MOST_PAUSE_S: Final = 3_600  # that a receiver may ask for
_SECONDS: Final = re.compile(r"\d{1,8}", re.ASCII)
MOST_READ: Final = 2_048  # bytes of an answer
HEADERS: Final = {"Content-Type": "application/json", "User-Agent": "bookrunner-alerts"}


class Reply(NamedTuple):
    """What the receiver answered."""

    status: int
    pause_s: int  # that it asks for; 0 if it does not
    text: str = ""

    @property
    def taken(self) -> bool:
        """Whether it took the message."""
        return 200 <= self.status < 300  # noqa: PLR2004 -- HTTP's own

    @property
    def refused(self) -> bool:
        """Whether the same message will hardly be taken later: redirects, and 4xx but for "not now"."""
        return 300 <= self.status < 500 and self.status not in {408, 425, 429}  # noqa: PLR2004 -- as above


class NoReplyError(Exception):
    """Nobody answered; the text says why, and not whom was asked."""


class Webhook:
    """Posts to one address; an asynchronous context. No redirect is followed, no cookie kept."""

    def __init__(self, url: SecretStr, proxies: Proxies) -> None:
        self._url = url
        self._proxies = proxies
        self._open = AsyncExitStack()
        self._session: aiohttp.ClientSession | None = None
        self._through: str | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def post(self, body: bytes, *, reads: bool = False) -> Reply:
        """Send a body, and return the answer's head, with the beginning of its text if that is wanted.

        Raises
        ------
        NoReplyError
            If there is no answer within `TIMEOUT_S`, for whatever reason.
        """
        try:
            session = await self._connected()
            async with session.post(
                self._url.get_secret_value(),
                data=body,
                headers=HEADERS,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                allow_redirects=False,
                proxy=self._through,
            ) as reply:
                text = await self._beginning(reply) if reads else ""
                return Reply(reply.status, _pause_s(reply.headers.get("Retry-After", "")), text)
        except UnusableProxyError as error:
            raise NoReplyError(str(error)) from None
        except FAILURES as error:  # whose texts name the address
            raise NoReplyError(reason_of(error)) from None

    async def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            proxy = self._proxies.to(self._url.get_secret_value())
            if proxy is not None and proxy.is_socks:
                connector: aiohttp.TCPConnector = connector_through(proxy)
            else:
                self._through = None if proxy is None else proxy.url
                connector = aiohttp.TCPConnector(limit=1, resolver=OneLookup())
            self._session = await self._open.enter_async_context(
                aiohttp.ClientSession(
                    connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
                )
            )
        return self._session

    async def _beginning(self, reply: aiohttp.ClientResponse) -> str:
        """Return the beginning of an answer's text, the address left out if it repeats it."""
        try:
            read = await reply.content.read(MOST_READ)
        except FAILURES:
            return ""
        text, address = read.decode("utf-8", "replace"), urlsplit(self._url.get_secret_value())
        for part in (address.geturl(), address.path, address.query, address.password or ""):
            text = text.replace(part, "…") if len(part) > 1 else text
        return text


class OneLookup(AbstractResolver):
    """Looks an address up, one lookup at a time: a name server that hangs takes no second thread."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()
        self._lookups: dict[tuple[str, int, int], asyncio.Task[list[ResolveResult]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the host's addresses; one who asks while they are looked up waits for the same answer."""
        wanted = (host, port, family)
        lookup = self._lookups.get(wanted)
        if lookup is None:
            lookup = self._lookups[wanted] = asyncio.create_task(self._resolver.resolve(host, port, family))
            lookup.add_done_callback(lambda done: self._done(wanted, done))
        return await asyncio.shield(lookup)

    async def close(self) -> None:
        """Wait for nothing: a thread cannot be ended, and its answer is not taken."""
        for lookup in self._lookups.values():
            lookup.cancel()

    def _done(self, wanted: tuple[str, int, int], lookup: asyncio.Task[list[ResolveResult]]) -> None:
        self._lookups.pop(wanted, None)
        if not lookup.cancelled():
            lookup.exception()  # seen, though nobody may wait any more


def reason_of(error: BaseException) -> str:
    """Say why there was no answer, in words of ours: those of libraries name the address."""
    match error:
        case TimeoutError():
            return f"no answer within {TIMEOUT_S:g} s"
        case aiohttp.ClientConnectorDNSError():
            return "its host's name is not found"
        case aiohttp.ClientSSLError():
            return "TLS failed: its certificate is not trusted, or it speaks no TLS"
        case aiohttp.ClientOSError(errno=number) if number:
            return f"cannot be reached: {os.strerror(number)}"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed without an answer"
        case _:
            return f"no answer: {type(error).__name__}"


def _pause_s(said: str) -> int:
    """Return how many seconds an answer asks for; a date, or what is no number, asks for none."""
    return min(int(said), MOST_PAUSE_S) if _SECONDS.fullmatch(said) else 0
