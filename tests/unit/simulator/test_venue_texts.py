from __future__ import annotations

from decimal import Decimal

import pytest

from simulator.venues.kraken_book import checksum, rfc3339
from simulator.venues.kraken_v1 import V1Frame, V1Pair
from simulator.venues.venue import Digits

# docs.kraken.com, guide book-checksum-v2: BTC/USD, prices of one place, sizes of eight.
DOC_ASKS = """45285.2 0.00100000 45286.4 1.54571953 45286.6 1.54571109 45289.6 1.54560911 45290.2 0.15890660
45291.8 1.54553491 45294.7 0.04454749 45296.1 0.35380000 45297.5 0.09945542 45299.5 0.18772827"""
DOC_BIDS = """45283.5 0.10000000 45283.4 1.54582015 45282.1 0.10000000 45281.0 0.10000000 45280.3 1.54592586
45279.0 0.07990000 45277.6 0.03310103 45277.5 0.30000000 45277.3 1.54602737 45276.6 0.15445238"""


def levels(text: str) -> list[tuple[int, int]]:
    numbers = [int(number.replace(".", "")) for number in text.split()]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def test_the_checksum_of_the_documentation() -> None:
    assert checksum(levels(DOC_BIDS), levels(DOC_ASKS)) == 3310070434


def test_the_checksum_of_the_first_protocols_documentation() -> None:
    # docs.kraken.com, book-checksum-v1: asks 0.05005 to 0.05050, bids 0.05000 to 0.04950 without 0.04985.
    lots = 500
    asks = tuple((tick, lots) for tick in range(5005, 5051, 5))
    bids = tuple((tick, lots) for tick in (5000, 4995, 4990, 4980, 4975, 4970, 4965, 4960, 4955, 4950))
    pair = V1Pair("X-Y", "X/Y", 0, Digits.of(Decimal("0.00001"), 5), Digits.of(Decimal("0.00000001")))
    frame = V1Frame("", pair, 10, 1_534_614_248_765_567_000, ((4950, lots),), (), bids, asks)
    assert frame.text() == (
        '[0,{"b":[["0.04950","0.00000500","1534614248.765567"]],"c":"974947235"},"book-10","X/Y"]'
    )


@pytest.mark.parametrize(
    ("step", "width", "steps", "text"),
    [
        ("0.01", 8, 6_000_001, "60000.01000000"),
        ("0.00001", 8, 1, "0.00001000"),
        ("0.1", None, 452852, "45285.2"),
        ("0.00000001", None, 100_000, "0.00100000"),
        ("0.00000001", None, 0, "0.00000000"),
        ("1", None, 42, "42"),
        ("1", 2, 42, "42.00"),
    ],
)
def test_steps_become_the_venues_digits(step: str, width: int | None, steps: int, text: str) -> None:
    assert Digits.of(Decimal(step), width).text(steps) == text


def test_a_step_that_is_no_power_of_ten_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.05"):
        Digits.of(Decimal("0.05"))


def test_times_have_microseconds() -> None:
    assert rfc3339(1_696_614_955_219_022_999) == "2023-10-06T17:55:55.219022Z"
