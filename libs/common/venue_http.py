"""The client of venues' REST: each address is asked through the proxy that the variables say."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final, Self

import aiohttp
from aiohttp_socks import ProxyConnectionError, ProxyConnector, ProxyError, ProxyTimeoutError, ProxyType

from libs.common.printable import printable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from libs.common.proxies import Proxies, Proxy

# What a request may fail of that no code is to blame for; ValueError: an address that is none.
FAILURES: Final = (
    OSError,
    EOFError,  # a SOCKS proxy that hangs up in the middle of its answer
    TimeoutError,
    ValueError,
    aiohttp.ClientError,
    ProxyError,
    ProxyConnectionError,
    ProxyTimeoutError,
)
# Before a host: libraries quote names and passwords each in its own way, so they are not looked for alone.
_USERINFO: Final = re.compile(r"//[^\s/]*@")


class VenueHttp:
    """Sessions of HTTP, one for each way out; an asynchronous context.

    No cookie is kept: their dates and ages are not even read. No redirect is followed. Bodies are asked for
    compressed, and read as they were before.

    Attributes
    ----------
    proxies
        What the variables said when this process began.
    """

    def __init__(self, proxies: Proxies) -> None:
        self.proxies = proxies
        self._sessions: dict[Proxy | None, aiohttp.ClientSession] = {}  # None: all that need no connector
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    @asynccontextmanager
    async def get(
        self, url: str, patience: aiohttp.ClientTimeout, *, way_to: str = ""
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask for an address.

        Parameters
        ----------
        way_to
            The address whose way it is asked, if not its own: that of a socket at the same host.

        Raises
        ------
        Exception
            One of `FAILURES`, if there is no reply; `told` says which, and of which proxy.
        """
        proxy = self.proxies.to(way_to or url)
        session = self._session(proxy)
        through = None if proxy is None or proxy.is_socks else proxy.url
        async with session.get(url, timeout=patience, allow_redirects=False, proxy=through) as reply:
            yield reply

    def _session(self, proxy: Proxy | None) -> aiohttp.ClientSession:
        way = proxy if proxy is not None and proxy.is_socks else None
        if way not in self._sessions:
            self._sessions[way] = aiohttp.ClientSession(
                connector=None if way is None else connector_through(way),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,  # the variables are read in `Proxies`, once for all clients
            )
            self._open.push_async_callback(self._sessions[way].close)
        return self._sessions[way]


def told(error: Exception, proxies: Proxies, url: str) -> str:
    """Return what is said of an address that could not be asked: why, and through which proxy.

    Credentials of a proxy are left out, whatever a library says of it.
    """
    why = str(error) or ("no answer in time" if isinstance(error, TimeoutError) else "no reason given")
    try:
        proxy = proxies.to(url)
    except ValueError:  # which is then the error
        proxy = None
    if proxy is None:
        return printable(f"{type(error).__name__}: {why}")
    said = _USERINFO.sub("//", why.replace(proxy.url, str(proxy)))
    for secret in filter(None, (proxy.userinfo, proxy.password)):
        said = said.replace(secret, "…")
    return printable(f"{type(error).__name__}: {said}; through {proxy}")


def connector_through(proxy: Proxy) -> ProxyConnector:
    """Return what connects a session through a SOCKS proxy."""
    kind = ProxyType.SOCKS4 if proxy.scheme.startswith("socks4") else ProxyType.SOCKS5
    return ProxyConnector(proxy.host, proxy.port, kind, proxy.username, proxy.password, rdns=proxy.resolves)
