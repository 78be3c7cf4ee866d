from __future__ import annotations

import hashlib
import json
import statistics

import pytest

from services.context.source import MalformedError
from services.context.sources import binance_ratio, blockchain_info, fear_greed, mempool_space, stub

SYMBOLS = ("BTC-USDT", "BTC-USD", "ETH-USDT")
DAY = 86_400


def fng(value: str, timestamp: str = "1777248000") -> bytes:
    # The form of https://api.alternative.me/fng/?limit=1
    row = {"value": value, "value_classification": "Neutral", "timestamp": timestamp}
    return json.dumps({"name": "Fear and Greed Index", "data": [row], "metadata": {"error": None}}).encode()


@pytest.mark.parametrize(
    ("value", "score"), [("0", -1.0), ("25", -0.5), ("47", -0.06), ("50", 0.0), ("100", 1.0)]
)
def test_fear_is_negative_and_greed_positive(value: str, score: float) -> None:
    reading = fear_greed.read({fear_greed.PATH: fng(value)}, SYMBOLS, 0)
    (said,) = reading.values
    assert (said.symbol, said.name, said.ts) == ("*", "sentiment", 1777248000 * 10**9)
    assert said.value == pytest.approx(score)


@pytest.mark.parametrize("body", [b'{"data":[]}', fng("greedy"), fng("50", "today"), b"{}", b"[]", b"\xff"])
def test_an_index_that_is_none_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        fear_greed.read({fear_greed.PATH: body}, SYMBOLS, 0)


def test_the_share_of_long_accounts_less_that_of_short_ones_is_the_score() -> None:
    # A recorded row: longAccount 0.7106, shortAccount 0.2894, longShortRatio 2.4554 (2024-06-27 19:45 UTC).
    row = {"symbol": "BTCUSDT", "longAccount": "0.7106", "longShortRatio": "2.4554", "shortAccount": "0.2894"}
    replies = {
        binance_ratio.path("BTC-USDT"): json.dumps([row | {"timestamp": 1719517500000}]).encode(),
        binance_ratio.path("ETH-USDT"): json.dumps([row | {"timestamp": "1719517500000"}]).encode(),
        binance_ratio.path("BTC-USD"): b'{"code":-1121,"msg":"Invalid symbol."}',
    }
    reading = binance_ratio.read(replies, SYMBOLS, 0)
    assert [(each.symbol, each.ts) for each in reading.values] == [
        ("BTC-USDT", 1719517500000 * 10**6),
        ("ETH-USDT", 1719517500000 * 10**6),
    ]
    # The ratio of the two says the same: (q - 1) / (q + 1).
    assert reading.values[0].value == pytest.approx((2.4554 - 1) / (2.4554 + 1), abs=1e-4)
    assert reading.faults == []


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'[{"longAccount":"0","shortAccount":"0","timestamp":1}]', "are no shares"),
        (b'[{"longAccount":"-1","shortAccount":"2","timestamp":1}]', "are no shares"),
        (b'[{"longAccount":"inf","shortAccount":"2","timestamp":1}]', "is no number"),
        (b'{"code":-1003,"msg":"Too many requests"}', "refused with code -1003"),
        (b'"no"', "another form"),
    ],
)
def test_a_bad_ratio_is_a_fault_of_its_symbol_alone(body: bytes, why: str) -> None:
    good = b'[{"longAccount":"0.5","shortAccount":"0.5","timestamp":1}]'
    replies = {binance_ratio.path("BTC-USDT"): body, binance_ratio.path("ETH-USDT"): good}
    reading = binance_ratio.read(replies, ("BTC-USDT", "ETH-USDT"), 0)
    assert [(each.symbol, each.value) for each in reading.values] == [("ETH-USDT", 0.0)]
    assert why in reading.faults[0]


def chart(counts: list[float]) -> bytes:
    # The form of https://www.blockchain.com/explorer/api/charts_api; the first two counts are its example's.
    values = [{"x": 1442534400 + n * DAY, "y": count} for n, count in enumerate(counts)]
    return json.dumps({"status": "ok", "unit": "Transactions", "period": "day", "values": values}).encode()


