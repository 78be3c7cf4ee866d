from __future__ import annotations

import socket

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from libs.common.metrics import (
    MAX_SERIES,
    Family,
    UnboundedLabelsError,
    create_registry,
    exposition,
    serve,
)


def a_gauge(**samples: float) -> Family:
    values = {(venue,): value for venue, value in samples.items()}
    return Family("bookrunner_l2_lag_seconds", "Age of the last message.", "gauge", ("venue",), values)


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


async def test_metrics_are_served_while_the_context_lasts() -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}/metrics"
    registry = create_registry(lambda: [a_gauge(binance=0.25)])
    async with aiohttp.ClientSession() as session:
        async with serve(registry, host="127.0.0.1", port=port), session.get(address) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=")
            found = scraped(await answer.read())
        assert found["bookrunner_l2_lag_seconds", frozenset({("venue", "binance")})] == 0.25
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(address)


async def test_port_0_serves_nothing() -> None:
    async with serve(create_registry(), host="256.256.256.256", port=0):
        pass


async def test_a_taken_port_is_an_error() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match="address already in use"),
    ):
        async with serve(create_registry(), host="127.0.0.1", port=taken.getsockname()[1]):
            pass
