"""What a proxy does is a failure that is told; no credential of it is said, however a library writes it."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from libs.common.proxies import Proxies
from libs.common.venue_http import FAILURES, VenueHttp, told

pytestmark = pytest.mark.timeout(60)


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    "who", ["trader:SECRET", "trader:SECRET!%40x", "SECRET", "SECRET!%40:", "a:SECRET'%20@"]
)
async def test_a_proxy_that_refuses_a_name_and_password_does_not_make_them_known(who: str) -> None:
    url = "https://api.okx.test/x"
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        proxies = Proxies({"https": f"http://{who}@127.0.0.1:{port}"})
        async with VenueHttp(proxies) as http:
            with pytest.raises(aiohttp.ClientHttpProxyError) as refused:
                async with http.get(url, aiohttp.ClientTimeout(total=5)):
                    pass
    said = told(refused.value, proxies, url)
    assert "SECRET" in str(refused.value)
    assert "SECRET" not in said
    assert f"127.0.0.1:{port} (HTTPS_PROXY)" in said


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(3)
    writer.write(b"\x05\x00")  # RFC 1928: no login is needed
    await reader.readexactly(4)
    writer.close()


async def test_a_socks_proxy_that_hangs_up_in_the_middle_is_a_failure_as_any_other() -> None:
    url = "https://api.okx.test/x"
    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        proxies = Proxies({"https": f"socks5h://127.0.0.1:{server.sockets[0].getsockname()[1]}"})
        async with VenueHttp(proxies) as http:
            with pytest.raises(FAILURES) as failed:
                async with http.get(url, aiohttp.ClientTimeout(total=5)):
                    pass
    assert told(failed.value, proxies, url).startswith("IncompleteReadError: 0 bytes read")