COUNTS = [188330.0, 117999.0, 105933.0, 140000.0, 152000.0, 149000.0, 131000.0, 120500.0, 119000.0, 137000.0]


@pytest.mark.parametrize("newest", [136_000.0, 190_000.0, 80_000.0])
def test_activity_is_a_third_of_the_newest_day_s_z_score(newest: float) -> None:
    reading = blockchain_info.read({blockchain_info.PATH: chart([*COUNTS, newest])}, SYMBOLS, 0)
    z = statistics.NormalDist(statistics.mean(COUNTS), statistics.stdev(COUNTS)).zscore(newest)
    assert [each.symbol for each in reading.values] == ["BTC-USD", "BTC-USDT"]
    assert reading.values[0].value == pytest.approx(z / 3)
    assert reading.values[0].ts == (1442534400 + 10 * DAY) * 10**9


def test_activity_stays_within_one_and_the_order_of_days_does_not_matter() -> None:
    assert (
        blockchain_info.read({blockchain_info.PATH: chart([*COUNTS, 1e9])}, SYMBOLS, 0).values[0].value == 1.0
    )
    assert (
        blockchain_info.read({blockchain_info.PATH: chart([*COUNTS, 0.0])}, SYMBOLS, 0).values[0].value
        == -1.0
    )
    answer = json.loads(chart([*COUNTS, 190_000.0]))
    answer["values"].reverse()
    turned = blockchain_info.read({blockchain_info.PATH: json.dumps(answer).encode()}, SYMBOLS, 0)
    assert turned == blockchain_info.read({blockchain_info.PATH: chart([*COUNTS, 190_000.0])}, SYMBOLS, 0)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (chart(COUNTS), "fewer than 11"),
        (chart([5.0] * 12), "every day of the chart is alike"),
        (b'{"status":"not-found"}', "another form"),
        (b'{"values":[{"x":1,"y":NaN}]}', "no JSON"),
    ],
)
def test_a_chart_that_says_nothing_is_malformed(body: bytes, why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        blockchain_info.read({blockchain_info.PATH: body}, SYMBOLS, 0)


@pytest.mark.parametrize(
    ("fee", "score"), [(1, -1.0), (10, 0.0), (29, 0.462398), (100, 1.0), (453, 1.0), (0.1, -1.0)]
)
def test_the_pressure_of_fees_is_their_order_of_magnitude(fee: float, score: float) -> None:
    # The form of https://mempool.space/api/v1/fees/recommended; 29 is a recorded half-hour fee.
    body = json.dumps({"fastestFee": 500, "halfHourFee": fee, "hourFee": 1, "economyFee": 1, "minimumFee": 1})
    reading = mempool_space.read({mempool_space.PATH: body.encode()}, SYMBOLS, 77)
    assert [(each.symbol, each.ts) for each in reading.values] == [("BTC-USD", 77), ("BTC-USDT", 77)]
    assert reading.values[0].value == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize("body", [b'{"halfHourFee":0}', b'{"halfHourFee":"1"}', b"{}", b'{"halfHourFee":-4}'])
def test_fees_that_are_none_are_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        mempool_space.read({mempool_space.PATH: body}, SYMBOLS, 0)


def test_bitcoin_s_sources_are_not_asked_where_bitcoin_is_not_traded() -> None:
    for source in (blockchain_info, mempool_space):
        assert source.requests(("ETH-USDT",)) == ()
        assert len(source.requests(SYMBOLS)) == 1
    assert fear_greed.requests(()) == ()


def test_a_stub_says_the_same_for_an_hour_and_then_another_number() -> None:
    hour = 3_600 * 10**9
    now = 495_000 * hour + 5
    first, later, next_hour = (stub.read({}, ("BTC-USDT",), at) for at in (now, now + hour - 6, now + hour))
    assert first == later
    assert [each.value for each in first.values] != [each.value for each in next_hour.values]
    assert {(each.ts, each.until_ts) for each in first.values} == {(495_000 * hour, 495_001 * hour)}
    for each in first.values:
        digest = hashlib.sha256(f"{each.name}/BTC-USDT/495000".encode()).hexdigest()
        assert each.value == pytest.approx(int(digest[:8], 16) / 0x80000000 - 1)
    assert stub.requests(("BTC-USDT",)) == ()
