from __future__ import annotations

import pytest

from backtest.command.reading import (
    interval_named,
    moment_named,
    span_named,
    stretch_named,
    swept,
    symbols_named,
)
from libs.cli.errors import UsageError

DAY_NS = 86_400_000_000_000
BEGIN = 1_767_571_200_000_000_000  # 2026-01-05


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-05", BEGIN),
        ("2026-01-05T09:30Z", BEGIN + 34_200_000_000_000),
        ("2026-01-05T09:30:00.000001+01:00", BEGIN + 30_600_000_001_000),
        ("+6h", BEGIN + DAY_NS // 4),
        ("+1.5d", BEGIN + 3 * DAY_NS // 2),
        ("+1w", BEGIN + 7 * DAY_NS),
    ],
)
def test_a_time_is_exact(text: str, expected: int) -> None:
    assert moment_named("--to", text, BEGIN) == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "+", "+0s", "+6 hours", "1999-01-01", "2026-13-01", "+-1d", "+9999w"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--to"):
        moment_named("--to", text, BEGIN)


def test_a_distance_needs_what_it_counts_from() -> None:
    with pytest.raises(UsageError, match="counts from --from"):
        stretch_named(None, "+1d")
    with pytest.raises(UsageError, match="is not after"):
        stretch_named("2026-01-05", "2026-01-05")
    assert stretch_named("2026-01-05", "+1d") == (BEGIN, BEGIN + DAY_NS)
    assert stretch_named(None, None) == (None, None)


def test_lengths_of_time() -> None:
    assert span_named("x", "90s") == 90_000_000_000
    assert interval_named("1m") == 60_000_000_000
    with pytest.raises(UsageError, match="at least 1s"):
        interval_named("10ms")


def test_symbols_are_understood_in_any_spelling_and_each_once() -> None:
    assert symbols_named("btcusdt, ETH/USDT,BTC-USDT") == ("BTC-USDT", "ETH-USDT")
    assert symbols_named(None) == ()
    with pytest.raises(UsageError, match="empty place"):
        symbols_named("BTC-USDT,,")


def test_a_sweep_names_each_parameter_once() -> None:
    assert swept(["urgency=.2,.5,.2", "interval=1m"]) == {"urgency": [".2", ".5"], "interval": ["1m"]}
    for wrong in (["urgency"], ["=1"], ["urgency=1", "urgency=2"], ["urgency=1,"]):
        with pytest.raises(UsageError, match="--sweep"):
            swept(wrong)
