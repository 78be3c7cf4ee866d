"""What GET /control/kinds tells of a kind of fault is what POST /control/faults takes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator.fault_kinds import MEANINGS, KindOfFault, kinds
from simulator.fault_requests import FaultKind, parse_fault

BOOKS = tuple((venue, "BTC-USDT") for venue in ("binance", "bybit", "kraken", "okx"))
VALUES: dict[str, Any] = {
    "symbol": "BTC-USDT",
    "durationS": 5,
    "graceS": 5,
    "ageS": 60,
    "bytesPerS": 2_000,
    "bps": -20,
    "endpoint": "/v5/market/tickers",
    "once": True,
    "probability": 0.5,
}


def asked(kind: KindOfFault, fields: tuple[str, ...]) -> dict[str, Any]:
    venue = kind.venues[0] if kind.venues else "bybit"
    found: dict[str, Any] = {"kind": kind.kind, "venue": venue}
    for field in fields:
        name = field.partition("|")[0]
        found[name] = kind.choices[name][0] if name in kind.choices else VALUES[name]
    return found


def refusal(body: dict[str, Any]) -> str:
    try:
        parse_fault(json.dumps(body).encode(), BOOKS, str)
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.kind)
def test_a_kind_takes_what_it_must_and_may_say_and_nothing_less_or_more(kind: KindOfFault) -> None:
    assert refusal(asked(kind, kind.must)) == ""
    alone = tuple(field for field in kind.may if field != "endpoint")
    assert refusal(asked(kind, (*kind.must, *alone))) == ""
    if "endpoint" in kind.may:
        assert refusal(asked(kind, (*kind.must, "endpoint"))) == ""
    for field in kind.must:
        assert refusal(asked(kind, tuple(each for each in kind.must if each != field))), field
    for field in VALUES.keys() - {*kind.must, *kind.may, "once", "probability"}:
        assert refusal(asked(kind, (*kind.must, field))), field
    for other in {"binance", "kraken", "okx"} - set(kind.venues or ("binance", "kraken", "okx")):
        assert refusal(asked(kind, kind.must) | {"venue": other}), other


def test_every_kind_is_told_with_what_it_does() -> None:
    assert [kind.kind for kind in kinds()] == list(FaultKind)
    assert MEANINGS.keys() == set(FaultKind)
