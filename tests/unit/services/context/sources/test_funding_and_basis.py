from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cramjam
import pytest

from services.context.source import MalformedError, per_8_hours
from services.context.sources import binance_usdm, bybit, okx
from tests.recordings import BYBIT, needs_recordings

if TYPE_CHECKING:
    from services.context.source import Reading

# The example of https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api/Mark-Price
PREMIUM = {
    "symbol": "BTCUSDT",
    "markPrice": "11793.63104562",
    "indexPrice": "11781.80495970",
    "estimatedSettlePrice": "11781.16138815",
    "lastFundingRate": "0.00038246",
    "interestRate": "0.00010000",
    "nextFundingTime": 1597392000000,
    "time": 1597370495002,
}
# That of https://www.okx.com/docs-v5/en/#public-data-rest-api-get-funding-rate
FUNDING = {
    "formulaType": "noRate",
    "fundingRate": "0.0000182221218054",
    "fundingTime": "1743609600000",
    "instId": "BTC-USDT-SWAP",
    "instType": "SWAP",
    "method": "current_period",
    "nextFundingRate": "",
    "nextFundingTime": "1743638400000",
    "settFundingRate": "0.0000145824401745",
    "settState": "settled",
    "ts": "1743588686291",
}


def values(reading: Reading) -> dict[tuple[str, str], float]:
    return {(each.symbol, each.name): each.value for each in reading.values}


def binance(rows: Any, intervals: Any = (), symbols: tuple[str, ...] = ("BTC-USDT", "ETH-USDT")) -> Reading:
    replies = {
        binance_usdm.PREMIUM: json.dumps(rows).encode(),
        binance_usdm.INTERVALS: json.dumps(intervals).encode(),
    }
    return binance_usdm.read(replies, symbols, 0)


def okx_replies(
    funding: Any = None, mark: str = "83120.5", index: str = "83100.0", *, code: str = "0"
) -> dict[str, bytes]:
    ts = "1743588686000"
    rows = {
        okx.MARKS: [
            {"instType": "SWAP", "instId": "BTC-USDT-SWAP", "markPx": mark, "ts": ts},
            {"instType": "SWAP", "instId": "DOGE-USDT-SWAP", "markPx": "0.17", "ts": ts},
        ],
        okx.index_path("BTC-USDT"): [
            {"instId": "BTC-USDT", "idxPx": index, "high24h": "1", "low24h": "1", "ts": "1743588685000"}
        ],
        okx.funding_path("BTC-USDT"): [funding or FUNDING],
    }
    found = {path: json.dumps({"code": "0", "data": data, "msg": ""}).encode() for path, data in rows.items()}
    if code != "0":
        refused = {"code": code, "data": [], "msg": "Instrument ID does not exist"}
        found[okx.funding_path("BTC-USDT")] = json.dumps(refused).encode()
    return found


def test_binance_s_example_has_the_funding_and_basis_of_a_pocket_calculator() -> None:
    reading = binance([PREMIUM, PREMIUM | {"symbol": "BTCUSDT_260327", "lastFundingRate": ""}])
    assert values(reading) == {
        ("BTC-USDT", "fundingRate"): 0.00038246,
        ("BTC-USDT", "basisBps"): pytest.approx(11.82608592 / 11781.80495970 * 1e4),  # 10.0376 bps
    }
    assert {each.ts for each in reading.values} == {1597370495002 * 1_000_000}
    assert reading.faults == []


@pytest.mark.parametrize(("hours", "rate"), [(8, 0.00038246), (4, 0.00076492), (1, 0.00305968)])
def test_binance_s_rates_of_other_intervals_are_paid_so_much_more_often(hours: int, rate: float) -> None:
    intervals = [{"symbol": "BTCUSDT", "adjustedFundingRateCap": "0.03", "fundingIntervalHours": hours}]
    assert values(binance([PREMIUM], intervals))["BTC-USDT", "fundingRate"] == pytest.approx(rate)


