"""`doctor` tells venues that block this address from those that cannot be reached, one by one."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

import pytest

from libs.cli import venue_reach
from libs.cli.findings import Finding, Verdict
from tests.outgoing_proxies import HttpProxy, SocksProxy, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.timeout(60)

VENUES: Final = ("binance", "bybit", "coinbase", "kraken", "okx")
PORT: Final = 8_000  # which nobody listens on: the proxy knows better
HOSTS: Final = ",".join(
    f"{venue}=ws://stream.{venue}.test:{PORT}|http://api.{venue}.test:{PORT}" for venue in VENUES
)


@asynccontextmanager
async def answering(status: bytes, body: bytes = b"{}") -> AsyncIterator[tuple[str, int]]:
    """Answer every request so."""
    date = formatdate(time.time(), usegmt=True).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            head = b"HTTP/1.1 %s\r\nDate: %s\r\nContent-Length: %d\r\n\r\n" % (status, date, len(body))
            writer.write(head + body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[:2]
    finally:
        server.close()
        await server.wait_closed()


async def findings_of(
    answers: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    kind: type[HttpProxy | SocksProxy] = SocksProxy,
) -> dict[str, Finding]:
    """Return the findings, by name, of five venues; what is not in `answers`, as `api.okx.test`, serves."""
    monkeypatch.setenv("L2_HOSTS", HOSTS)
    async with AsyncExitStack() as stack:
        names = {
            host: await stack.enter_async_context(answering(answers.get(host, b"200 OK")))
            for host in (f"{half}.{venue}.test" for venue in VENUES for half in ("api", "stream"))
            if answers.get(host) != b""
        }
        proxy = await stack.enter_async_context(serving(kind(names)))
        scheme = "http" if kind is HttpProxy else "socks5h"
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://trader:secret@127.0.0.1:{proxy.port}")
        return {finding.name: finding for finding in await venue_reach.examine("live", "")}


async def test_each_venue_has_its_own_line_and_one_that_blocks_fails_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = {
        "api.binance.test": b"451 Unavailable For Legal Reasons",
        "api.bybit.test": b"403 Forbidden",
        "api.kraken.test": b"",  # the proxy reaches it nowhere
        "stream.okx.test": b"426 Upgrade Required",
    }
    found = await findings_of(answers, monkeypatch)
    assert {name: found[name].verdict for name in VENUES} == {
        "binance": Verdict.FAIL,
        "bybit": Verdict.FAIL,
        "coinbase": Verdict.OK,
        "kraken": Verdict.FAIL,
        "okx": Verdict.OK,
    }
    assert "api.binance.test:8000 is blocked here (451)" in found["binance"].says
    assert "api.bybit.test:8000 is blocked here (403)" in found["bybit"].says
    assert "L2_HOSTS" in found["binance"].mend
    assert "api.kraken.test:8000 cannot be reached" in found["kraken"].says
    assert found["clock"].verdict is Verdict.OK


@pytest.mark.parametrize("kind", [HttpProxy, SocksProxy])
async def test_the_proxy_is_named_and_its_password_is_not(
    kind: type[HttpProxy | SocksProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await findings_of({"api.okx.test": b""}, monkeypatch, kind)
    for name in VENUES:
        assert "(ALL_PROXY)" in found[name].says or "403" in found[name].says, found[name].says
        assert "127.0.0.1:" in found[name].says or found[name].verdict is Verdict.FAIL
    assert "secret" not in str(found)
    assert "trader" not in str(found)


@pytest.mark.parametrize(
    ("host", "status", "verdict", "says"),
    [
        ("stream.okx.test", b"451 No", Verdict.FAIL, "stream.okx.test:8000 is blocked here (451)"),
        ("stream.okx.test", b"403 No", Verdict.OK, "answer"),  # to what is no handshake
        ("stream.okx.test", b"", Verdict.FAIL, "stream.okx.test:8000 cannot be reached"),
        ("api.okx.test", b"302 Found", Verdict.FAIL, "sends us elsewhere (302)"),
        ("api.okx.test", b"418 I'm a teapot", Verdict.WARN, "asks us to wait (418)"),
        ("api.okx.test", b"503 No", Verdict.WARN, "HTTP 503"),
    ],
)
async def test_what_else_a_host_may_answer(
    host: str, status: bytes, verdict: Verdict, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await findings_of({host: status}, monkeypatch)
    assert found["okx"].verdict is verdict
    assert says in found["okx"].says
    assert all(found[venue].verdict is Verdict.OK for venue in VENUES[:-1])


async def test_a_demo_on_this_machine_is_reached_directly_whatever_the_variables_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "SOCKS_PROXY"):
        monkeypatch.setenv(variable, "http://trader:secret@proxy.test:3128")
    found = {each.name: each for each in await venue_reach.examine("simulator", "http://127.0.0.1:5100")}
    assert found["way out"].says == "simulator 127.0.0.1:5100: directly, past the proxy variables"
    other = {each.name: each for each in await venue_reach.examine("simulator", "http://sim.test:5100")}
    assert other["way out"].says == "simulator sim.test:5100: through socks5h://proxy.test:3128 (SOCKS_PROXY)"


async def test_a_proxy_that_cannot_be_used_is_told_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "gopher://trader:secret@proxy.test:3128")
    (way, _) = await venue_reach.examine("simulator", "http://sim.test:5100")
    assert way.verdict is Verdict.FAIL
    assert "HTTP_PROXY names a proxy of an unknown kind" in way.says
    assert "secret" not in str(way)


async def test_a_setting_that_is_wrong_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("L2_HOSTS", "okx=hunter2mark")
    (wrong,) = await venue_reach.examine("live", "")
    assert wrong.verdict is Verdict.FAIL
    assert "L2_HOSTS" in wrong.says
    assert "hunter2mark" not in wrong.says


async def test_a_setting_that_is_wrong_is_told_as_a_start_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("L2_HOSTS", "okx=wss://trader:secret@okx.test|")
    (finding,) = await venue_reach.examine("live", "")
    assert finding.says.startswith("L2_HOSTS: place 1, before the |, has a name or password")
    assert "secret" not in finding.says
