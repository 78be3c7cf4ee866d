from __future__ import annotations

import pytest

from services.gateway.http.edge import MAX_HEADERS, MAX_TARGET
from services.gateway.monitoring import BUCKETS, Traffic
from tests.unit.services.gateway.http.test_api import assert_problem
from tests.unit.services.gateway.world import World

BOOK = "/api/l2/binance/BTCUSDT"


@pytest.mark.parametrize("target", [BOOK, "/api/l2", "/nope"])
async def test_a_valid_correlation_id_comes_back_on_every_path(target: str) -> None:
    world = World()
    world.live()
    answer = await world.ask(target, headers={"X-Correlation-Id": "mine-1.2_3:4"})
    assert answer.headers["x-correlation-id"] == "mine-1.2_3:4"


@pytest.mark.parametrize("given", ["", "a b", "a\r\nset-cookie: x=1", "ä", "x" * 129, "<b>"])
@pytest.mark.parametrize("target", [BOOK, "/api/l2"])
async def test_an_invalid_one_is_replaced_and_never_reflected(target: str, given: str) -> None:
    world = World()
    world.live()
    answer = await world.ask(target, headers={"X-Correlation-Id": given})
    assert answer.headers["x-correlation-id"].startswith("gw-")
    assert "set-cookie" not in answer.headers


async def test_two_requests_never_share_a_derived_id() -> None:
    world = World()
    answers = [await world.ask("/healthz") for _ in range(20)]
    assert len({answer.headers["x-correlation-id"] for answer in answers}) == 20


async def test_an_address_over_8_kib_is_414_and_headers_over_32_kib_are_431() -> None:
    world = World()
    assert_problem(await world.ask("/" + "x" * MAX_TARGET), 414, "uri-too-long")
    assert_problem(
        await world.ask("/healthz", headers={"x-pad": "x" * MAX_HEADERS}), 431, "headers-too-large"
    )


async def test_answers_are_counted_by_route_template_so_that_paths_cannot_grow_the_labels() -> None:
    world = World()
    world.live()
    for target in (BOOK, BOOK + "?depth=0", "/api/l2/nope/x", "/nope/1", "/nope/2"):
        await world.ask(target)
    await world.ask("/healthz", "BREW")
    counts = {label: sum(found.counts) for label, found in world.traffic.family().samples.items()}
    book = "/api/l2/{venue}/{symbol}"
    assert counts == {
        ("GET", book, "200"): 1,
        ("GET", book, "422"): 1,
        ("GET", book, "404"): 1,
        ("GET", "unrouted", "404"): 2,
        ("other", "/healthz", "405"): 1,
    }


def test_a_latency_falls_into_the_bucket_whose_bound_it_does_not_exceed() -> None:
    traffic = Traffic()
    latencies = traffic.of("GET", "/x", 200)
    for seconds in (BUCKETS[0], BUCKETS[0] * 1.01, 100.0):
        latencies.observe(seconds)
    buckets = dict(traffic.family().samples["GET", "/x", "200"].buckets)
    assert buckets[str(BUCKETS[0])] == 1
    assert buckets[str(BUCKETS[1])] == 2
    assert buckets["+Inf"] == 3
