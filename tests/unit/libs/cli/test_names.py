from __future__ import annotations

import pytest

from libs.cli.errors import UsageError
from libs.cli.names import book_named, key_named, topic_named
from libs.common.topics import GATEWAY_IDEMPOTENCY, L2_BOOK_TOPS, L2_TRADES, TOPICS


@pytest.mark.parametrize("text", ["l2.book-tops.v1", "l2.book-tops", "book-tops", "tops"])
def test_a_topic_may_be_abbreviated_while_that_is_unique(text: str) -> None:
    assert topic_named(text) is L2_BOOK_TOPS


def test_every_topic_is_found_by_each_of_its_full_names() -> None:
    for name, topic in TOPICS.items():
        assert topic_named(name) is topic
        assert topic_named(name.removesuffix(".v1")) is topic


def test_an_ambiguous_abbreviation_lists_what_it_may_be() -> None:
    with pytest.raises(UsageError, match=r"l2\.book-deltas\.v1, l2\.book-tops\.v1, l2\.book-health\.v1"):
        topic_named("book")


def test_a_misspelt_topic_is_told_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"nearest: l2\.trades\.v1"):
        topic_named("trads")


def test_a_book_is_named_in_any_spelling() -> None:
    for symbol in ("BTCUSDT", "btc/usdt", "BTC-USDT"):
        assert book_named("Binance", symbol).key == b"binance:BTC-USDT"


def test_an_unknown_venue_or_symbol_is_a_usage_error_that_helps() -> None:
    with pytest.raises(UsageError, match="known: binance"):
        book_named("binanc", "BTC-USDT")
    with pytest.raises(UsageError, match="write it like BTC-USDT"):
        book_named("binance", "???")
    with pytest.raises(UsageError, match="BTC-BUSD, BTCB-USD"):
        book_named("binance", "BTCBUSD")


def test_a_key_is_made_canonical_for_books_and_left_alone_elsewhere() -> None:
    assert key_named(L2_TRADES, "kraken:btcusdt") == b"kraken:BTC-USDT"
    assert key_named(GATEWAY_IDEMPOTENCY, "my key") == b"my key"
    with pytest.raises(UsageError, match="venue:symbol"):
        key_named(L2_TRADES, "BTC-USDT")