def test_binance_is_asked_for_the_intervals_once_an_hour() -> None:
    assert [get.keep_s for get in binance_usdm.requests(("BTC-USDT",))] == [0.0, 3600.0]
    assert binance_usdm.requests(()) == ()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"markPrice": "NaN"}, "BTC-USDT: markPrice is 'NaN', which is no number"),
        ({"markPrice": "0"}, "BTC-USDT: markPrice is 0, and must be above 0"),
        ({"indexPrice": "-1"}, "BTC-USDT: indexPrice is -1, and must be above 0"),
        ({"lastFundingRate": ""}, "BTC-USDT: lastFundingRate is '', which is no number"),
        ({"lastFundingRate": "1e999"}, "BTC-USDT: lastFundingRate is '1e999', which is no number"),
    ],
)
def test_a_bad_row_of_binance_is_a_fault_of_its_symbol_alone(change: dict[str, Any], why: str) -> None:
    reading = binance([PREMIUM | change, PREMIUM | {"symbol": "ETHUSDT"}])
    assert {each.symbol for each in reading.values} == {"ETH-USDT"}
    assert reading.faults == [why]


@pytest.mark.parametrize(
    "rows", [{"code": -1, "msg": "x"}, [{"symbol": "BTCUSDT"}], [PREMIUM | {"time": "1"}], []]
)
def test_another_form_of_binance_is_malformed(rows: Any) -> None:
    with pytest.raises(MalformedError, match="the answer"):
        binance(rows)


def test_okx_s_example_is_a_rate_per_8_hours() -> None:
    reading = okx.read(okx_replies(), ("BTC-USDT", "SOL-USDT"), 0)
    assert values(reading) == {
        ("BTC-USDT", "fundingRate"): 0.0000182221218054,
        ("BTC-USDT", "basisBps"): pytest.approx(20.5 / 83100 * 1e4),
    }
    assert {each.name: each.ts for each in reading.values} == {
        "fundingRate": 1743588686291 * 1_000_000,
        "basisBps": 1743588685000 * 1_000_000,  # the older of the two
    }


def test_okx_s_interval_lies_between_the_next_two_payments() -> None:
    four = FUNDING | {"nextFundingTime": str(1743609600000 + 4 * 3_600_000)}
    reading = okx.read(okx_replies(four), ("BTC-USDT",), 0)
    assert values(reading)["BTC-USDT", "fundingRate"] == pytest.approx(2 * 0.0000182221218054)
    unknown = FUNDING | {"nextFundingTime": ""}
    reading = okx.read(okx_replies(unknown), ("BTC-USDT",), 0)
    assert values(reading)["BTC-USDT", "fundingRate"] == 0.0000182221218054


def test_a_swap_that_okx_does_not_know_is_no_fault_and_another_refusal_is() -> None:
    assert okx.read(okx_replies(code="51001"), ("BTC-USDT",), 0).faults == []
    reading = okx.read(okx_replies(code="50011"), ("BTC-USDT",), 0)
    assert reading.faults == ["BTC-USDT: refused with code 50011: Instrument ID does not exist"]
    assert values(reading).keys() == {("BTC-USDT", "basisBps")}  # which came


def test_okx_is_asked_of_each_symbol_and_for_all_marks_once() -> None:
    paths = [get.path for get in okx.requests(("ETH-USDT", "BTC-USDT"))]
    assert paths == [
        "/api/v5/public/mark-price?instType=SWAP",
        "/api/v5/public/funding-rate?instId=BTC-USDT-SWAP",
        "/api/v5/market/index-tickers?instId=BTC-USDT",
        "/api/v5/public/funding-rate?instId=ETH-USDT-SWAP",
        "/api/v5/market/index-tickers?instId=ETH-USDT",
    ]


