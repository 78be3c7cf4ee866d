"""The same seed and time give the same bytes, by every endpoint; another seed, or a later time, others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from libs.common.time_units import MINUTE_NS, NS_PER_S
from simulator.derivatives import Derivatives
from simulator.endpoints import ENDPOINTS
from simulator.latent import GENESIS_DAY, NS_DAY, LatentPrices
from simulator.venues.binance_usdm import BinanceUsdm
from simulator.venues.bybit_tickers import BybitTickers
from simulator.venues.deribit import Deribit
from simulator.venues.okx_swaps import OkxSwaps
from simulator.venues.venue import RestReply, RestRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

SYMBOLS = ("BTC-USDT", "ETH-USDT")
NOON = (GENESIS_DAY + 40) * NS_DAY + 12 * 3600 * NS_PER_S
QUERIES: Mapping[str, Mapping[str, str]] = {
    "/fapi/v1/premiumIndex": {},
    "/fapi/v1/fundingInfo": {},
    "/futures/data/globalLongShortAccountRatio": {"symbol": "ETHUSDT", "period": "5m"},
    "/v5/market/tickers": {"category": "linear"},
    "/api/v2/public/get_book_summary_by_currency": {"currency": "BTC", "kind": "option"},
    "/api/v2/public/get_instruments": {"currency": "ETH"},
    "/api/v2/public/get_index_price": {"index_name": "btc_usd"},
    "/api/v2/public/ticker": {"instrument_name": "BTC-31MAR23-65000-C"},
    "/api/v5/public/funding-rate": {"instId": "ANY"},
    "/api/v5/public/mark-price": {"instType": "SWAP"},
    "/api/v5/market/index-tickers": {"quoteCcy": "USDT"},
}
ASKED = [(venue, path) for venue, paths in ENDPOINTS.items() for path in paths]
CONSTANT = {"/fapi/v1/fundingInfo"}


def reply_of(venue: str, request: RestRequest, seed: int, now_ns: int) -> RestReply:
    derivatives = Derivatives(LatentPrices(seed, SYMBOLS))
    match venue:
        case "binance-usdm":
            return BinanceUsdm(derivatives).rest(request, now_ns)
        case "bybit":
            return BybitTickers(derivatives).answer(request, now_ns)
        case "deribit":
            return Deribit(derivatives).rest(request, now_ns)
        case _:
            return OkxSwaps(derivatives).answer(request, now_ns)


def answer(venue: str, path: str, seed: int, now_ns: int, as_of_ns: int | None = None) -> RestReply:
    reply = reply_of(venue, RestRequest(path, QUERIES[path], "10.0.0.1", as_of_ns), seed, now_ns)
    assert reply.status == 200
    return reply


def asked(venue: str, path: str, query: Mapping[str, str]) -> tuple[int, Any]:
    reply = reply_of(venue, RestRequest(path, query, "10.0.0.1"), 7, NOON)
    return reply.status, json.loads(reply.body)


@pytest.mark.parametrize(("venue", "path"), ASKED)
def test_an_answer_is_a_function_of_seed_and_time(venue: str, path: str) -> None:
    first = answer(venue, path, 7, NOON)
    assert first.body == answer(venue, path, 7, NOON).body
    if path not in CONSTANT:
        assert first.body != answer(venue, path, 8, NOON).body
        assert first.body != answer(venue, path, 7, NOON + NS_DAY).body


@pytest.mark.parametrize(("venue", "path"), ASKED)
def test_an_answer_that_is_held_back_is_that_of_its_time(venue: str, path: str) -> None:
    held = answer(venue, path, 7, NOON + 5 * MINUTE_NS, as_of_ns=NOON).body
    fresh = answer(venue, path, 7, NOON).body
    if venue == "deribit":  # whose envelope tells when it answered
        held, fresh = (body.partition(',"usIn"')[0] for body in (held, fresh))
    assert held == fresh


def test_a_listing_stays_all_day_and_changes_at_eight() -> None:
    path = "/api/v2/public/get_instruments"
    eight = NOON // NS_DAY * NS_DAY + 8 * 3600 * NS_PER_S
    lists = [
        answer("deribit", path, 7, ts_ns).body.partition(',"usIn"')[0]
        for ts_ns in (eight - 1, eight, NOON, eight + NS_DAY - 1)
    ]
    assert lists[0] != lists[1]
    assert len(set(lists[1:])) == 1


RATIO = "/futures/data/globalLongShortAccountRatio"
BTC = {"symbol": "BTCUSDT"}


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("/fapi/v1/premiumIndex", {"symbol": "NOPEUSDT"}, 400, -1121),
        ("/fapi/v1/premiumIndex", {"symbol": ""}, 400, -1102),
        (RATIO, {"period": "5m"}, 400, -1102),
        (RATIO, BTC, 400, -1102),
        (RATIO, {**BTC, "period": "7m"}, 400, -1130),
        (RATIO, {**BTC, "period": "5m", "limit": "501"}, 400, -1130),
        (RATIO, {**BTC, "period": "5m", "limit": "x"}, 400, -1130),
        ("/fapi/v1/nothing", {}, 404, -5000),
    ],
)
def test_binance_refuses_in_its_own_codes(
    path: str, query: Mapping[str, str], status: int, code: int
) -> None:
    found, body = asked("binance-usdm", path, query)
    assert (found, body["code"]) == (status, code)


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("public/funding-rate", {"instId": "BTC-USDT"}, "51001"),
        ("public/funding-rate", {}, "50014"),
        ("public/mark-price", {}, "51000"),
        ("public/mark-price", {"instType": "SPOT"}, "51000"),
        ("public/mark-price", {"instType": "SWAP", "instId": "X-USDT-SWAP"}, "51001"),
        ("market/index-tickers", {"instId": "BTC-USDT-SWAP"}, "51001"),
        ("market/index-tickers", {}, "50014"),
    ],
)
def test_okx_refuses_inside_a_200(path: str, query: Mapping[str, str], code: str) -> None:
    status, body = asked("okx", f"/api/v5/{path}", query)
    assert (status, body["code"], body["data"]) == (200, code, [])


def test_okx_tells_a_mark_price_by_name_alone() -> None:
    path = "/api/v5/public/mark-price"
    alone = asked("okx", path, {"instId": "ETH-USDT-SWAP"})
    assert alone == asked("okx", path, {"instType": "SWAP", "instId": "ETH-USDT-SWAP"})
    assert len(alone[1]["data"]) == 1


@pytest.mark.parametrize("query", [{}, {"category": "futures"}, {"category": "linear", "symbol": "XUSDT"}])
def test_bybit_refuses_inside_a_200(query: Mapping[str, str]) -> None:
    status, body = asked("bybit", "/v5/market/tickers", query)
    assert (status, body["retCode"], body["result"]) == (200, 10001, {})


@pytest.mark.parametrize(
    ("method", "query", "code", "reason"),
    [
        ("get_book_summary_by_currency", {}, -32602, "value is required"),
        ("get_book_summary_by_currency", {"currency": "NOPE"}, -32602, "invalid currency"),
        ("get_book_summary_by_currency", {"currency": "BTC", "kind": "x"}, -32602, "invalid kind"),
        ("get_instruments", {"currency": "BTC", "expired": "maybe"}, -32602, "must be a boolean"),
        ("get_index_price", {"index_name": "doge_usd"}, -32602, "invalid index_name"),
        ("ticker", {"instrument_name": "BTC-1JAN20-1000-C"}, -32602, "instrument not found"),
        ("ticker", {"instrument_name": ""}, -32602, "value is required"),
        ("nope", {}, -32601, None),
    ],
)
def test_deribit_refuses_as_json_rpc(
    method: str, query: Mapping[str, str], code: int, reason: str | None
) -> None:
    status, body = asked("deribit", f"/api/v2/public/{method}", query)
    assert (status, body["error"]["code"]) == (400, code)
    assert body["error"].get("data", {}).get("reason") == reason
    assert "result" not in body


@pytest.mark.parametrize(
    "query",
    [
        {"currency": "SOL", "kind": "option"},
        {"currency": "BTC", "kind": "future"},
        {"currency": "USDC"},
    ],
)
def test_a_currency_without_options_has_an_empty_list(query: Mapping[str, str]) -> None:
    for method in ("get_book_summary_by_currency", "get_instruments"):
        assert asked("deribit", f"/api/v2/public/{method}", query)[1]["result"] == []
    expired = {"currency": "BTC", "kind": "option", "expired": "true"}
    assert asked("deribit", "/api/v2/public/get_instruments", expired)[1]["result"] == []


def test_deribit_answers_a_hundred_at_once_and_twenty_a_second() -> None:
    deribit = Deribit(Derivatives(LatentPrices(7, SYMBOLS)))
    request = RestRequest("/api/v2/public/get_index_price", {"index_name": "btc_usd"}, "10.0.0.1")
    at_once = [deribit.rest(request, NOON).status for _ in range(101)]
    assert at_once == [200] * 100 + [429]
    limited = json.loads(deribit.rest(request, NOON).body)
    assert limited["error"] == {"message": "too_many_requests", "code": 10028}
    later = [deribit.rest(request, NOON + NS_PER_S).status for _ in range(21)]
    assert later == [200] * 20 + [429]
    listing = RestRequest("/api/v2/public/get_instruments", {"currency": "SOL"}, "10.0.0.1")
    assert [deribit.rest(listing, NOON).status for _ in range(51)] == [200] * 50 + [429]


def test_binance_counts_weights_by_address() -> None:
    binance = BinanceUsdm(Derivatives(LatentPrices(7, SYMBOLS)))
    one = RestRequest("/fapi/v1/premiumIndex", BTC, "10.0.0.1")
    everything = RestRequest("/fapi/v1/premiumIndex", {}, "10.0.0.1")
    assert binance.rest(one, NOON).headers["X-MBX-USED-WEIGHT-1M"] == "1"
    used = [binance.rest(everything, NOON) for _ in range(240)]
    assert [reply.status for reply in used] == [200] * 239 + [429]  # 1 + 240 * 10 is above 2400
    assert used[-1].headers["Retry-After"] == "60"
    assert json.loads(used[-1].body)["code"] == -1003
    other = RestRequest("/fapi/v1/premiumIndex", BTC, "10.0.0.2")
    assert binance.rest(other, NOON).status == 200
    assert binance.rest(one, NOON + MINUTE_NS).status == 200
