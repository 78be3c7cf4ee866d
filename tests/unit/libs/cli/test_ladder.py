from __future__ import annotations

import re
from decimal import Decimal

import msgspec
import pytest
from rich.cells import cell_len

from libs.cli.ladder import FOOT_LINES, HEAD_LINES, bar, gauge, imbalance, ladder, rows_that_fit
from libs.cli.names import BookId
from libs.cli.watch import BookWatch
from libs.common.events import BookState, InstrumentTerms
from tests.unit.libs.cli.builders import NOW, a_delta, a_health, a_watch


def lines_of(watch: BookWatch, *, width: int = 80, rows: int = 5, now: int = NOW) -> list[str]:
    return [line.plain for line in ladder(watch, now, width, rows)]


def rows_of(lines: list[str]) -> list[list[str]]:
    """Return the numbers of each row, without its bars."""
    return [re.findall(r"[\d.,]+", line) for line in lines[HEAD_LINES:-FOOT_LINES]]


def test_rows_run_outwards_from_the_best_prices_with_running_totals() -> None:
    rows = rows_of(lines_of(a_watch()))
    assert rows[0] == ["1.00000", "1.00000", "100.00", "100.50", "1.00000", "1.00000"]
    assert rows[1] == ["3.00000", "2.00000", "99.50", "101.00", "1.00000", "2.00000"]
    assert rows[2] == ["6.00000", "3.00000", "99.00"]
    assert rows[3] == []


def test_bars_are_as_long_as_the_totals_in_one_scale() -> None:
    lines = lines_of(a_watch())[HEAD_LINES:-FOOT_LINES]
    half_blocks = [
        tuple(2 * side.count("█") + side.count("▐") + side.count("▌") for side in line.split("│"))
        for line in lines
    ]
    full = half_blocks[2][0]
    assert half_blocks[0] == (round(full / 6), round(full / 6))
    assert half_blocks[1] == (round(full * 3 / 6), round(full * 2 / 6))


def test_title_and_summary_say_book_state_mid_spread_and_imbalance() -> None:
    text = "\n".join(lines_of(a_watch())[:HEAD_LINES])
    assert re.search(r"BTC-USDT\s+binance\s+● LIVE\s+10:40:00\.1 UTC", text)
    assert "mid 100.250" in text
    assert "spread 0.50 = 49.88 bps" in text
    assert "obi +0.50" in text


def test_the_footer_says_where_the_book_stands_on_its_topic() -> None:
    watch = a_watch()
    watch.on_message(a_delta(2, bids=((99.5, 8.0),)))
    place, motion = lines_of(watch, now=NOW + 12_000_000)[-2:]
    assert "seq 2" in place
    assert "venue seq 1,002" in place
    assert "age 12 ms" in motion


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    watch = a_watch(
        bids=tuple((61_671.55 - i / 100, 12.34567) for i in range(300)),
        asks=tuple((61_671.56 + i / 100, 1234.5) for i in range(300)),
    )
    watch.notice = "x" * 500
    for line in lines_of(watch, width=width, rows=15):
        assert cell_len(line) <= width


def test_fifteen_levels_fit_a_terminal_of_80_by_24() -> None:
    assert rows_that_fit(15, 24) == 15
    assert len(lines_of(a_watch(), rows=15)) < 24


def test_a_small_terminal_shows_fewer_levels_and_never_none() -> None:
    assert rows_that_fit(15, 16) == 7
    assert rows_that_fit(15, 3) == 1


@pytest.mark.parametrize("state", [state for state in BookState if state is not BookState.LIVE])
def test_a_book_that_is_not_live_is_marked_unusable_with_the_reason(state: BookState) -> None:
    watch = a_watch()
    watch.on_health(a_health(state, reason="because"))
    lines = ladder(watch, NOW, 80, 5)
    assert f"● {state}" in lines[0].plain
    assert lines[1].plain == " not to be used: because"
    assert all(any(span.style == "dim" for span in line.spans) for line in lines[HEAD_LINES:-FOOT_LINES])


def test_a_book_without_keyframe_is_drawn_empty() -> None:
    watch = BookWatch(BookId("binance", "BTC-USDT"))
    lines = lines_of(watch)
    assert "● UNKNOWN" in lines[0]
    assert any("a side is empty" in line for line in lines)
    assert len(lines) == HEAD_LINES + 5 + FOOT_LINES


def test_a_one_sided_book_is_drawn() -> None:
    lines = lines_of(a_watch(asks=()))
    assert rows_of(lines)[0] == ["1.00000", "1.00000", "100.00"]


def test_prices_of_an_unlisted_instrument_show_all_their_digits() -> None:
    watch = BookWatch(BookId("binance", "DOGE-USDT"))
    watch.book.load([(0.12345, 1000.0)], [(0.1235, 2000.0)])
    assert rows_of(lines_of(watch))[0] == ["1,000", "1,000", "0.12345", "0.12350", "2,000", "2,000"]


def test_the_venues_own_steps_set_the_digits() -> None:
    watch = a_watch()
    terms = InstrumentTerms(
        tick=Decimal("0.1"), lot=Decimal("0.001"), min_qty=Decimal(0), min_notional=Decimal(0)
    )
    watch.on_health(msgspec.structs.replace(a_health(BookState.LIVE), terms=terms))
    assert rows_of(lines_of(watch))[0] == ["1.000", "1.000", "100.0", "100.5", "1.000", "1.000"]


def test_a_just_changed_level_stands_out_in_a_live_book_only() -> None:
    watch = a_watch()
    watch.on_message(a_delta(2, bids=((99.5, 8.0),)))
    second = ladder(watch, NOW, 80, 3)[HEAD_LINES + 1]
    assert any("reverse" in str(span.style) for span in second.spans)
    watch.on_health(a_health(BookState.GAP))
    second = ladder(watch, NOW, 80, 3)[HEAD_LINES + 1]
    assert not any("reverse" in str(span.style) for span in second.spans)


def test_imbalance_is_signed_bounded_and_of_five_levels() -> None:
    five = tuple((100.0 - i, 1.0) for i in range(5))
    assert imbalance((*five, (90.0, 1000.0)), five) == 0.0
    assert imbalance(five, ((101.0, 15.0),)) == -0.5
    assert imbalance(five, ()) is None


def test_a_bar_is_exact_to_half_a_character_and_mirrored() -> None:
    assert bar(0.5, 3) == "█▌ "
    assert bar(0.5, 3, mirrored=True) == " ▐█"
    assert bar(0.0, 3) == "   "
    assert bar(7.0, 3) == "███"


def test_the_gauge_marks_its_value_between_the_ends() -> None:
    assert gauge(-1.0).plain.startswith("●")
    assert gauge(1.0).plain.endswith("●")
    assert gauge(0.0).plain.strip("─") == "●"
