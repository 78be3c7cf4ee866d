from __future__ import annotations

import pytest

from libs.common.instruments import INSTRUMENTS
from libs.common.venues import VENUES, venue_of


@pytest.mark.parametrize(
    ("symbol", "alias"), [("BTC-USDC", "BTC-USD"), ("ETH-USDC", "ETH-USD"), ("XRP-USDC", "XRP-USD")]
)
def test_coinbase_serves_pairs_in_usdc_as_those_in_usd(symbol: str, alias: str) -> None:
    assert venue_of("coinbase").alias_of(symbol) == alias
    assert venue_of("coinbase").refusal(symbol) == (
        f"coinbase serves {symbol} as {alias}: subscribe coinbase:{alias}"
    )


@pytest.mark.parametrize(
    "symbol", ["USDT-USDC", "EURC-USDC", "BTC-USD", "BTC-USDT", "USDC-EUR", "USDC-GBP", "ETH-BTC"]
)
def test_coinbase_serves_all_others_as_they_are(symbol: str) -> None:
    assert venue_of("coinbase").refusal(symbol) is None


def test_no_other_venue_has_aliases_and_no_table_lists_one() -> None:
    assert [venue for venue in VENUES if VENUES[venue].refusal("BTC-USDC")] == ["coinbase"]
    assert not [each for each in INSTRUMENTS if venue_of(each[0]).refusal(each[1])]
