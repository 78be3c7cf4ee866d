"""Sizes and limits of paper orders: exact, positive, and of digits that fit an answer."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import ValidationError

from services.gateway.http.requests import PaperOrderBody

ORDER = {"symbol": "BTCUSDT", "side": "buy", "ordType": "market"}


@pytest.mark.parametrize(
    ("size", "exact"),
    [
        (0.1, Decimal("0.1")),
        ("0.10", Decimal("0.10")),
        (1, Decimal(1)),
        ("1e12", Decimal("1e12")),
        ("1e-18", Decimal("1e-18")),
    ],
)
def test_a_size_keeps_its_digits(size: object, exact: Decimal) -> None:
    assert PaperOrderBody.model_validate(ORDER | {"size": size}).size == exact


@pytest.mark.parametrize(
    ("size", "says"),
    [
        ("1e-19", "more than 18 decimals"),
        ("1e-2000000", "more than 18 decimals"),
        (1e-300, "more than 18 decimals"),
        ("1e2000000", "at most 1e+12"),
        ("0", "over 0"),
        ("-1", "over 0"),
        ("NaN", "a number"),
        ("1_000", "a number"),
        (" 1", "a number"),
        ("1e3 ", "a number"),
        ("1\n", "a number"),
        ("\N{ARABIC-INDIC DIGIT ONE}", "a number"),
        ("\N{FULLWIDTH DIGIT ONE}", "a number"),
        ("1e" + "9" * 30, "a number"),
        ("ten", "a number"),
        (True, "a number"),
        (None, "a number"),
    ],
)
def test_what_is_no_size_is_refused_with_what_would_be(size: object, says: str) -> None:
    with pytest.raises(ValidationError, match="size") as refused:
        PaperOrderBody.model_validate(ORDER | {"size": size})
    assert says in str(refused.value)
