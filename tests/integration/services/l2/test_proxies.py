"""Sockets and REST of a run go through the proxy that the variables say, and to this machine through none."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import pytest
from aiohttp import web
from websockets.asyncio.server import serve

from libs.common.events import BookState
from libs.common.proxies import Proxies
from services.l2 import connection
from services.l2.connection import fetch, open_http, run_socket
from services.l2.messages import Fetch, FrameReceived, OpenSocket, ReplyReceived, SocketClosed, SocketOpened
from services.l2.settings import L2Settings
from simulator.app import create_app
from simulator.settings import SimulatorSettings
from tests.live_books import live_books
from tests.outgoing_proxies import HttpProxy, SocksProxy, serving
from tests.secure_kafka import make_certificate, make_certificates

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from websockets.asyncio.server import ServerConnection

    from services.l2.messages import L2Message
    from tests.live_books import LiveBooks

pytestmark = pytest.mark.timeout(120)

VENUES: Final = ("binance", "bybit", "coinbase", "kraken", "okx")
STREAMS: Final = {venue: f"stream.{venue}.test" for venue in VENUES}
RESTS: Final = {venue: f"api.{venue}.test" for venue in VENUES}
NAMES: Final = (*STREAMS.values(), *RESTS.values())
LOGIN: Final = "trader:p@ss/word"
IN_URL: Final = "trader:p%40ss%2Fword"
VARIABLES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "SOCKS_PROXY", "WSS_PROXY", "WS_PROXY")


@asynccontextmanager
async def simulator() -> AsyncIterator[int]:
    """Serve the simulated venues by their other names, and give the port."""
    settings = SimulatorSettings(
        rate=900.0,
        outages=0.0,
        history_days=3,
        served_as=",".join(NAMES),
        feed="simulator",
    )
    runner = web.AppRunner(create_app(settings), shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def hosts(port: int) -> str:
    return ",".join(
        f"{venue}=ws://{STREAMS[venue]}:{port}/{venue}|http://{RESTS[venue]}:{port}/{venue}"
        for venue in VENUES
    )


def live(port: int, **changes: object) -> L2Settings:
    books = ",".join(f"{venue}:BTC-USDT" for venue in VENUES)
    settings = {"feed": "live", "l2_hosts": hosts(port), "l2_books": books, "history_days": 0}
    return L2Settings.model_validate(settings | changes)


def all_live(books: LiveBooks) -> bool:
    return len(books.health) == len(VENUES) and set(books.states().values()) == {BookState.LIVE}


@pytest.mark.parametrize(
    ("kind", "variable", "scheme"),
    [
        (HttpProxy, "http", "http"),
        (HttpProxy, "all", "http"),
        (SocksProxy, "all", "socks5h"),
        (SocksProxy, "socks", "socks5h"),
        (SocksProxy, "http", "socks4a"),
    ],
)
async def test_a_proxy_carries_sockets_and_rest_of_a_run_under_other_host_names(
    kind: type[HttpProxy | SocksProxy], variable: str, scheme: str
) -> None:
    async with simulator() as port:
        login = "" if scheme == "socks4a" else LOGIN
        user = f"{IN_URL}@" if login else ""
        async with serving(kind(dict.fromkeys(NAMES, ("127.0.0.1", port)), login=login)) as proxy:
            said = Proxies({variable: f"{scheme}://{user}127.0.0.1:{proxy.port}"})
            async with live_books(live(port), said) as books:
                await books.until(all_live)
    assert all(proxy.carried[STREAMS[venue]] for venue in VENUES), proxy.carried
    assert proxy.carried[RESTS["binance"]], "the snapshot by REST went another way"


@pytest.mark.parametrize("variable", VARIABLES)
async def test_the_demo_on_this_machine_touches_no_proxy_whatever_the_variables_say(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with simulator() as port, serving(HttpProxy({})) as proxy:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        settings = L2Settings.model_validate(
            {
                "feed": "simulator",
                "simulator_url": f"http://127.0.0.1:{port}",
                "l2_books": ",".join(f"{venue}:BTC-USDT" for venue in VENUES),
                "history_days": 0,
            }
        )
        async with live_books(settings, Proxies.of_environment()) as books:
            await books.until(all_live)
    assert proxy.came == 0
    assert books.frames > 0


async def test_a_resolver_that_blocks_one_venue_leaves_the_other_four_live() -> None:
    async with simulator() as port:
        names = dict.fromkeys(NAMES, ("127.0.0.1", port))
        blocked = frozenset({STREAMS["okx"], RESTS["okx"]})
        async with serving(SocksProxy(names, blocked=blocked)) as proxy:
            said = Proxies({"all": f"socks5h://127.0.0.1:{proxy.port}"})
            async with live_books(live(port), said) as books:
                await books.until(
                    lambda it: (
                        len(it.health) == len(VENUES)
                        and list(it.states().values()).count(BookState.LIVE) == len(VENUES) - 1
                    )
                )
                okx = books.health["okx:BTC-USDT"]
    assert okx.state is BookState.DISCONNECTED
    assert f"socks5h://127.0.0.1:{proxy.port} (ALL_PROXY)" in okx.reason, okx.reason


async def asked(url: str, stream: str, proxies: Proxies) -> tuple[ReplyReceived, list[L2Message]]:
    """Ask once by each client, and return what both report."""
    replies: list[L2Message] = []
    said: list[L2Message] = []

    async def on_reply(message: L2Message) -> None:
        replies.append(message)

    async def on_socket(message: L2Message) -> None:
        said.append(message)
        if isinstance(message, FrameReceived):
            raise asyncio.CancelledError

    async with open_http(proxies) as http:
        await fetch(Fetch("okx:BTC-USDT", 1, "snapshot", url), on_reply, http)
    with suppress(asyncio.CancelledError):
        await run_socket(OpenSocket("okx:BTC-USDT", 1, stream, (), None, 0.0), on_socket, 1024, proxies)
    (reply,) = replies
    assert isinstance(reply, ReplyReceived)
    return reply, said


BROKEN: Final = {
    "an unknown kind": "gopher://{login}127.0.0.1:{port}",
    "no port": "http://{login}127.0.0.1",
    "no host": "http://{login}:3128",
    "a port that is none": "http://{login}127.0.0.1:port",
    "nothing but a word": "none",
    "a host that is none": "http://{login}\udcff:1",
    "nobody listens, HTTP": "http://{login}127.0.0.1:1",
    "nobody listens, SOCKS": "socks5h://{login}127.0.0.1:1",
    "HTTP asked as SOCKS": "socks5h://{login}127.0.0.1:{port}",
    "HTTP asked with TLS": "https://{login}127.0.0.1:{port}",
    "a wrong login": "http://trader:wr0ng-p%40ss@127.0.0.1:{port}",
    "SOCKS4": "socks4://{login}127.0.0.1:{port}",
}


@pytest.mark.parametrize("name", BROKEN)
async def test_no_proxy_makes_a_client_raise_or_tell_its_password(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "OPEN_TIMEOUT_S", 0.5)
    monkeypatch.setattr(connection, "REPLY_TIMEOUT_S", 0.5)
    async with serving(HttpProxy({}, login=LOGIN)) as proxy:
        value = BROKEN[name].format(login=f"{IN_URL}@", port=proxy.port)
        reply, said = await asked("https://api.okx.test/", "wss://ws.okx.test/", Proxies({"https": value}))
    (closed,) = said
    assert isinstance(closed, SocketClosed)
    assert reply.status == closed.status == 0
    for text in (reply.body.decode(), closed.reason):
        assert "HTTPS_PROXY" in text, text
        for secret in ("p@ss", "p%40ss", "word", "wr0ng"):
            assert secret not in text, text


@pytest.mark.parametrize(
    "url",
    [
        "wss://[",
        "ftp://host/",
        "wss://",
        "wss://\u00ad/",
        "wss://a..b/",
        f"wss://{70 * 'x'}.test/",
        "ws://[::1]:99999/",
    ],
)
async def test_no_address_makes_a_client_raise(url: str) -> None:
    reply, said = await asked(url.replace("ws", "http", 1), url, Proxies({}))
    (closed,) = said
    assert isinstance(closed, SocketClosed)
    assert reply.status == 0
    assert closed.reason
    assert reply.body


async def test_what_a_proxy_itself_refuses_is_not_taken_for_the_venues_answer() -> None:
    async with serving(HttpProxy({})) as proxy:
        said = Proxies({"https": f"http://127.0.0.1:{proxy.port}"})
        reply, (closed,) = await asked("https://api.okx.test/", "wss://ws.okx.test/", said)
    assert isinstance(closed, SocketClosed)
    assert (reply.status, closed.status) == (0, 0), "403 of a proxy blocks no venue"
    assert "403" in closed.reason
    assert b"403" in reply.body


@pytest.mark.parametrize(("kind", "scheme"), [(HttpProxy, "http"), (SocksProxy, "socks5h")])
async def test_tls_is_spoken_with_the_venue_through_the_proxy(
    kind: type[HttpProxy | SocksProxy], scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_certificates(tmp_path)
    make_certificate(tmp_path, "venue", "DNS:venue.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "venue.pem", tmp_path / "venue.key")

    async def greet(connection: ServerConnection) -> None:
        await connection.send("hello")

    async with serve(greet, "127.0.0.1", 0, ssl=context) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with serving(
            kind({"venue.test": ("127.0.0.1", port), "thief.test": ("127.0.0.1", port)})
        ) as proxy:
            said = Proxies({"https": f"{scheme}://127.0.0.1:{proxy.port}"})
            _, messages = await asked("https://nobody.test/", f"wss://venue.test:{port}/", said)
            _, of_thief = await asked("https://nobody.test/", f"wss://thief.test:{port}/", said)
    assert messages == [SocketOpened("okx:BTC-USDT", 1), FrameReceived("okx:BTC-USDT", 1, b"hello")]
    (refused,) = of_thief
    assert isinstance(refused, SocketClosed)
    assert "certificate" in refused.reason
