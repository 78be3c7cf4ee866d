from __future__ import annotations

import pytest

from libs.common.order_book import MANY_LEVELS
from services.l2.feeds.digits import DigitBook, digits_of
from services.l2.feeds.venue_messages import VenueDelta, VenueSnapshot


def a_snapshot() -> VenueSnapshot:
    return VenueSnapshot(
        bids=((9.0, 1.0), (8.0, 1.0)),
        asks=((11.0, 1.0), (10.0, 1.0)),
        bid_digits=("9", "8"),
        ask_digits=("11", "10"),
    )


def a_digit_book(depth: int | None = 2) -> DigitBook:
    book = DigitBook(depth)
    book.load(a_snapshot())
    return book


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("0.00005100", "5100"),
        ("78857.0", "788570"),
        ("56218.30000", "5621830000"),
        ("40", "40"),
        ("0.00000000", ""),
    ],
)
def test_digits_lose_the_point_and_leading_zeros_only(text: str, digits: str) -> None:
    assert digits_of(text) == digits


def test_digits_come_best_first() -> None:
    assert a_digit_book().bids() == ("9", "8")
    assert a_digit_book().asks() == ("10", "11")
    assert a_digit_book().asks(1) == ("10",)


def test_what_fell_out_of_the_depth_can_come_back() -> None:
    book = a_digit_book()
    book.apply(VenueDelta(bids=((9.5, 1.0),), asks=(), bid_digits=("95",)))
    assert book.bids() == ("95", "9")
    book.apply(VenueDelta(bids=((9.5, 0.0), (8.0, 2.0), (7.0, 0.0)), asks=(), bid_digits=("", "82", "")))
    assert book.bids() == ("9", "82")


def test_another_size_is_another_text() -> None:
    book = a_digit_book(depth=None)
    book.apply(VenueDelta(bids=(), asks=((10.0, 3.0), (12.0, 1.0)), ask_digits=("103", "12")))
    assert book.asks() == ("103", "11", "12")


def test_loading_forgets_what_was_there() -> None:
    book = a_digit_book()
    book.load(VenueSnapshot(bids=((5.0, 1.0),), asks=(), bid_digits=("5",)))
    assert (book.bids(), book.asks()) == (("5",), ())


def test_a_level_without_its_digits_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        a_digit_book().apply(VenueDelta(bids=((9.0, 1.0),), asks=()))


def test_without_a_number_those_under_the_checksum_are_given() -> None:
    book = DigitBook(None, checked=1)
    book.load(a_snapshot())
    assert (book.bids(), book.asks()) == (("9",), ("10",))


def test_a_message_of_many_levels_is_its_levels_one_by_one() -> None:
    whole, single = DigitBook(None, checked=10_000), DigitBook(None, checked=10_000)
    for size in (1.0, 0.0, 2.0):  # set, delete some, set again
        count = 2 * MANY_LEVELS if size else MANY_LEVELS + 1
        levels = tuple((float(at * 101 % count + 1), size) for at in range(count))
        texts = tuple(f"{price:.0f}:{size:.0f}" for price, _ in levels)
        whole.apply(VenueDelta(bids=levels, asks=levels, bid_digits=texts, ask_digits=texts))
        for level, text in zip(levels, texts, strict=True):
            single.apply(VenueDelta(bids=(level,), asks=(level,), bid_digits=(text,), ask_digits=(text,)))
        assert (whole.bids(), whole.asks()) == (single.bids(), single.asks())
