from __future__ import annotations

import pytest

from libs.common.venue_fees import Fees, fees_from, fees_of
from libs.common.venues import VENUES


def test_a_tier_replaces_the_lowest_and_other_venues_keep_theirs() -> None:
    tiers = fees_from("binance:7.5/1.0, bybit:5.5/-0.5")
    assert fees_of("binance", tiers) == Fees(7.5, 1.0)
    assert fees_of("bybit", tiers) == Fees(5.5, -0.5)
    assert fees_of("kraken", tiers) == Fees(VENUES["kraken"].taker_bps, VENUES["kraken"].maker_bps)
    assert fees_from("") == {}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("nowhere:1/1", "place 1 names no venue; known: .*binance"),
        ("binance:7.5", "place 1 is not VENUE:TAKER/MAKER"),
        ("bybit:1/1,binance:a/b", "place 2 is not VENUE:TAKER/MAKER"),
        ("binance:1/1,binance:2/2", "place 2 names binance again"),
        ("binance:-1/1", "taker 0 to 1000"),
        ("binance:1/nan", "maker -100 to 1000"),
        ("binance:2000/1", "taker 0 to 1000"),
    ],
)
def test_what_is_wrong_is_named(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        fees_from(text)
