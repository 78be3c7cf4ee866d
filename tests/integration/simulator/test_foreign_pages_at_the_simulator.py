"""Whom the simulator answers: programs, and no web page of another origin."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from pydantic import ValidationError

from simulator.settings import SimulatorSettings
from tests.integration.simulator.naive_clients import json_of

if TYPE_CHECKING:
    from aiohttp import ClientSession

FAULT = b'{"kind":"drop","venue":"binance","symbol":"BTCUSDT","once":true}'
JSON = {"Content-Type": "application/json"}
FOREIGN = [
    {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-site"},
    {"Origin": "http://127.0.0.1:8000"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
]
CHANGES: list[tuple[str, str, bytes | None]] = [
    ("POST", "pause", None),
    ("POST", "resume", None),
    ("POST", "faults", FAULT),
    ("POST", "faults", b'{"kind":"quiet","venue":"binance","durationS":60}'),
    ("DELETE", "faults", None),
]


async def asked(
    client: ClientSession, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> tuple[int, Any]:
    async with client.request(method, f"/control/{path}", data=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def untouched(client: ClientSession) -> bool:
    """Tell whether the market runs and no fault is armed."""
    faults = await json_of(client, "/control/faults")
    return not (await json_of(client, "/control/books"))["paused"] and faults["faults"] == []


async def test_a_page_of_another_origin_changes_nothing(client: ClientSession) -> None:
    for (method, path, body), headers in product(CHANGES, FOREIGN):
        for kind in (JSON, {"Content-Type": "text/plain"}):
            status, said = await asked(client, method, path, body, headers | kind)
            assert status == 403, (method, path, headers, said)
            assert "may not ask this here" in said["error"]
    assert await untouched(client)


async def test_a_page_whose_name_was_rebound_neither_reads_nor_changes_anything(
    client: ClientSession,
) -> None:
    reads: list[tuple[str, str, bytes | None]] = [("GET", "books", None), ("GET", "faults", None)]
    for host in ("evil.example:5100", "localhost.evil.example", "simulator"):
        headers = {"Host": host, "Origin": f"http://{host}"} | JSON
        for method, path, body in (*CHANGES, *reads):
            status, said = await asked(client, method, path, body, headers)
            assert status == 421, (method, path, host, said)
            assert "SIMULATOR_SERVED_AS" in said["error"]
        for path in ("/binance/api/v3/depth?symbol=BTCUSDT", "/nope", "/kraken/v2"):
            async with client.get(path, headers={"Host": host}) as answer:
                assert answer.status == 421
    assert await untouched(client)


async def test_no_foreign_page_opens_a_socket(client: ClientSession) -> None:
    for headers in ({"Origin": "http://127.0.0.1:8000"}, {"Host": "evil.example"}):
        with pytest.raises(aiohttp.WSServerHandshakeError, match=r"403|421"):
            async with client.ws_connect("/binance/ws/btcusdt@trade", headers=headers):
                pass


async def test_a_client_that_names_the_simulator_as_its_origin_opens_a_socket(client: ClientSession) -> None:
    async with client.ws_connect("/binance/ws/btcusdt@trade", origin=str(client._base_url).rstrip("/")):  # noqa: SLF001 -- its own address
        pass


async def test_a_body_that_is_not_called_json_is_refused(client: ClientSession) -> None:
    kinds = (None, "text/plain", "application/x-www-form-urlencoded", "text/json")
    for path, kind in product(("faults", "pause"), kinds):
        status, said = await asked(
            client, "POST", path, FAULT, {} if kind is None else {"Content-Type": kind}
        )
        assert status == 415, (path, kind, said)
        assert "application/json" in said["error"]
    assert await untouched(client)


async def test_a_program_needs_no_more_than_it_did(client: ClientSession) -> None:
    """As ``curl -X POST`` sends it: no Origin, and no content type where there is no body."""
    sent = {"skip_auto_headers": ["Content-Type"]}
    async with client.post("/control/pause", **sent) as answer:  # type: ignore[arg-type]  # aiohttp's own option
        assert (answer.status, await answer.json()) == (200, {"paused": True})
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    async with client.post("/control/resume", headers={"Content-Length": "0"}) as answer:
        assert answer.status == 200
    status, _ = await asked(
        client, "POST", "faults", FAULT, {"Content-Type": "Application/JSON; charset=utf-8"}
    )
    assert status == 201
    assert (await asked(client, "DELETE", "faults", None, {}))[0] == 200
    ours = {"Origin": str(client._base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}  # noqa: SLF001 -- its own address
    assert (await asked(client, "POST", "pause", None, ours))[0] == 200


@pytest.mark.parametrize("host", ["::", "192.0.2.1", "simulator"])
def test_beyond_loopback_it_does_not_start_but_in_a_network_of_its_own(host: str) -> None:
    with pytest.raises(ValidationError, match=r"SIMULATOR_HOST is .*PRIVATE_NETWORK=true.*TLS"):
        SimulatorSettings(host=host)
    SimulatorSettings(host=host, private_network=True)
    with pytest.raises(ValidationError, match="SIMULATOR_SERVED_AS"):
        SimulatorSettings(served_as="a b")


def test_the_name_that_is_listened_on_is_served() -> None:
    settings = SimulatorSettings(host="MyBox", served_as="desk", private_network=True)
    assert settings.hosts_served == {"mybox", "desk"}
