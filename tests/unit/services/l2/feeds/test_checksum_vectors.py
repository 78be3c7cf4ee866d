"""All 17 checksum vectors: Kraken's and OKX's through the product, the others by formulas.

Each names where it is from; levels, text and checksum are numbers that were computed anew.
OKCoin and Bitfinex have no feed here; theirs stand below as the venues documented them, so that the vectors
stay proven.
"""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from services.l2.feeds import FEEDS
from services.l2.feeds.digits import digits_of

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[4] / "data" / "checksum_vectors" / "vectors.json").read_text()
)


def interleaved(vector: dict[str, Any], bid: Any, ask: Any) -> str:
    """Join bid, ask, bid, ask ... by colons; the shorter side just ends."""
    pairs = zip_longest(map(bid, vector["bids"][:25]), map(ask, vector["asks"][:25]))
    return ":".join(text for text in chain.from_iterable(pairs) if text is not None)


def plain(level: list[str]) -> str:
    """OKX and OKCoin: price and size as on the wire."""
    return f"{level[0]}:{level[1]}"


def as_javascript(text: str) -> str:
    """Bitfinex: the number as JavaScript prints it, exponents below 1e-6."""
    number = Decimal(text)
    if abs(number) < Decimal("1e-6"):
        sign, digits, _ = number.normalize().as_tuple()
        mantissa = "".join(map(str, digits))
        point = f"{mantissa[0]}.{mantissa[1:]}" if mantissa[1:] else mantissa
        return f"{'-' if sign else ''}{point}e{number.adjusted()}"
    return format(number.normalize(), "f")


def javascript_bid(level: list[str]) -> str:
    return f"{as_javascript(level[0])}:{as_javascript(level[1])}"


def javascript_ask(level: list[str]) -> str:
    return f"{as_javascript(level[0])}:{as_javascript('-' + level[1])}"


def kraken_digits(levels: list[list[str]]) -> list[str]:
    return [digits_of(price) + digits_of(size) for price, size in levels[:10]]


def checksum(vector: dict[str, Any]) -> int:
    venue = vector["venue"]
    if venue in {"kraken_v1", "kraken_v2"}:
        feed = FEEDS["kraken" if venue == "kraken_v2" else "kraken-v1"]
        return feed.checksum(kraken_digits(vector["bids"]), kraken_digits(vector["asks"]))
    if venue == "okx_pre_2026_06":
        bids, asks = ([plain(level) for level in vector[side][:25]] for side in ("bids", "asks"))
        signed = FEEDS["okx-v5-2022"].checksum(bids, asks)
        assert signed == vector["crc32_signed"]
        return signed % 2**32
    if venue == "bitfinex_P0":
        return crc32(interleaved(vector, javascript_bid, javascript_ask).encode())
    return crc32(interleaved(vector, plain, plain).encode())


def test_there_are_all_17_checksum_vectors() -> None:
    assert len(VECTORS) == 17


@pytest.mark.parametrize(
    "vector", VECTORS, ids=lambda vector: f"{vector['venue']}-{vector['crc32_unsigned']}"
)
def test_a_checksum_vector_verifies(vector: dict[str, Any]) -> None:
    assert checksum(vector) == vector["crc32_unsigned"]
