"""Each failure of each source, from a real socket to what is told of it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from libs.common.events import SourceState
from libs.common.proxies import Proxies
from libs.common.token_bucket import Rate
from libs.common.venue_http import VenueHttp
from services.context.asking import Asker
from services.context.judging import judge
from services.context.sources import LIVE, SOURCES
from tests.context_host import context_host

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.context.judging import Verdict
    from services.context.source import Source
    from tests.context_host import Host

SYMBOLS = ("BTC-USDT", "ETH-USDT")
FIRST = {  # the path whose answer is spoilt
    "binance-usdm": "/fapi/v1/premiumIndex",
    "okx": "/api/v5/public/mark-price",
    "bybit": "/v5/market/tickers",
    "deribit": "/api/v2/public/get_book_summary_by_currency",
    "fear-greed": "/fng/",
    "binance-ratio": "/futures/data/globalLongShortAccountRatio",
    "blockchain-info": "/charts/n-transactions",
    "mempool-space": "/api/v1/fees/recommended",
}


async def polled(
    host: Host, source: Source, symbols: Sequence[str] = SYMBOLS, timeout_s: float = 60.0
) -> Verdict:
    async with VenueHttp(Proxies.of_environment()) as http:
        asker = Asker(source, http, host.url, timeout_s=timeout_s, most_bytes=1_000_000)
        return judge(source, await asker.ask(symbols), symbols, 1.0, 0, 0, time.time_ns())


@pytest.mark.parametrize("name", LIVE)
async def test_an_answer_of_a_socket_is_fresh(name: str) -> None:
    async with context_host() as host:
        verdict = await polled(host, SOURCES[name])
    assert (verdict.state, verdict.reason) == (SourceState.FRESH, "")
    assert {each.name for each in verdict.inputs} == set(SOURCES[name].names)
    assert {each.source for each in verdict.inputs} == {name}


@pytest.mark.parametrize("name", LIVE)
@pytest.mark.parametrize(
    ("fault", "state", "why"),
    [
        ("limited", SourceState.LIMITED, "status 429; it is asked again in 7 s"),
        ("blocked", SourceState.LIMITED, "status 403; it is asked again in 600 s"),
        ("broken", SourceState.FAILING, "it answered with status 500"),
        ("busy", SourceState.FAILING, "it answered with status 503"),
        ("away", SourceState.FAILING, "it answered with status 302"),
        ("html", SourceState.FAILING, "the answer is no JSON"),
        ("huge", SourceState.FAILING, "the answer is longer than 1000000 bytes"),
        ("bomb", SourceState.FAILING, "the answer is longer than 1000000 bytes"),
        ("silent", SourceState.FAILING, "there is no answer: TimeoutError"),
        ("cut", SourceState.FAILING, "there is no answer: "),
    ],
)
async def test_a_spoilt_answer_gives_nothing_and_says_why(
    name: str, fault: str, state: SourceState, why: str
) -> None:
    async with context_host() as host:
        host.faults[FIRST[name]] = fault
        verdict = await polled(host, SOURCES[name], timeout_s=0.3 if fault == "silent" else 60.0)
    assert (verdict.state, verdict.inputs) == (state, ())
    assert why in verdict.reason
    assert verdict.failed
    assert verdict.pause_ns >= (30 if fault == "busy" else 5) * 10**9


@pytest.mark.parametrize(
    "name", [name for name in LIVE if SOURCES[name].oldest_s < 600 and name != "mempool-space"]
)
async def test_an_old_answer_is_stale(name: str) -> None:
    async with context_host() as host:
        host.faults["/"] = "old"
        verdict = await polled(host, SOURCES[name])
    assert (verdict.state, verdict.inputs) == (SourceState.STALE, ())
    assert "s old, over" in verdict.reason


async def test_a_host_that_is_away_is_failing() -> None:
    async with context_host() as host:
        pass
    verdict = await polled(host, SOURCES["okx"])
    assert verdict.state is SourceState.FAILING
    assert "there is no answer: ClientConnectorError" in verdict.reason


async def test_after_a_limit_nothing_more_is_asked() -> None:
    async with context_host() as host:
        host.faults["/"] = "limited"
        await polled(host, SOURCES["okx"])
        assert host.asked == ["/api/v5/public/mark-price?instType=SWAP"]


async def test_requests_keep_to_the_rate_of_their_source() -> None:
    source = replace(SOURCES["bybit"], rate=Rate(tokens=10, burst=2))
    symbols = tuple(f"S{n}-USDT" for n in range(7))
    async with context_host() as host:
        began = time.monotonic()
        await polled(host, source, symbols)
        took = time.monotonic() - began
        assert len(host.asked) == 7
    assert took >= 0.49  # 2 at once, and 5 more a tenth of a second apart


async def test_what_holds_longer_is_asked_once_and_again_after_a_failure() -> None:
    source = SOURCES["binance-usdm"]
    async with context_host() as host, VenueHttp(Proxies.of_environment()) as http:
        asker = Asker(source, http, host.url, timeout_s=60.0, most_bytes=1_000_000)
        replies = [await asker.ask(SYMBOLS) for _ in range(2)]
        assert replies[0]["/fapi/v1/fundingInfo"] is replies[1]["/fapi/v1/fundingInfo"]
        assert host.asked.count("/fapi/v1/fundingInfo") == 1
        assert host.asked.count("/fapi/v1/premiumIndex") == 2
        asker.forget()
        await asker.ask(SYMBOLS)
        assert host.asked.count("/fapi/v1/fundingInfo") == 2
        assert asker.requests == 5
        (eth,) = (
            each
            for each in judge(source, replies[0], SYMBOLS, 1.0, 0, 0, time.time_ns()).inputs
            if each.symbol == "ETH-USDT" and each.name == "fundingRate"
        )
        assert eth.value == pytest.approx(0.0002)  # 0.0001 in 4 h
