"""Each venue's answer about an instrument: its terms, its refusal, and what is no answer at all."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from libs.common.events import InstrumentTerms
from services.l2.feeds import FEEDS
from services.l2.feeds.feed import BadFrameError
from services.l2.feeds.venue_messages import Unlisted

SYMBOL = "BTC-USDT"
# As documented, or as they were captured by others (2026-08 and 2026-09), shortened.
BINANCE = {
    "timezone": "UTC",
    "serverTime": 1565246363776,
    "rateLimits": [],
    "exchangeFilters": [],
    "symbols": [
        {
            "symbol": "BTCUSDT",
            "status": "TRADING",
            "baseAsset": "BTC",
            "filters": [
                {
                    "filterType": "PRICE_FILTER",
                    "minPrice": "0.01000000",
                    "maxPrice": "1000000.00000000",
                    "tickSize": "0.01000000",
                },
                {
                    "filterType": "LOT_SIZE",
                    "minQty": "0.00001000",
                    "maxQty": "9000.00000000",
                    "stepSize": "0.00001000",
                },
                {"filterType": "ICEBERG_PARTS", "limit": 10},
                {
                    "filterType": "MARKET_LOT_SIZE",
                    "minQty": "0.00000000",
                    "maxQty": "100.0",
                    "stepSize": "0.00000000",
                },
                {
                    "filterType": "NOTIONAL",
                    "minNotional": "5.00000000",
                    "applyMinToMarket": True,
                    "maxNotional": "9000000.0",
                },
            ],
        }
    ],
}
BYBIT = {
    "retCode": 0,
    "retMsg": "OK",
    "result": {
        "category": "spot",
        "list": [
            {
                "symbol": "BTCUSDT",
                "baseCoin": "BTC",
                "quoteCoin": "USDT",
                "innovation": "0",
                "status": "Trading",
                "marginTrading": "utaOnly",
                "lotSizeFilter": {
                    "basePrecision": "0.000001",
                    "quotePrecision": "0.0000001",
                    "minOrderQty": "0.000011",
                    "maxOrderQty": "230",
                    "minOrderAmt": "5",
                },
                "priceFilter": {"tickSize": "0.1"},
            }
        ],
    },
    "retExtInfo": {},
    "time": 1700000000000,
}
COINBASE = {
    "product_id": "BTC-USDT",
    "price": "22824.43",
    "base_increment": "0.00000001",
    "quote_increment": "0.01",
    "quote_min_size": "1",
    "base_min_size": "0.000016",
    "is_disabled": False,
    "status": "online",
    "cancel_only": False,
    "limit_only": False,
    "post_only": False,
    "trading_disabled": False,
    "auction_mode": False,
    "view_only": True,
    "price_increment": "0.01",
}
KRAKEN = {
    "error": [],
    "result": {
        "XBTUSDT": {
            "altname": "XBTUSDT",
            "wsname": "XBT/USDT",
            "costmin": "0.5",
            "lot_decimals": 8,
            "ordermin": "0.00005",
            "pair_decimals": 1,
            "status": "online",
            "tick_size": "0.1",
        }
    },
}
OKX = {
    "code": "0",
    "msg": "",
    "data": [
        {
            "instType": "SPOT",
            "instId": "BTC-USDT",
            "tickSz": "0.1",
            "lotSz": "0.00000001",
            "minSz": "0.00001",
            "state": "live",
            "ctVal": "",
        }
    ],
}
BITSTAMP = [
    {
        "name": "BTC/USDT",
        "market_symbol": "btcusdt",
        "base_decimals": 8,
        "counter_decimals": 0,
        "minimum_order_value": "10.00",
        "trading": "Enabled",
        "market_type": "SPOT",
    }
]
ANSWERS: dict[str, Any] = {
    "binance": BINANCE,
    "bybit": BYBIT,
    "coinbase": COINBASE,
    "kraken": KRAKEN,
    "okx": OKX,
    "bitstamp": BITSTAMP,
}
TERMS = {  # tick, lot, least quantity, least value
    "binance": ("0.01", "0.00001", "0.00001", "5"),
    "bybit": ("0.1", "0.000001", "0.000001", "5"),
    "coinbase": ("0.01", "0.00000001", "0.000016", "1"),
    "kraken": ("0.1", "0.00000001", "0.00005", "0.5"),
    "okx": ("0.1", "0.00000001", "0.00001", "0"),
    "bitstamp": ("1", "0.00000001", "0.00000001", "10"),
}
ADDRESSES = {
    "binance": "http://v/api/v3/exchangeInfo?symbol=BTCUSDT",
    "bybit": "http://v/v5/market/instruments-info?category=spot&symbol=BTCUSDT",
    "coinbase": "http://v/api/v3/brokerage/market/products/BTC-USDT",
    "kraken": "http://v/0/public/AssetPairs?pair=BTC/USDT",
    "okx": "http://v/api/v5/public/instruments?instType=SPOT&instId=BTC-USDT",
    "bitstamp": "http://v/api/v2/markets/",
}


def said(venue: str, answer: Any, status: int = 200, symbol: str = SYMBOL) -> InstrumentTerms | Unlisted:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return FEEDS[venue].parse_instrument(body, symbol, status)


def changed(answer: Any, path: tuple[int | str, ...], value: object) -> Any:
    """Return the answer with something else at one place."""
    copy = json.loads(json.dumps(answer))
    at = copy
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return copy


@pytest.mark.parametrize("venue", FEEDS)
def test_every_venue_that_prices_orders_is_asked_and_no_other(venue: str) -> None:
    assert FEEDS[venue].instrument_url("http://v", SYMBOL) == ADDRESSES.get(venue)


@pytest.mark.parametrize("venue", sorted(set(FEEDS) - set(ADDRESSES)))
def test_who_is_not_asked_says_so(venue: str) -> None:
    if venue != "bybit-200":  # speaks as bybit does
        with pytest.raises(NotImplementedError, match=venue):
            FEEDS[venue].parse_instrument(b"{}", SYMBOL, 200)


@pytest.mark.parametrize("venue", ANSWERS)
def test_the_terms_are_exact(venue: str) -> None:
    tick, lot, min_qty, min_notional = map(Decimal, TERMS[venue])
    assert said(venue, ANSWERS[venue]) == InstrumentTerms(
        tick=tick, lot=lot, min_qty=min_qty, min_notional=min_notional
    )


def test_older_symbols_of_binance_have_a_filter_of_another_name() -> None:
    filters = [each for each in BINANCE["symbols"][0]["filters"] if each["filterType"] != "NOTIONAL"]  # type: ignore[index]
    older = [*filters, {"filterType": "MIN_NOTIONAL", "minNotional": "10.00000000", "applyToMarket": True}]
    terms = said("binance", changed(BINANCE, ("symbols", 0, "filters"), older))
    assert isinstance(terms, InstrumentTerms)
    assert terms.min_notional == 10


@pytest.mark.parametrize(
    ("venue", "status", "body", "words"),
    [
        ("binance", 400, b'{"code":-1121,"msg":"Invalid symbol."}', "-1121 Invalid symbol."),
        (
            "bybit",
            200,
            b'{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[]},"time":1790319460076}',
            "no instrument BTCUSDT is trading",
        ),
        (
            "bybit",
            200,
            b'{"retCode":10001,"retMsg":"Not supported symbols","result":{},"retExtInfo":{},"time":1}',
            "10001 Not supported symbols",
        ),
        (
            "coinbase",
            404,
            b'{"error":"NOT_FOUND","error_details":"valid product_id is required","message":"valid id"}',
            "NOT_FOUND valid product_id is required",
        ),
        (
            "coinbase",
            400,
            b'{"error":"INVALID_ARGUMENT","error_details":"ProductID is invalid","message":"ProductID"}',
            "INVALID_ARGUMENT ProductID is invalid",
        ),
        ("kraken", 200, b'{"error":["EQuery:Unknown asset pair"]}', "EQuery:Unknown asset pair"),
        (
            "okx",
            200,
            b'{"code":"51001","data":[],"msg":"Instrument ID or Spread ID doesn\'t exist."}',
            "51001 Instrument ID or Spread ID doesn't exist.",
        ),
        (
            "bitstamp",
            200,
            json.dumps(changed(BITSTAMP, (0, "market_symbol"), "ethusd")).encode(),
            "none of its 1 markets is btcusdt",
        ),
    ],
)
def test_a_symbol_that_is_not_listed_is_refused_in_the_venues_words(
    venue: str, status: int, body: bytes, words: str
) -> None:
    assert said(venue, body, status) == Unlisted(words)


CLOSED: list[tuple[str, tuple[int | str, ...], object, str]] = [
    *(
        ("binance", ("symbols", 0, "status"), status, f"status {status}")
        for status in ("HALT", "BREAK", "CANCEL_ONLY", "END_OF_DAY")
    ),
    ("bybit", ("result", "list", 0, "status"), "Closed", "status Closed"),
    ("bybit", ("result", "list", 0, "status"), "PreLaunch", "status PreLaunch"),
    *(
        ("coinbase", (flag,), True, flag)
        for flag in (
            "is_disabled",
            "trading_disabled",
            "cancel_only",
            "limit_only",
            "post_only",
            "auction_mode",
        )
    ),
    ("coinbase", ("status",), "delisted", "status delisted"),
    *(
        ("kraken", ("result", "XBTUSDT", "status"), status, f"status {status}")
        for status in ("cancel_only", "post_only", "limit_only", "reduce_only")
    ),
    *(("okx", ("data", 0, "state"), state, f"state {state}") for state in ("suspend", "preopen", "test")),
    ("bitstamp", (0, "trading"), "Disabled", "trading Disabled"),
]


@pytest.mark.parametrize(("venue", "path", "value", "words"), CLOSED)
def test_a_symbol_that_is_not_traded_now_is_refused_in_the_venues_words(
    venue: str, path: tuple[int | str, ...], value: object, words: str
) -> None:
    assert said(venue, changed(ANSWERS[venue], path, value)) == Unlisted(words)


def test_an_instrument_of_okx_that_is_to_open_may_have_no_terms_yet() -> None:
    early = changed(changed(OKX, ("data", 0, "state"), "preopen"), ("data", 0, "tickSz"), "")
    assert said("okx", early) == Unlisted("state preopen")


STEPS: dict[str, tuple[int | str, ...]] = {
    "binance": ("symbols", 0, "filters", 0, "tickSize"),
    "bybit": ("result", "list", 0, "priceFilter", "tickSize"),
    "coinbase": ("base_increment",),
    "kraken": ("result", "XBTUSDT", "tick_size"),
    "okx": ("data", 0, "lotSz"),
}


@pytest.mark.parametrize(
    "absurd",
    [
        "0",
        "0.00000000",
        "-0.1",
        "NaN",
        "Infinity",
        "1e-30",
        "1e13",
        "",
        "0.1\n",
        "1_0",
        "\u0660.\u0661",
        None,
        0,
    ],
)
@pytest.mark.parametrize(("venue", "path"), STEPS.items())
def test_an_absurd_step_is_an_unreadable_answer_and_no_terms(
    venue: str, path: tuple[int | str, ...], absurd: object
) -> None:
    with pytest.raises(BadFrameError):
        said(venue, changed(ANSWERS[venue], path, absurd))


@pytest.mark.parametrize("decimals", [-1, 19, 1.5, "8"])
def test_absurd_decimals_are_unreadable_too(decimals: object) -> None:
    for venue, path in (
        ("kraken", ("result", "XBTUSDT", "lot_decimals")),
        ("bitstamp", (0, "base_decimals")),
    ):
        if decimals != "8":  # text stands for a number at all venues
            with pytest.raises(BadFrameError):
                said(venue, changed(ANSWERS[venue], path, decimals))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"404: Not Found"),
        (404, b""),
        (404, b'{"code": -1000, "msg": "Path not found"}'),
        (404, b'{"error":"unknown","error_details":"Not Found","message":"Not Found"}'),
        (404, b'{"error": ["EGeneral:Unknown method"]}'),
        (200, b"<html>maintenance</html>"),
        (200, b"{}"),
        (200, b"[]"),
        (200, b"null"),
        (400, b'{"code":-1100,"msg":"Illegal characters found in parameter"}'),
        (200, b'{"retCode":10001,"retMsg":"params error: category invalid","result":{}}'),
        (200, b'{"retCode":10006,"retMsg":"Too many visits!","result":{}}'),
        (200, b'{"error":["EGeneral:Too many requests"]}'),
        (200, b'{"code":"50011","msg":"Too Many Requests","data":[]}'),
    ],
)
@pytest.mark.parametrize("venue", ANSWERS)
def test_what_is_no_answer_to_the_question_says_nothing_of_the_symbol(
    venue: str, status: int, body: bytes
) -> None:
    with pytest.raises(BadFrameError):
        said(venue, body, status)


@pytest.mark.parametrize(
    "venue", sorted(set(ANSWERS) - {"bitstamp", "kraken"})
)  # those are told apart by key
def test_an_answer_about_another_symbol_says_nothing_of_this_one(venue: str) -> None:
    with pytest.raises(BadFrameError):
        said(venue, ANSWERS[venue], symbol="ETH-USDT")


@pytest.mark.parametrize(
    ("venue", "path"), [(venue, path) for venue, path, *_ in CLOSED if venue != "coinbase"]
)
def test_a_state_that_is_not_documented_says_nothing(venue: str, path: tuple[int | str, ...]) -> None:
    with pytest.raises(BadFrameError):
        said(venue, changed(ANSWERS[venue], path, "SOMETHING_NEW"))
