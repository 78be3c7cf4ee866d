"""Funding, marks and options as each venue documents them, held against the simulator's own truth."""

from __future__ import annotations

import asyncio
import itertools
import time
from math import erfc, exp, log, sqrt
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.simulator.naive_clients import json_of

if TYPE_CHECKING:
    from aiohttp import ClientSession

DERIBIT = "/deribit/api/v2/public"
INTERVAL_MS = 8 * 3600 * 1000
YEAR_MS = 365 * 86_400_000
NOON_NS = 1_796_472_000_000_000_000  # 2026-12-05 12:00 UTC, a Saturday: no expiry and no funding is near


@pytest.fixture(autouse=True)
def _noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the simulator's clock begin at noon, whatever the day: minutes before 08:00 smiles are steep."""
    real = time.time_ns
    ahead = NOON_NS - real()
    monkeypatch.setattr(time, "time_ns", lambda: real() + ahead)


async def funding(client: ClientSession, venue: str, at_ms: int | str, symbol: str = "BTC-USDT") -> Any:
    return await json_of(client, f"/control/funding/{venue}/{symbol}?atMs={at_ms}")


async def status_and_body(client: ClientSession, path: str) -> tuple[int, Any]:
    async with client.get(path) as response:
        return response.status, await response.json()


async def test_binance_tells_mark_index_and_funding_in_texts_of_eight_places(client: ClientSession) -> None:
    told = await json_of(client, "/binance-usdm/fapi/v1/premiumIndex?symbol=BTCUSDT")
    truth = await funding(client, "binance-usdm", told["time"])
    assert abs(told["time"] - time.time_ns() // 1_000_000) < 5_000
    assert float(told["indexPrice"]) == pytest.approx(truth["index"], rel=1e-6)
    assert float(told["markPrice"]) == pytest.approx(truth["mark"], rel=1e-6)
    assert told["lastFundingRate"] == f"{truth['fundingRate']:.8f}"
    assert told["interestRate"] == "0.00010000"
    assert told["nextFundingTime"] == truth["nextFundingTime"]
    assert told["nextFundingTime"] % INTERVAL_MS == 0
    assert 0 < told["nextFundingTime"] - told["time"] <= INTERVAL_MS
    assert set(told) == {
        "symbol",
        "markPrice",
        "indexPrice",
        "estimatedSettlePrice",
        "lastFundingRate",
        "interestRate",
        "nextFundingTime",
        "time",
    }
    everyone = await json_of(client, "/binance-usdm/fapi/v1/premiumIndex")
    assert [row["symbol"] for row in everyone] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    info = await json_of(client, "/binance-usdm/fapi/v1/fundingInfo")
    assert {row["fundingIntervalHours"] for row in info} == {8}


async def test_the_index_is_where_the_spot_books_are(client: ClientSession) -> None:
    for venue in ("binance", "okx"):
        book = await json_of(client, f"/control/books/{venue}/ETH-USDT")
        told = await json_of(client, "/binance-usdm/fapi/v1/premiumIndex?symbol=ETHUSDT")
        mid = (book["bids"][0][0] + book["asks"][0][0]) / 2
        assert float(told["indexPrice"]) == pytest.approx(mid, rel=20e-4)


async def test_binance_tells_how_many_are_long_on_the_grid_of_the_period(client: ClientSession) -> None:
    path = "/binance-usdm/futures/data/globalLongShortAccountRatio?symbol=BTCUSDT"
    rows = await json_of(client, f"{path}&period=5m&limit=3")
    stamps = [row["timestamp"] for row in rows]
    assert [stamp % 300_000 for stamp in stamps] == [0, 0, 0]
    assert [later - earlier for earlier, later in itertools.pairwise(stamps)] == [300_000] * 2
    assert stamps[-1] <= time.time_ns() // 1_000_000 < stamps[-1] + 305_000
    for row in rows:
        longs, shorts = float(row["longAccount"]), float(row["shortAccount"])
        assert longs + shorts == pytest.approx(1.0, abs=1e-9)
        assert float(row["longShortRatio"]) == pytest.approx(longs / shorts, abs=1e-4)
    earlier = await json_of(client, f"{path}&period=5m&endTime={stamps[1]}&startTime={stamps[0]}")
    assert earlier == rows[:2]
    assert len(await json_of(client, f"{path}&period=1d")) == 30


async def test_okx_tells_funding_mark_and_index(client: ClientSession) -> None:
    envelope = await json_of(client, "/okx/api/v5/public/funding-rate?instId=BTC-USDT-SWAP")
    (row,) = envelope["data"]
    truth = await funding(client, "okx", row["ts"])
    assert (envelope["code"], envelope["msg"]) == ("0", "")
    assert float(row["fundingRate"]) == pytest.approx(truth["fundingRate"], abs=1e-9)
    assert float(row["settFundingRate"]) == pytest.approx(truth["settledRate"], abs=1e-12)
    assert float(row["premium"]) == pytest.approx(truth["premium"], abs=1e-6)
    assert int(row["fundingTime"]) == truth["nextFundingTime"]
    assert int(row["nextFundingTime"]) - int(row["fundingTime"]) == INTERVAL_MS
    assert (row["instType"], row["settState"], row["nextFundingRate"]) == ("SWAP", "settled", "")
    (mark,) = (await json_of(client, "/okx/api/v5/public/mark-price?instType=SWAP&instId=ETH-USDT-SWAP"))[
        "data"
    ]
    truth = await funding(client, "okx", mark["ts"], "ETH-USDT")
    assert float(mark["markPx"]) == pytest.approx(truth["mark"], rel=1e-5)
    (index,) = (await json_of(client, "/okx/api/v5/market/index-tickers?instId=ETH-USDT"))["data"]
    truth = await funding(client, "okx", index["ts"], "ETH-USDT")
    assert float(index["idxPx"]) == pytest.approx(truth["index"], rel=1e-5)
    assert float(index["low24h"]) <= float(index["idxPx"]) <= float(index["high24h"])
    everyone = await json_of(client, "/okx/api/v5/public/funding-rate?instId=ANY")
    assert [row["instId"] for row in everyone["data"]] == [f"{c}-USDT-SWAP" for c in ("BTC", "ETH", "SOL")]
    indices = await json_of(client, "/okx/api/v5/market/index-tickers?quoteCcy=USDT")
    assert len(indices["data"]) == 3
    assert (await json_of(client, "/okx/api/v5/market/index-tickers?quoteCcy=EUR"))["data"] == []
    assert (await json_of(client, "/okx/api/v5/public/mark-price?instType=FUTURES"))["data"] == []


async def test_bybit_tells_a_perpetual_with_its_funding(client: ClientSession) -> None:
    envelope = await json_of(client, "/bybit/v5/market/tickers?category=linear&symbol=BTCUSDT")
    (row,) = envelope["result"]["list"]
    truth = await funding(client, "bybit", envelope["time"])
    assert (envelope["retCode"], envelope["retMsg"], envelope["result"]["category"]) == (0, "OK", "linear")
    assert float(row["markPrice"]) == pytest.approx(truth["mark"], rel=1e-5)
    assert float(row["indexPrice"]) == pytest.approx(truth["index"], rel=1e-5)
    assert float(row["fundingRate"]) == pytest.approx(truth["fundingRate"], abs=1e-8)
    assert (row["nextFundingTime"], row["fundingIntervalHour"]) == (str(truth["nextFundingTime"]), "8")
    assert float(row["bid1Price"]) < float(row["markPrice"]) < float(row["ask1Price"])
    assert float(row["lowPrice24h"]) <= float(row["lastPrice"]) <= float(row["highPrice24h"])
    everyone = await json_of(client, "/bybit/v5/market/tickers?category=linear")
    assert [row["symbol"] for row in everyone["result"]["list"]] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    for empty in ("inverse", "option"):
        told = await json_of(client, f"/bybit/v5/market/tickers?category={empty}")
        assert (told["retCode"], told["result"]["list"]) == (0, [])


async def test_bybit_tells_spot_from_its_book(client: ClientSession) -> None:
    await client.post("/control/pause")
    told = await json_of(client, "/bybit/v5/market/tickers?category=spot&symbol=ETHUSDT")
    (row,) = told["result"]["list"]
    book = await json_of(client, "/control/books/bybit/ETH-USDT")
    assert [float(row["bid1Price"]), float(row["bid1Size"])] == book["bids"][0]
    assert [float(row["ask1Price"]), float(row["ask1Size"])] == book["asks"][0]
    assert float(row["lowPrice24h"]) <= float(row["lastPrice"]) <= float(row["highPrice24h"])
    assert len((await json_of(client, "/bybit/v5/market/tickers?category=spot"))["result"]["list"]) == 3


def phi(x: float) -> float:
    return 0.5 * erfc(-x / sqrt(2))


async def test_deribit_marks_are_black_76_of_their_volatility_and_keep_parity(client: ClientSession) -> None:
    envelope = await json_of(client, f"{DERIBIT}/get_book_summary_by_currency?currency=BTC&kind=option")
    listed = await json_of(client, f"{DERIBIT}/get_instruments?currency=BTC&kind=option&expired=false")
    instruments = {row["instrument_name"]: row for row in listed["result"]}
    rows = {row["instrument_name"]: row for row in envelope["result"]}
    assert (envelope["jsonrpc"], envelope["testnet"]) == ("2.0", False)
    assert set(rows) == set(instruments)
    without_bid = 0
    for name, row in rows.items():
        contract, forward = instruments[name], row["underlying_price"]
        years = (contract["expiration_timestamp"] - row["creation_timestamp"]) / YEAR_MS
        ratio, root = contract["strike"] / forward, row["mark_iv"] / 100 * sqrt(years)
        d1 = -log(ratio) / root + root / 2
        sign = 1 if contract["option_type"] == "call" else -1
        value = sign * (phi(sign * d1) - ratio * phi(sign * (d1 - root)))
        assert row["mark_price"] == pytest.approx(value, abs=5e-5)  # of a volatility to 0.01 points
        twin = rows[name[:-1] + ("P" if sign > 0 else "C")]
        parity = sign * (row["mark_price"] - twin["mark_price"])
        assert parity == pytest.approx(1 - ratio, abs=1.1e-6)
        assert (row["base_currency"], row["quote_currency"]) == ("BTC", "BTC")
        assert row["underlying_index"].removeprefix("SYN.") == name.rsplit("-", 2)[0]
        without_bid += row["bid_price"] is None
        assert (row["mid_price"] is None) == (row["bid_price"] is None)
        assert row["mark_price"] < row["ask_price"]
        assert row["mark_price"] >= 0.0 if row["bid_price"] is None else row["bid_price"] < row["mark_price"]
    assert 0 < without_bid < len(rows) / 2
    expiries = {row["expiration_timestamp"] % 86_400_000 for row in listed["result"]}
    assert expiries == {8 * 3_600_000}
    assert {row["settlement_period"] for row in listed["result"]} == {"day", "week", "month"}


async def test_the_truth_about_options_is_the_smile_that_deribit_tells(client: ClientSession) -> None:
    told = await json_of(client, f"{DERIBIT}/get_book_summary_by_currency?currency=ETH&kind=option")
    at_ms = told["result"][0]["creation_timestamp"]
    truth = await json_of(client, f"/control/options/eth?days=30&atMs={at_ms}")
    index = await json_of(client, f"{DERIBIT}/get_index_price?index_name=eth_usd")
    assert index["result"]["index_price"] == pytest.approx(truth["index"], rel=1e-3)
    assert truth["constant"]["days"] == 30
    by_series: dict[str, list[Any]] = {}
    for row in told["result"]:
        by_series.setdefault(row["instrument_name"].rsplit("-", 2)[0], []).append(row)
    assert list(by_series) == [expiry["name"] for expiry in truth["expiries"]]
    for expiry in truth["expiries"]:
        rows = by_series[expiry["name"]]
        assert rows[0]["underlying_price"] == pytest.approx(expiry["forward"], rel=1e-7)
        strikes = [float(row["instrument_name"].split("-")[2]) for row in rows]
        for wanted, volatility in (
            (0.0, expiry["atmVol"]),
            (expiry["callLogStrike25"], expiry["atmVol"] + expiry["bf25"] + expiry["rr25"] / 2),
            (expiry["putLogStrike25"], expiry["atmVol"] + expiry["bf25"] - expiry["rr25"] / 2),
        ):
            strike = expiry["forward"] * exp(wanted)
            near = min(range(len(rows)), key=lambda place: abs(strikes[place] - strike))
            assert rows[near]["mark_iv"] / 100 == pytest.approx(volatility, abs=0.03)


async def test_a_deribit_ticker_has_the_row_of_the_summary_and_greeks(client: ClientSession) -> None:
    rows = (await json_of(client, f"{DERIBIT}/get_book_summary_by_currency?currency=BTC&kind=option"))[
        "result"
    ]
    row = min(rows, key=lambda r: abs(float(r["instrument_name"].split("-")[2]) - r["underlying_price"]))
    told = (await json_of(client, f"{DERIBIT}/ticker?instrument_name={row['instrument_name']}"))["result"]
    assert told["mark_iv"] == pytest.approx(row["mark_iv"], abs=0.5)
    assert told["open_interest"] == pytest.approx(row["open_interest"], rel=0.2)
    assert told["bid_iv"] <= told["mark_iv"] <= told["ask_iv"]
    assert set(told["greeks"]) == {"delta", "gamma", "vega", "theta", "rho"}
    assert 0.3 < abs(told["greeks"]["delta"]) < 0.7
    assert told["greeks"]["theta"] < 0.0 < told["greeks"]["vega"]


async def test_the_truth_says_what_can_be_asked(client: ClientSession) -> None:
    for path, status, says in (
        ("options/SOL", 404, "no options on SOL; there are BTC, ETH"),
        ("options/BTC?days=nan", 422, "days is a number"),
        ("options/BTC?days=x", 422, "days is a number"),
        ("options/BTC?atMs=1", 422, "at most 60 days"),
        ("funding/kraken/BTC-USDT", 404, "no perpetual kraken/BTC-USDT; binance-usdm, okx, bybit each have"),
        ("funding/okx/!", 404, "!"),
        ("funding/okx/BTC-USDT?atMs=x", 422, "at most 60 days"),
    ):
        found, body = await status_and_body(client, f"/control/{path}")
        assert found == status
        assert says in body["error"]


async def test_refusals_and_limits_come_through_the_server(client: ClientSession) -> None:
    for path, status in (
        ("/binance-usdm/fapi/v1/premiumIndex?symbol=NOPEUSDT", 400),
        ("/binance-usdm/fapi/v1/nothing", 404),
        ("/okx/api/v5/public/funding-rate?instId=BTC-USDT", 200),
        ("/bybit/v5/market/tickers?category=futures", 200),
        ("/deribit/api/v2/public/nope", 400),
    ):
        assert (await status_and_body(client, path))[0] == status
    path = "/okx/api/v5/public/mark-price?instType=SWAP&instId="
    at_once = await asyncio.gather(*(status_and_body(client, f"{path}BTC-USDT-SWAP") for _ in range(40)))
    statuses = [status for status, _ in at_once]
    assert statuses.count(200) in {10, 20}  # by whether a window of two seconds ended among them
    assert statuses.count(200) + statuses.count(429) == 40
    assert (await status_and_body(client, f"{path}ETH-USDT-SWAP"))[0] == 200  # each contract has its own
