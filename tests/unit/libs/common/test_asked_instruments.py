"""What a venue demands of an order: its own word, if an order can be made to it, before the table's."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from libs.common.asked_instruments import instrument_in, instruments_of
from libs.common.codec import decode, encode
from libs.common.events import InstrumentTerms
from libs.common.instruments import INSTRUMENTS
from libs.common.topics import L2_BOOK_HEALTH, book_key
from tests.execution_market import a_book_health

TABLE = INSTRUMENTS["binance", "BTC-USDT"]
TERMS = InstrumentTerms(
    tick=Decimal("0.1"), lot=Decimal("1E-8"), min_qty=Decimal("0.0001"), min_notional=Decimal(0)
)


def test_the_venues_word_counts_before_the_tables_and_passes_a_topic_exactly() -> None:
    health = a_book_health(terms=TERMS)
    assert decode(L2_BOOK_HEALTH, encode(health)) == health
    found = instrument_in("binance", "BTC-USDT", health)
    assert found is not None
    assert (found.venue, found.symbol) == ("binance", "BTC-USDT")
    assert (found.tick, found.lot) == (TERMS.tick, TERMS.lot)
    assert (found.min_qty, found.min_notional) == (TERMS.min_qty, TERMS.min_notional)


def test_without_it_the_table_counts_and_what_is_in_neither_is_nothing() -> None:
    assert instrument_in("binance", "BTC-USDT", None) is TABLE
    assert instrument_in("binance", "BTC-USDT", a_book_health()) is TABLE
    assert instrument_in("binance", "RUNE-EUR", a_book_health()) is None
    assert instrument_in("binance-usdm", "BTC-USDT", None) is None


def test_a_venue_without_fees_here_has_no_instrument() -> None:
    assert instrument_in("newer", "BTC-USDT", a_book_health(venue="newer", terms=TERMS)) is None


@pytest.mark.parametrize("name", ["tick", "lot", "min_qty", "min_notional"])
@pytest.mark.parametrize("absurd", ["NaN", "sNaN", "Infinity", "-0.1", "1E+13", "1E-30", "0"])
def test_of_terms_that_no_order_can_be_made_to_the_table_is_better(name: str, absurd: str) -> None:
    if name.startswith("min") and absurd in {"0", "1E-30"}:
        return  # nothing is demanded
    health = a_book_health(terms=replace(TERMS, **{name: Decimal(absurd)}))
    assert instrument_in("binance", "BTC-USDT", health) is TABLE


def test_a_symbol_is_listed_where_the_table_or_a_venue_says_so() -> None:
    healths = {book_key("bitstamp", "BTC-USDT"): a_book_health(venue="bitstamp", terms=TERMS)}
    listed = instruments_of("BTC-USDT", healths)
    assert list(listed) == ["binance", "coinbase", "kraken", "okx", "bybit", "bitstamp"]
    assert listed["bitstamp"].lot == TERMS.lot
    assert instruments_of("RUNE-EUR", healths) == {}
