from __future__ import annotations

import asyncio
import io
import json
import logging
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from libs.common import log, scrape
from libs.common.metrics import (
    MAX_SERIES,
    OTHER,
    Family,
    Histogram,
    Names,
    UnboundedLabelsError,
    create_registry,
    exposition,
    serve,
)
from libs.common.settings import ServiceSettings
from tests.e2e.system import until

if TYPE_CHECKING:
    from pathlib import Path


def a_gauge(**samples: float) -> Family:
    values = {(venue,): value for venue, value in samples.items()}
    return Family("bookrunner_l2_lag_seconds", "Age of the last message.", "gauge", ("venue",), values)


def settings_of(port: int = 0, host: str = "127.0.0.1", targets: str = "") -> ServiceSettings:
    values = {"metrics_port": port, "metrics_host": host, "metrics_targets_dir": targets}
    return ServiceSettings.model_validate(values)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as drawn:
        return int(drawn.getsockname()[1])


def scraped(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_families_are_computed_anew_at_each_scrape() -> None:
    counts = {("binance", "BTC-USDT"): 1.0}
    name, labels = "bookrunner_l2_resyncs_total", ("venue", "symbol")
    registry = create_registry(lambda: [Family(name, "Resyncs.", "counter", labels, counts)])
    key = (name, frozenset({("venue", "binance"), ("symbol", "BTC-USDT")}))
    assert scraped(exposition(registry))[key] == 1
    counts["binance", "BTC-USDT"] = 7
    assert scraped(exposition(registry))[key] == 7


def test_the_process_itself_is_measured() -> None:
    names = {name for name, _ in scraped(exposition(create_registry()))}
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total"} <= names


def test_registries_are_apart() -> None:
    create_registry(lambda: [a_gauge(binance=1.0)])
    assert b"bookrunner_l2_lag" not in exposition(create_registry())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("l2_resyncs_total", "counter"),
        ("bookrunner_l2_resyncs", "counter"),
        ("bookrunner_l2_books_total", "gauge"),
    ],
)
def test_a_name_against_the_conventions_is_refused(name: str, kind: str) -> None:
    with pytest.raises(ValueError, match=name):
        Family(name, "", kind)  # type: ignore[arg-type]  # both kinds, from a table


def test_a_label_without_bound_is_refused() -> None:
    with pytest.raises(UnboundedLabelsError, match="bookrunner_l2_lag_seconds"):
        a_gauge(**{str(n): 0.0 for n in range(MAX_SERIES + 1)})


def test_a_histogram_counts_cumulatively_up_to_each_bound() -> None:
    seconds = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        seconds.observe(value)
    name = "bookrunner_l2_recovery_seconds"
    found = scraped(exposition(create_registry(lambda: [Family(name, "", "histogram", (), {(): seconds})])))
    counts = [found[f"{name}_bucket", frozenset({("le", bound)})] for bound in ("0.1", "1.0", "+Inf")]
    assert counts == [2, 3, 4]
    assert found[f"{name}_sum", frozenset()] == pytest.approx(7.65)
    assert found[f"{name}_count", frozenset()] == 4


def test_names_beyond_the_bound_share_one_series() -> None:
    names = Names(most=2)
    assert [names.of(name) for name in ("a", "b", "c", "a", "d")] == ["a", "b", OTHER, "a", OTHER]


def test_lines_of_the_log_are_counted_by_level() -> None:
    handler = log.create_handler("test", "json", io.StringIO())
    registry = create_registry()
    key = ("bookrunner_log_lines_total", frozenset({("level", "ERROR")}))
    before = scraped(exposition(registry))[key]
    handler.emit(logging.makeLogRecord({"levelname": "ERROR", "msg": "broken"}))
    assert scraped(exposition(registry))[key] == before + 1


