"""The equity at the day's begin and its high, whenever assessed and however often restarted."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from libs.common.codec import decode, encode
from libs.common.events import PortfolioBook
from libs.common.time_units import DAY_NS
from libs.common.topics import PORTFOLIO_STATE
from services.portfolio.equity_day import day_of

BEGIN = 20_000 * DAY_NS + DAY_NS // 3
HOUR_NS = DAY_NS // 24

paths = st.lists(
    st.tuples(st.integers(0, 60 * HOUR_NS), st.integers(-500, 2_000), st.booleans()), min_size=1, max_size=60
)


def by_definition(seen: list[tuple[int, Decimal]]) -> tuple[int, Decimal, Decimal]:
    """Return the day's begin, equity and high from all that was assessed, by the definition alone."""
    newest_ts = seen[-1][0]
    begin = newest_ts - newest_ts % DAY_NS
    before = [equity for ts, equity in seen if ts < begin]
    today = [equity for ts, equity in seen if ts >= begin]
    first = before[-1] if before else today[0]
    return begin, first, max([first, *today])


@given(paths)
def test_begin_and_high_are_those_of_the_whole_path_with_restarts_anywhere(
    path: list[tuple[int, int, bool]],
) -> None:
    book, now, seen = PortfolioBook(next_assessment_ts=None), BEGIN, []
    for passed_ns, amount, restarts in path:
        now += passed_ns
        equity = Decimal(amount)
        seen.append((now, equity))
        day = day_of(book, equity, now)
        assert tuple(day) == by_definition(seen)
        book = PortfolioBook(
            next_assessment_ts=None,
            equity=equity,
            day_ts=day.ts,
            day_equity=day.equity,
            day_high=day.high,
        )
        if restarts:
            restored = decode(PORTFOLIO_STATE, encode(book))
            assert isinstance(restored, PortfolioBook)
            book = restored


def test_a_book_of_an_older_version_begins_its_day_now() -> None:
    day = day_of(PortfolioBook(next_assessment_ts=None), Decimal(7), BEGIN)
    assert tuple(day) == (20_000 * DAY_NS, Decimal(7), Decimal(7))


def test_a_clock_that_goes_back_over_midnight_begins_no_day_anew() -> None:
    book = PortfolioBook(
        next_assessment_ts=None,
        equity=Decimal(9),
        day_ts=20_000 * DAY_NS,
        day_equity=Decimal(10),
        day_high=Decimal(12),
    )
    day = day_of(book, Decimal(8), 20_000 * DAY_NS - 1)
    assert tuple(day) == (20_000 * DAY_NS, Decimal(10), Decimal(12))
