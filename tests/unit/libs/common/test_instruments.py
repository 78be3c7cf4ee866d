from __future__ import annotations

import pytest

from libs.common.instruments import (
    INSTRUMENTS,
    QUOTES,
    AmbiguousSymbolError,
    UnknownInstrumentError,
    UnknownSymbolError,
    canonical_symbol,
    instrument_of,
    kraken_v1_symbol,
)
from libs.common.venues import VENUES, UnknownVenueError, venue_named, venue_of


@pytest.mark.parametrize(
    "text", ["BTC-USDT", "BTCUSDT", "BTC/USDT", "btc-usdt", "btcusdt", "btc_usdt", "Btc/Usdt"]
)
def test_every_usual_spelling_is_one_symbol(text: str) -> None:
    assert canonical_symbol(text) == "BTC-USDT"


def test_usd_and_usdt_are_different_quotes() -> None:
    assert canonical_symbol("BTCUSD") == "BTC-USD"
    assert canonical_symbol("BTCUSDT") == "BTC-USDT"


def test_a_pair_of_two_quotes_keeps_its_base() -> None:
    assert canonical_symbol("ETHBTC") == "ETH-BTC"
    assert canonical_symbol("USDCUSDT") == "USDC-USDT"


@pytest.mark.parametrize(
    "text", ["", "BTC", "USDT", "BTC-", "-USDT", "BTC-USDT-PERP", "BTC USDT", "BTC-ÜSD", "../x", "A" * 50]
)
def test_what_names_no_pair_is_refused(text: str) -> None:
    with pytest.raises(UnknownSymbolError):
        canonical_symbol(text)


@pytest.mark.parametrize(
    ("text", "candidates"),
    [
        ("BTCBUSD", ("BTC-BUSD", "BTCB-USD")),
        ("BTCFDUSD", ("BTC-FDUSD", "BTCFD-USD")),
        ("dotusd", ("DOT-USD", "DO-TUSD")),
    ],
)
def test_what_may_be_several_pairs_is_refused_with_them(text: str, candidates: tuple[str, ...]) -> None:
    with pytest.raises(AmbiguousSymbolError) as refused:
        canonical_symbol(text)
    assert all(candidate in str(refused.value) for candidate in candidates)
    assert [canonical_symbol(candidate) for candidate in candidates] == [*candidates]


def test_a_listed_pair_is_never_ambiguous() -> None:
    for symbol in {symbol for _, symbol in INSTRUMENTS}:
        assert canonical_symbol(symbol.replace("-", "")) == symbol


def test_the_quotes_of_a_venue_settle_what_its_spelling_means() -> None:
    assert canonical_symbol("BTCBUSD", [quote for quote in QUOTES if quote != "USD"]) == "BTC-BUSD"
    assert canonical_symbol("DOTUSD", ["USD", "EUR"]) == "DOT-USD"


@pytest.mark.parametrize(
    "text",
    [
        "\N{LATIN SMALL LETTER LONG S}olusdt",
        "SOL-USDT\N{ZERO WIDTH SPACE}",
        "BTC-\N{FULLWIDTH LATIN CAPITAL LETTER U}SDT",
        "ßTC-USDT",
        "BTC-USDT\n",
    ],
)
def test_letters_beyond_ascii_are_never_taken_for_others(text: str) -> None:
    with pytest.raises(UnknownSymbolError):
        canonical_symbol(text)


def test_a_venue_is_named_in_any_case_of_ascii() -> None:
    assert venue_named("Kraken").venue == "kraken"
    with pytest.raises(UnknownVenueError):
        venue_named("\N{KELVIN SIGN}raken")


@pytest.mark.parametrize(
    ("venue", "spelling"),
    [
        ("binance", "BTCUSDT"),
        ("kraken", "BTC/USDT"),
        ("kraken-v1", "XBT/USDT"),
        ("okx", "BTC-USDT"),
        ("bybit", "BTCUSDT"),
        ("coinbase", "BTC-USDT"),
    ],
)
def test_each_venue_spells_a_symbol_its_own_way(venue: str, spelling: str) -> None:
    assert venue_of(venue).spell("BTC-USDT") == spelling


@pytest.mark.parametrize("symbol", ["BTC-CHF", "ADA-BTC", "DOGE-USD", "ETH-USDT"])
def test_the_old_spelling_of_kraken_reads_back(symbol: str) -> None:
    assert kraken_v1_symbol(venue_of("kraken-v1").spell(symbol)) == symbol


def test_every_listed_instrument_belongs_to_a_venue_and_is_canonical() -> None:
    for (venue, symbol), instrument in INSTRUMENTS.items():
        assert venue in VENUES
        assert canonical_symbol(symbol) == symbol
        assert instrument.tick > 0
        assert instrument.lot > 0
        assert instrument_of(venue, symbol) is instrument


def test_an_unknown_venue_names_those_there_are() -> None:
    with pytest.raises(UnknownVenueError, match="binance"):
        venue_of("mtgox")


def test_an_unlisted_pair_names_what_the_venue_lists() -> None:
    with pytest.raises(UnknownInstrumentError, match="BTC-USDT"):
        instrument_of("binance", "XYZ-USDT")
