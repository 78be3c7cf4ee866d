"""What is kept of a window of candles, against the same made anew of all that was told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis.strategies as st
from hypothesis import given
from msgspec.structs import replace

from libs.common.candle_view import Candles
from libs.common.time_units import MINUTE_NS
from services.execution.audit.logged import COLUMNS, CandleLines
from services.router.columns import columns_of
from tests.execution_market import a_candle

if TYPE_CHECKING:
    from libs.common.events import Candle

KEEP = 12
told = st.lists(
    st.builds(
        lambda minute, close, closed: a_candle("1m", minute * MINUTE_NS, close, closed=closed),
        st.integers(0, 40),
        st.sampled_from((1.0, 2.5, 3.0)),
        st.booleans() | st.just(True),  # noqa: FBT003 -- most of them are
    ),
    max_size=60,
)


def put(into: Candles, candle: Candle, offset: int) -> None:
    view = into.views[0 if candle.closed else 2]
    view.fold(0, offset, b"", candle)


@given(told, st.lists(st.booleans(), min_size=60, max_size=60))
def test_a_window_that_is_looked_at_on_the_way_is_that_of_who_looks_at_the_end(
    candles: list[Candle], looks: list[bool]
) -> None:
    looked, lines, before = Candles({"1m": KEEP, "1d": KEEP}), CandleLines(), None
    for n, candle in enumerate(candles):
        put(looked, candle, n)
        if not looks[n]:
            continue
        anew = Candles({"1m": KEEP, "1d": KEEP})
        for at, each in enumerate(candles[: n + 1]):
            put(anew, each, at)
        window = looked.window("binance", "BTC-USDT", "1m")
        assert [*window] == [*anew.window("binance", "BTC-USDT", "1m")]
        before = columns_of(window, before)
        assert before.open_ts.tolist() == [each.open_ts for each in window]
        assert before.closes.tolist() == [each.close for each in window]
        seen = tuple(window[-8:])
        wanted = "\n".join(",".join(str(getattr(each, name)) for name in COLUMNS) for each in seen)
        assert lines.text("BTC-USDT", "1m", seen) == wanted


def test_lines_are_of_the_very_candles_and_not_of_others_that_begin_as_they_do() -> None:
    lines, first = CandleLines(), [a_candle("1m", n * MINUTE_NS, float(n + 1)) for n in range(4)]
    lines.text("BTC-USDT", "1m", tuple(first))
    other = [first[1], replace(first[2], close=9.0), first[3], a_candle("1m", 4 * MINUTE_NS, 5.0)]
    assert ",9.0,5.0,50" in lines.text("BTC-USDT", "1m", tuple(other)).splitlines()[1]
    assert lines.text("ETH-USDT", "1m", tuple(other[:1])).count("\n") == 0
