from __future__ import annotations

import json
import re
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING

import pytest

from simulator.fault_requests import FaultKind, FaultRequest, parse_fault
from simulator.faults import Faults, RestFault, RestSpoiled
from simulator.malformations import SPOILT_ANSWERS
from simulator.venues.venue import RestReply, Update

if TYPE_CHECKING:
    from random import Random

SECOND = 1_000_000_000


@dataclass(frozen=True)
class PlainFrame:
    """A book message of no venue in particular."""

    number: int
    topic: str = "topic"

    def text(self) -> str:
        return f'{{"n":{self.number},"qty":1.5}}'

    def corrupted(self, random: Random) -> str | None:
        del random
        return None if self.number % 2 else f"corrupt {self.number}"

    def crossed(self, random: Random) -> str:
        del random
        return f"crossed {self.number}"


def an_update(number: int, symbol: str = "BTC-USDT") -> Update:
    return Update(symbol, (PlainFrame(number),))


def a_fault(kind: FaultKind, **fields: object) -> FaultRequest:
    return FaultRequest(**{"kind": kind, "venue": "kraken", "once": True, **fields})  # type: ignore[arg-type]  # by name


def sent(faults: Faults, count: int, symbol: str = "BTC-USDT") -> list[str]:
    return [
        text
        for number in range(count)
        for _, text in faults.outgoing("kraken", an_update(number, symbol), number * SECOND).messages
    ]


def test_a_fault_of_one_symbol_leaves_the_others_alone() -> None:
    faults = Faults(1)
    faults.add(a_fault(FaultKind.DROP, symbol="ETH-USDT"), 0)
    assert len(sent(faults, 3)) == 3
    assert len(sent(faults, 3, "ETH-USDT")) == 2


def test_a_probability_hits_about_that_share() -> None:
    """200 of 1000 expected, standard deviation 12.6; outside 5 of them once in two million seeds."""
    faults = Faults(1)
    faults.add(a_fault(FaultKind.DROP, once=False, probability=0.2), 0)
    lost = 1000 - len(sent(faults, 1000))
    assert abs(lost - 200) < 64
    assert faults.totals[FaultKind.DROP] == lost


def test_a_fault_is_disarmed_when_its_duration_is_over() -> None:
    faults = Faults(1)
    faults.add(a_fault(FaultKind.DROP, once=False, probability=1.0, duration_s=2.5), 0)
    assert len(sent(faults, 10)) == 7
    assert faults.statuses(10 * SECOND)[0].state == "spent"


def test_a_corruption_waits_for_a_message_it_can_spoil() -> None:
    faults = Faults(1)
    faults.add(a_fault(FaultKind.CORRUPT), 0)
    assert faults.outgoing("kraken", an_update(1), 0).messages == [("topic", an_update(1).frames[0].text())]
    assert faults.outgoing("kraken", an_update(2), 0).messages == [("topic", "corrupt 2")]
    assert faults.outgoing("kraken", an_update(4), 0).messages == [("topic", an_update(4).frames[0].text())]


def test_one_reorder_swaps_one_pair_of_one_symbol() -> None:
    faults = Faults(1)
    faults.add(a_fault(FaultKind.REORDER), 0)
    out = [
        text
        for number, symbol in enumerate(["BTC-USDT", "ETH-USDT", "ETH-USDT", "BTC-USDT", "BTC-USDT"])
        for _, text in faults.outgoing("kraken", an_update(number, symbol), 0).messages
    ]
    assert [int(text[5]) for text in out] == [1, 2, 3, 0, 4]
    assert faults.totals[FaultKind.REORDER] == 1


def test_a_message_held_back_is_released_and_the_reorder_stays_armed() -> None:
    faults = Faults(1)
    faults.add(a_fault(FaultKind.REORDER), 0)
    assert faults.outgoing("kraken", an_update(1), 0).messages == []
    assert faults.release() == [("kraken", an_update(1))]
    assert faults.statuses(0)[0].state == "armed"
    assert faults.totals[FaultKind.REORDER] == 0


def test_a_freeze_waits_for_a_connection_and_ends_by_itself() -> None:
    faults = Faults(1)
    faults.add(a_fault(FaultKind.FREEZE, duration_s=3.0), 0)
    assert faults.due(lambda _venue, _symbol: False, 0) == []
    assert not faults.is_silent("kraken", None, 0)
    assert faults.due(lambda _venue, _symbol: True, SECOND) == []
    assert faults.is_silent("kraken", None, 3 * SECOND)
    assert not faults.is_silent("binance", None, 3 * SECOND)
    assert not faults.is_silent("kraken", "BTC-USDT", 4 * SECOND)


def test_a_freeze_of_a_symbol_leaves_heartbeats_alone() -> None:
    faults = Faults(1)
    faults.add(a_fault(FaultKind.FREEZE, symbol="BTC-USDT"), 0)
    faults.due(lambda _venue, _symbol: True, 0)
    assert faults.is_silent("kraken", "BTC-USDT", SECOND)
    assert not faults.is_silent("kraken", None, SECOND)


def test_malformations_name_a_size_that_no_book_can_have() -> None:
    faults = Faults(1)
    faults.add(a_fault(FaultKind.MALFORMED, once=False, probability=1.0), 0)
    texts = sent(faults, 4)
    assert sorted("NaN" in t or "-1.5" in t or "true" in t for t in texts) == [False, True, True, True]


def test_a_symbol_is_understood_however_it_is_spelt() -> None:
    body = b'{"kind":"drop","venue":"kraken","symbol":"x","once":true}'
    request = parse_fault(body, [("kraken", "BTC-USDT")], lambda _: "BTC-USDT")
    assert request.symbol == "BTC-USDT"


