from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from simulator.fault_requests import FaultKind, FaultRequest, parse_fault
from simulator.faults import Faults
from simulator.venues.venue import Update

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