def bybit_reply(row: dict[str, Any], ts: int = 1786310817583) -> bytes:
    result = {"category": "linear", "list": [row]}
    return json.dumps({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": ts}).encode()


def recorded_tickers() -> list[dict[str, Any]]:
    """Whole tickers of linear perpetuals; the REST rows have the same fields."""
    lines = bytes(cramjam.zstd.decompress(BYBIT.read_bytes())).decode().splitlines()
    frames = [
        json.loads(json.loads(line)["data"]) for line in lines if '"data":"{' in line and "tickers." in line
    ]
    return [
        frame["data"]
        for frame in frames
        if frame.get("topic", "").startswith("tickers.")
        and frame["type"] == "snapshot"
        and "fundingRate" in frame["data"]
    ]


@needs_recordings
def test_recorded_tickers_of_bybit_have_the_funding_and_basis_of_a_pocket_calculator() -> None:
    tickers = {row["symbol"]: row for row in recorded_tickers()}
    assert len(tickers) >= 4
    for name, row in tickers.items():
        symbol = name.removesuffix("USDT") + "-USDT"
        reading = bybit.read({bybit.path(symbol): bybit_reply(row)}, (symbol,), 0)
        mark, index = float(row["markPrice"]), float(row["indexPrice"])
        assert values(reading) == {
            (symbol, "fundingRate"): float(row["fundingRate"]) * 8 / int(row["fundingIntervalHour"]),
            (symbol, "basisBps"): pytest.approx(10_000 * (mark - index) / index),
        }
    # BTCUSDT of 2026-08-09: mark 65117.44, index 65137.76, 0.0001 in 8 h.
    assert float(tickers["BTCUSDT"]["markPrice"]) == 65117.44
    reading = bybit.read({bybit.path("BTC-USDT"): bybit_reply(tickers["BTCUSDT"])}, ("BTC-USDT",), 0)
    assert values(reading)["BTC-USDT", "basisBps"] == pytest.approx(-3.1195, abs=1e-3)
    assert values(reading)["BTC-USDT", "fundingRate"] == 0.0001


def a_row(**changes: str) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "markPrice": "100.1",
        "indexPrice": "100",
        "fundingRate": "-0.0002",
        "fundingIntervalHour": "4",
    } | changes


def test_bybit_s_interval_may_be_absent() -> None:
    row = a_row()
    assert bybit.read({bybit.path("BTC-USDT"): bybit_reply(row)}, ("BTC-USDT",), 0).values[0].value == -0.0004
    del row["fundingIntervalHour"]
    assert bybit.read({bybit.path("BTC-USDT"): bybit_reply(row)}, ("BTC-USDT",), 0).values[0].value == -0.0002


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (bybit_reply(a_row(indexPrice="")), "BTC-USDT: indexPrice is '', which is no number"),
        (bybit_reply(a_row(fundingIntervalHour="0")), "fundingIntervalHour is 0, and must be above 0"),
        (
            b'{"retCode": 10006, "retMsg": "Too many visits!", "result": {}, "time": 1}',
            "refused with code 10006",
        ),
        (b"<html>blocked</html>", "the answer is no JSON"),
        (b'{"retCode": "0"}', "the answer has another form"),
    ],
)
def test_a_bad_answer_of_bybit_is_a_fault_of_its_symbol_alone(body: bytes, why: str) -> None:
    replies = {bybit.path("BTC-USDT"): body, bybit.path("ETH-USDT"): bybit_reply(a_row(symbol="ETHUSDT"))}
    reading = bybit.read(replies, ("BTC-USDT", "ETH-USDT"), 0)
    assert {each.symbol for each in reading.values} == {"ETH-USDT"}
    assert why in reading.faults[0]


def test_a_symbol_that_bybit_does_not_list_is_no_fault() -> None:
    unknown = b'{"retCode":10001,"retMsg":"params error: symbol invalid","result":{},"time":1}'
    empty = b'{"retCode":0,"retMsg":"OK","result":{"category":"linear","list":[]},"time":1}'
    for body in (unknown, empty):
        reading = bybit.read({bybit.path("BTC-USDT"): body}, ("BTC-USDT",), 0)
        assert (reading.values, reading.faults) == ([], [])


def test_a_rate_per_hour_is_an_eighth_of_one_per_8_hours() -> None:
    assert per_8_hours(0.0001, 1) == pytest.approx(0.0008)
    assert per_8_hours(0.0001, 8) == 0.0001
    assert per_8_hours(0.0001, 16) == pytest.approx(0.00005)
