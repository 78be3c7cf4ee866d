"""The price ladder: a book as lines of text, best prices in the middle.

Notes
-----
Each side shows price, size and the total size up to that price; a bar as long as the total, in the same scale
on both sides, grows outwards. obi = (Qb - Qa) / (Qb + Qa) over the best 5 sizes of each side.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

from libs.cli.lines import STATE_STYLES, clock
from libs.cli.screen import Text
from libs.common.asked_instruments import instrument_in
from libs.common.time_units import NS_PER_MS, NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.cli.watch import BookWatch
    from libs.common.events import Level

OBI_LEVELS: Final = 5
HEAD_LINES: Final = 5
FOOT_LINES: Final = 3
MIN_WIDTH: Final = 56
MAX_WIDTH: Final = 110  # wider, the eye loses the row
MAX_DECIMALS: Final = 8
SIZE_DIGITS: Final = 7  # shown of the largest total, before and behind the point
GAUGE: Final = 21  # characters, odd: one is the middle
FINE_BPS: Final = 0.1  # spreads below it are shown with more decimals
WHOLE_RATE: Final = 10  # messages a second from which decimals say nothing

_BID: Final = "green"
_ASK: Final = "red"
_BARS: Final = {_BID: "color(28)", _ASK: "color(124)"}
_WARNING_STYLES: Final = {"WAITING": "bold yellow", "UNKNOWN": "bold yellow", "DROPPED": "bold red"}


class Digits(NamedTuple):
    """Decimals shown of prices and sizes."""

    price: int
    size: int


class Columns(NamedTuple):
    """Widths in characters."""

    price: int
    size: int
    total: int
    bar: int


class Look(NamedTuple):
    """How the rows are drawn."""

    digits: Digits
    columns: Columns
    scale: float  # the total that fills a bar, base units
    touched: frozenset[float]  # prices that changed a moment ago
    usable: bool


def rows_that_fit(depth: int, height: int) -> int:
    """Return how many levels a side a terminal of this height can show, `depth` at most and one at least."""
    return max(1, min(depth, height - HEAD_LINES - FOOT_LINES - 1))  # the cursor's own line


def ladder(watch: BookWatch, now: int, width: int, rows: int) -> list[Text]:
    """Return the ladder of a watched book as lines of at most `width` characters.

    Parameters
    ----------
    now
        Wall clock, ns UTC.
    width
        Of the terminal; below `MIN_WIDTH` its lines are cut, above `MAX_WIDTH` the rest stays empty.
    rows
        Levels a side.
    """
    width = min(max(width, MIN_WIDTH), MAX_WIDTH)
    state, reason = watch.state(now)
    usable = state == "LIVE"
    bids, asks = watch.book.bids(rows), watch.book.asks(rows)
    digits = _digits(watch, bids, asks)
    largest = max(sum(size for _, size in side) for side in (bids, asks))
    touched = watch.touched(now) if usable else frozenset()
    look = Look(digits, _columns(bids, asks, digits, width), largest or 1.0, touched, usable)
    lines = [_title(watch, state, now, width), _why(watch, usable=usable, reason=reason)]
    lines += _summary(watch, digits)
    lines.append(_header(look.columns, width))
    lines += _rows(watch, rows, look)
    lines += _footer(watch, now, width)
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def imbalance(bids: Sequence[Level], asks: Sequence[Level]) -> float | None:
    """Return the order-book imbalance of the best levels, in [-1, 1]; None while a side is empty."""
    if not (bids and asks):
        return None
    bid, ask = (sum(size for _, size in side[:OBI_LEVELS]) for side in (bids, asks))
    return (bid - ask) / (bid + ask)


def bar(share: float, width: int, *, mirrored: bool = False) -> str:
    """Return a bar of `share` (0 to 1) of `width`, in half characters; mirrored, it grows to the left."""
    halves = round(max(0.0, min(1.0, share)) * width * 2)
    whole, half = divmod(halves, 2)
    if mirrored:
        return ("▐" * half + "█" * whole).rjust(width)
    return ("█" * whole + "▌" * half).ljust(width)


def gauge(value: float) -> Text:
    """Return a scale from -1 to 1 with a mark at `value`."""
    middle = GAUGE // 2
    at = middle + round(max(-1.0, min(1.0, value)) * middle)
    track = "".join("┼" if position == middle else "─" for position in range(GAUGE))
    mark = ("●", _BID if value >= 0 else _ASK)
    return Text.assemble((track[:at], "dim"), mark, (track[at + 1 :], "dim"))


def _title(watch: BookWatch, state: str, now: int, width: int) -> Text:
    left = f" {watch.book_id.symbol}  {watch.book_id.venue}"
    right = f"{clock(now // NS_PER_MS)[11:21]} UTC "
    badge = f"● {state}"
    style = _WARNING_STYLES.get(state) or STATE_STYLES.get(state, "bold")
    free = max(2, width - len(left) - len(badge) - len(right))
    before = max(1, min(free - 1, width // 2 - len(left) - len(badge) // 2))
    title = Text(no_wrap=True, end="").append(left, "bold").append(" " * before)
    return title.append(badge, style).append(" " * (free - before)).append(right, "dim")


def _why(watch: BookWatch, *, usable: bool, reason: str) -> Text:
    if not usable:
        return Text(f" not to be used: {reason}", "yellow", no_wrap=True, end="")
    return Text(f" {watch.notice or reason}", "dim", no_wrap=True, end="")


def _summary(watch: BookWatch, digits: Digits) -> list[Text]:
    bid, ask, mid = watch.book.best_bid, watch.book.best_ask, watch.book.mid
    obi = imbalance(watch.book.bids(OBI_LEVELS), watch.book.asks(OBI_LEVELS))
    if bid is None or ask is None or mid is None or obi is None:
        return [Text(" no mid: a side is empty", "yellow", end=""), Text("", end="")]
    spread = ask[0] - bid[0]
    prices = Text(no_wrap=True, end="").append(" mid ", "dim").append(f"{mid:,.{digits.price + 1}f}", "bold")
    prices.append("    spread ", "dim").append(f"{spread:,.{digits.price}f}")
    bps = spread / mid * 1e4
    prices.append(f" = {bps:,.{2 if bps >= FINE_BPS else 4}f} bps", "dim")
    bids, asks = watch.book.counts()
    prices.append(f"    {bids:,} bids  {asks:,} asks", "dim")
    pressure = (
        Text(no_wrap=True, end="").append(" obi ", "dim").append(f"{obi:+.2f}", _BID if obi >= 0 else _ASK)
    )
    pressure.append("  sellers ", "dim").append_text(gauge(obi)).append(" buyers", "dim")
    return [prices, pressure]


def _header(columns: Columns, width: int) -> Text:
    bid = f"{'total':>{columns.total}} {'size':>{columns.size}} {'bid':>{columns.price}}"
    ask = f"{'ask':>{columns.price}} {'size':>{columns.size}} {'total':>{columns.total}}"
    row = f"{'':{columns.bar}} {bid}   {ask} {'':{columns.bar}}"
    return Text(row[:width], "dim underline", no_wrap=True, end="")


def _rows(watch: BookWatch, rows: int, look: Look) -> list[Text]:
    sides = (watch.book.bids(rows), watch.book.asks(rows))
    bid_totals, ask_totals = ([*accumulate(size for _, size in side)] for side in sides)
    lines = []
    for row in range(rows):
        line = Text(no_wrap=True, end="")
        line.append_text(_half(sides[0], bid_totals, row, look, _BID))
        line.append(" │ ", "dim")
        line.append_text(_half(sides[1], ask_totals, row, look, _ASK))
        if not look.usable:
            line.stylize("dim")
        lines.append(line)
    return lines


def _half(side: Sequence[Level], totals: Sequence[float], row: int, look: Look, colour: str) -> Text:
    columns, digits = look.columns, look.digits
    if row >= len(side):
        return Text(" " * (sum(columns) + len(columns) - 1), end="")
    price, size = side[row]
    emphasis = "bold " if row == 0 else ""
    cells = [
        (f"{price:>{columns.price},.{digits.price}f}", f"{emphasis}{colour}"),
        (
            f"{size:>{columns.size},.{digits.size}f}",
            "bold reverse" if price in look.touched else emphasis.strip(),
        ),
        (f"{totals[row]:>{columns.total},.{digits.size}f}", "dim"),
        (bar(totals[row] / look.scale, columns.bar, mirrored=colour == _BID), _BARS[colour]),
    ]
    if colour == _BID:
        cells.reverse()
    return Text(" ", end="").join(Text(cell, style, end="") for cell, style in cells)


def _footer(watch: BookWatch, now: int, width: int) -> list[Text]:
    book = watch.book
    rule = Text("─" * width, "dim", no_wrap=True, end="")
    place = Text(no_wrap=True, end="").append(" epoch ", "dim").append(str(book.epoch or "none"))
    place.append("   seq ", "dim").append("none" if book.seq is None else f"{book.seq:,}")
    if book.venue_seq is not None:
        place.append("   venue seq ", "dim").append(f"{book.venue_seq:,}")
    if watch.health is not None:
        place.append("   gaps ", "dim").append(str(watch.health.gaps))
        place.append("   resyncs ", "dim").append(str(watch.health.resyncs))
    motion = Text(" age ", "dim", no_wrap=True, end="").append(
        _age(watch.received_ts, now), "default not dim"
    )
    rate = watch.rate(now)
    motion.append(f"   {rate:,.{0 if rate >= WHOLE_RATE else 1}f} msg/s", "default not dim")
    motion.append(f"   {watch.confirmed:,} keyframes confirmed the deltas", "dim")
    return [rule, place, motion]


def _age(received_ts: int | None, now: int) -> str:
    if received_ts is None:
        return "none"
    age_ns = max(0, now - received_ts)  # another machine's clock may be ahead
    return f"{age_ns / NS_PER_MS:,.0f} ms" if age_ns < 10 * NS_PER_S else f"{age_ns / NS_PER_S:,.0f} s"


def _digits(watch: BookWatch, bids: Sequence[Level], asks: Sequence[Level]) -> Digits:
    listed = instrument_in(*watch.book_id, watch.health)
    levels = [*bids, *asks]
    if listed is not None:
        exponents = (listed.tick.normalize().as_tuple().exponent, listed.lot.normalize().as_tuple().exponent)
        price, size = (max(0, -exponent) if isinstance(exponent, int) else 0 for exponent in exponents)
    else:
        price, size = (max((_decimals(level[field]) for level in levels), default=2) for field in (0, 1))
    largest = max(sum(size for _, size in side) for side in (bids, asks))
    return Digits(price, max(0, min(size, SIZE_DIGITS - len(f"{largest:.0f}"))))


def _decimals(value: float) -> int:
    text = f"{value:.{MAX_DECIMALS}f}".rstrip("0")
    return len(text.partition(".")[2])


def _columns(bids: Sequence[Level], asks: Sequence[Level], digits: Digits, width: int) -> Columns:
    levels = [*bids, *asks]
    price = max((len(f"{price:,.{digits.price}f}") for price, _ in levels), default=8)
    size = max((len(f"{size:,.{digits.size}f}") for _, size in levels), default=8)
    totals = [sum(size for _, size in side) for side in (bids, asks)]
    total = max(size, *(len(f"{total:,.{digits.size}f}") for total in totals))
    half = (width - len(" │ ")) // 2
    return Columns(price, size, total, max(0, half - price - size - total - 3))