async def test_metrics_are_served_while_the_context_lasts() -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}/metrics"
    registry = create_registry(lambda: [a_gauge(binance=0.25)])
    async with aiohttp.ClientSession() as session:
        async with serve(registry, settings_of(port=port), "l2"), session.get(address) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=")
            found = scraped(await answer.read())
        assert found["bookrunner_l2_lag_seconds", frozenset({("venue", "binance")})] == 0.25
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(address)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"HEAD /metrics HTTP/1.1", b"HTTP/1.1 200 OK"),
        (b"GET /metrics?format=text HTTP/1.0", b"HTTP/1.1 200 OK"),
        (b"GET / HTTP/1.1", b"HTTP/1.1 404 Not Found"),
        (b"POST /metrics HTTP/1.1", b"HTTP/1.1 405 Method Not Allowed"),
        (b"rubbish", b"HTTP/1.1 404 Not Found"),
        (b"GET /" + b"x" * 100_000, b""),
    ],
)
async def test_every_request_ends_with_an_answer_or_the_connection(
    request_line: bytes, status: bytes
) -> None:
    port = free_port()
    async with serve(create_registry(), settings_of(port=port), "l2"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_line + b"\r\nHost: localhost\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        assert head.partition(b"\r\n")[0] == status
        assert bool(body) == request_line.startswith(b"GET /metrics")


async def test_a_scraper_that_stays_does_not_keep_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.common.scrape.PATIENCE_S", 0.05)
    port = free_port()
    async with serve(create_registry(), settings_of(port=port), "l2"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9464", "127.0.0.1.evil.example"])
async def test_a_page_whose_name_was_rebound_reads_no_metrics(host: str) -> None:
    port = free_port()
    async with (
        serve(create_registry(), settings_of(port=port), "l2"),
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{port}/metrics", headers={"Host": host}) as answer,
    ):
        assert (answer.status, await answer.text()) == (421, "")
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_who_reads_nothing_of_its_metrics_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "PATIENCE_S", 0.3)
    large = b"x" * 30_000_000  # more than the system keeps
    server = await scrape.listen("127.0.0.1", 0, "/metrics", "text/plain", lambda: large)
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setblocking(False)  # noqa: FBT003 -- the socket's own signature
        await loop.sock_connect(client, server.sockets[0].getsockname())
        await loop.sock_sendall(client, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")

        async def gone() -> bool:
            return not [task for task in asyncio.all_tasks() if "listen.<locals>.answer" in repr(task)]

        async def there() -> bool:
            return not await gone()

        await until("it is being answered", there)
        await until("it is cut", gone)
        told = 0
        with suppress(ConnectionResetError):
            while part := await loop.sock_recv(client, 1 << 20):
                told += len(part)
        assert told < len(large)
    server.close()
    await server.wait_closed()


async def test_without_port_and_folder_nothing_is_served() -> None:
    async with serve(create_registry(), settings_of(host="256.256.256.256"), "l2"):
        pass


async def test_processes_without_a_port_take_free_ones_and_say_them_to_prometheus(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    settings = settings_of(targets=str(folder))
    registry = create_registry(lambda: [a_gauge(binance=0.25)])
    async with aiohttp.ClientSession() as session:
        async with serve(registry, settings, "l2"), serve(registry, settings, "l2-b"):
            told = {file.name: json.loads(file.read_text()) for file in folder.iterdir()}
            assert sorted(told) == ["l2-b.json", "l2.json"]
            addresses = [group["targets"][0] for groups in told.values() for group in groups]
            assert len(set(addresses)) == 2
            assert [group["labels"] for groups in told.values() for group in groups] == [{"job": "l2"}] * 2
            for address in addresses:
                async with session.get(f"http://{address}/metrics") as answer:
                    assert b"bookrunner_l2_lag_seconds" in await answer.read()
        assert not list(folder.iterdir())


async def test_a_taken_port_is_an_error() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match="address already in use"),
    ):
        async with serve(create_registry(), settings_of(port=taken.getsockname()[1]), "l2"):
            pass


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"host:" + b" " * 15_000 + b"y\r\n", 421),
        (b"host:x" + b" " * 15_000 + b"y\r\n", 421),
        (b"host:" + b" " * 15_000 + b"y\n\r\n", 400),  # a line that ends otherwise than a header does
        (b"Host: evil.example\n\r\n", 400),
        (b"Host : evil.example\r\n", 400),
        (b"Host: localhost\r\n evil.example\r\n", 400),
        (b"host:\tLOCALHOST \r\n", 200),
    ],
)
async def test_a_head_is_looked_at_once_however_it_is_written(host: bytes, status: int) -> None:
    server = await scrape.listen("127.0.0.1", 0, "/metrics", "text/plain", lambda: b"fine")
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"GET /metrics HTTP/1.1\r\n" + host + b"\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 %d " % status)
        writer.close()