def test_a_body_that_is_no_json_says_what_would_be_right() -> None:
    with pytest.raises(ValueError, match="rate_limit"):
        parse_fault(b"{", [("kraken", "BTC-USDT")], str)


PREMIUM = "/fapi/v1/premiumIndex"
TICKERS = "/v5/market/tickers"
PAIRS = [("bybit", "BTC-USDT"), ("deribit", "BTC-USDT"), ("binance-usdm", "BTC-USDT")]
BOOKLESS = ("deribit", "binance-usdm")


def an_answer_fault(kind: FaultKind, **fields: object) -> FaultRequest:
    return a_fault(kind, **{"venue": "binance-usdm", **fields})


def test_a_fault_of_an_endpoint_is_of_its_answers_alone() -> None:
    faults = Faults(1)
    faults.add(
        a_fault(FaultKind.SERVER_ERROR, venue="bybit", endpoint=TICKERS, once=False, probability=1.0), 0
    )
    assert faults.rest("bybit", "BTC-USDT", 1, path="/v5/market/orderbook") is None
    assert faults.rest("bybit", "BTC-USDT", 1, path=TICKERS) == RestFault(500, 0)
    faults.add(a_fault(FaultKind.FREEZE, venue="bybit", endpoint=TICKERS), 0)
    assert faults.due(lambda _venue, _symbol: True, 1) == []
    assert not faults.is_silent("bybit", "BTC-USDT", 1)
    assert len(faults.outgoing("bybit", an_update(1), 1).messages) == 1


def test_a_freeze_keeps_answers_at_the_first_it_met_and_ends() -> None:
    faults = Faults(1)
    faults.add(an_answer_fault(FaultKind.FREEZE, duration_s=20.0), 0)
    met = [
        faults.rest("binance-usdm", None, second * SECOND, path=PREMIUM, has_books=False)
        for second in (5, 6, 24, 25)
    ]
    assert met == [RestSpoiled(as_of_ns=5 * SECOND)] * 3 + [None]
    assert faults.totals[FaultKind.FREEZE] == 3


def test_malformed_answers_are_spoilt_in_five_ways_one_each() -> None:
    reply = RestReply('{"symbol":"BTCUSDT","markPrice":"101.50","lastFundingRate":"-0.0001","time":5}')
    faults = Faults(1)
    faults.add(an_answer_fault(FaultKind.MALFORMED, once=False, probability=1.0, duration_s=60.0), 0)
    bodies = []
    for second in range(6):
        met = faults.rest("binance-usdm", None, second * SECOND, path=PREMIUM, has_books=False)
        assert isinstance(met, RestSpoiled)
        assert met.spoil is not None
        bodies.append(met.spoil(reply))
    cut, page, objects, nans, negatives, again = bodies
    assert reply.body.startswith(cut.body)
    assert len(cut.body) < len(reply.body)
    assert page.content_type == "text/html"
    assert objects.body == reply.body.replace('"101.50"', '{"value":true}').replace(
        '"-0.0001"', '{"value":true}'
    )
    assert nans.body == reply.body.replace("101.50", "NaN").replace("-0.0001", "NaN")
    assert negatives.body == reply.body.replace("101.50", "-1.5").replace("-0.0001", "-1.5")
    assert again == cut
    assert faults.rest("binance-usdm", None, 61 * SECOND, path=PREMIUM, has_books=False) is None


def test_numbers_that_are_no_texts_are_spoilt_without_quotes() -> None:
    reply = RestReply('{"mark_iv":45.62,"mark_price":1e-06,"instrument_name":"BTC-1DEC26-90000-C"}')
    spoilt = [json.loads(spoil(reply).body) for spoil in SPOILT_ANSWERS[2:]]
    assert [answer["mark_iv"] for answer in spoilt[::2]] == [{"value": True}, -1.5]
    assert [answer["mark_price"] for answer in spoilt[::2]] == [{"value": True}, -1.5]
    assert isnan(spoilt[1]["mark_iv"])
    assert {answer["instrument_name"] for answer in spoilt} == {"BTC-1DEC26-90000-C"}


def test_a_malformed_book_is_no_malformed_answer_where_there_are_books() -> None:
    faults = Faults(1)
    faults.add(a_fault(FaultKind.MALFORMED), 0)
    assert faults.rest("kraken", "BTC-USDT", 1, path="/0/public/Depth") is None
    assert sent(faults, 1) != ['{"n":0,"qty":1.5}']


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            {"kind": "freeze", "venue": "bybit", "endpoint": "/v5/x"},
            "bybit has no endpoint '/v5/x'; it has /v5",
        ),
        (
            {"kind": "drop", "venue": "bybit", "endpoint": TICKERS},
            "drop takes no endpoint: that is for freeze",
        ),
        ({"kind": "cross", "venue": "deribit"}, "deribit has no books here, so it takes no cross; it takes"),
        ({"kind": "quiet", "venue": "deribit", "durationS": 5}, "it takes no quiet"),
    ],
)
def test_a_fault_of_what_is_not_there_is_refused(body: dict[str, object], says: str) -> None:
    once = {} if "durationS" in body else {"once": True}
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_fault(json.dumps(body | once).encode(), PAIRS, str, BOOKLESS)


def test_a_venue_without_books_takes_faults_of_answers_with_and_without_an_endpoint() -> None:
    body = {
        "kind": "freeze",
        "venue": "binance-usdm",
        "symbol": "BTC-USDT",
        "endpoint": PREMIUM,
        "once": True,
    }
    assert parse_fault(json.dumps(body).encode(), PAIRS, str, BOOKLESS).endpoint == PREMIUM
    body = {"kind": "malformed", "venue": "deribit", "probability": 0.5}
    assert parse_fault(json.dumps(body).encode(), PAIRS, str, BOOKLESS).endpoint is None
