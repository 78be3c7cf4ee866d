from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from libs.common.events import BookDelta, BookSnapshot, Candle
from libs.common.time_units import DAY_NS, MINUTE_NS
from libs.history import book_group
from libs.history.columns import BookColumns
from libs.history.errors import FileExistsAlreadyError
from libs.history.faults import FaultKind, FaultReport
from libs.history.layout import BookFolder, book_folders, day_path
from libs.history.reader import book_at, read_book, read_candles, read_trades, span_of
from libs.history.reading import book_rows
from libs.history.writer import DayWriter, MarketEvent
from tests.history_market import (
    MIDNIGHT,
    SYMBOL,
    VENUE,
    a_market,
    candles_of,
    trades_of,
    without_keyframes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ALWAYS = (0, 2**62)
BOOK = BookFolder(VENUE, SYMBOL)


@dataclass
class History:
    root: Path
    faults: FaultReport = field(default_factory=FaultReport)
    keyframes: int = 0

    def write(self, events: Iterable[MarketEvent], *, overwrite: bool = False) -> None:
        with DayWriter(self.root, self.faults, source="a test", overwrite=overwrite) as days:
            for event in events:
                days.write(event)
        self.keyframes = days.keyframes

    def book(self, begin: int = 0, end: int = 2**62) -> list[BookSnapshot | BookDelta]:
        return list(read_book(self.root, BOOK, begin, end))


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """Give a folder in which a row group holds few messages, so that there are many."""
    monkeypatch.setattr(book_group, "GROUP_MESSAGES", 40)
    return History(tmp_path / "history")


def naive(events: Iterable[BookSnapshot | BookDelta]) -> tuple[dict[float, float], dict[float, float]]:
    bids: dict[float, float] = {}
    asks: dict[float, float] = {}
    for event in events:
        if isinstance(event, BookSnapshot):
            bids, asks = dict(event.bids), dict(event.asks)
            continue
        for held, levels in ((bids, event.bids), (asks, event.asks)):
            for price, size in levels:
                held[price] = size
                if not size:
                    del held[price]
    return bids, asks


def test_what_is_written_comes_back_event_by_event_over_midnight(history: History) -> None:
    told = a_market()
    trades = trades_of(told)
    history.write([*told.events, *trades])
    assert history.book() == without_keyframes(told)
    assert list(read_trades(history.root, BOOK, *ALWAYS)) == trades
    assert history.keyframes == len(told.events) - len(without_keyframes(told)) > 0
    assert book_folders(history.root) == [BOOK]
    assert len(list(history.root.rglob("book.parquet"))) == 2
    assert span_of(history.root, BOOK) == (told.events[0].received_ts, told.events[-1].received_ts)
    assert not history.faults.counts


def test_each_row_group_begins_with_the_whole_book_and_is_small(history: History) -> None:
    told = a_market()
    history.write(told.events)
    groups = 0
    for path in history.root.rglob("book.parquet"):
        with pq.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                groups += 1
                rows = list(book_rows(file.read_row_group(number)))
                first = rows[0].event
                assert isinstance(first, BookSnapshot)
                assert (dict(first.bids), dict(first.asks)) == told.books[first.epoch, first.seq]
                assert list(first.bids) == sorted(first.bids, reverse=True)
                assert list(first.asks) == sorted(first.asks)
                assert len(rows) <= 41
                assert not any(row.repeated for row in rows[1:])
    assert groups > 10


def test_a_book_at_any_message_is_the_one_its_deltas_give(history: History) -> None:
    told = a_market()
    history.write(told.events)
    draw = np.random.Generator(np.random.Philox(key=3))
    places = list(told.books)
    for at in draw.integers(0, len(places), 100):
        found = book_at(history.root, BOOK, *places[at])
        assert (dict(found.bids()), dict(found.asks())) == told.books[places[at]]


def test_a_range_begins_with_the_book_as_it_was_and_ends_before_its_end(history: History) -> None:
    told = a_market()
    history.write(told.events)
    messages = without_keyframes(told)
    draw = np.random.Generator(np.random.Philox(key=4))
    for _ in range(60):
        first, last = sorted(draw.integers(1, len(messages), 2).tolist())
        begin, end = messages[first].received_ts, messages[last].received_ts
        found = history.book(begin, end)
        shown, rest = found[0], found[1:]
        assert rest == messages[first:last]
        assert isinstance(shown, BookSnapshot)
        assert shown.received_ts == messages[first - 1].received_ts < begin
        assert naive(found[:1]) == naive(messages[:first])
        assert (shown.epoch, shown.seq) == (messages[first - 1].epoch, messages[first - 1].seq)


def test_a_quiet_evening_still_shows_the_book(history: History) -> None:
    messages = without_keyframes(a_market(30, begin=MIDNIGHT - 60 * MINUTE_NS))
    history.write(messages)
    (shown,) = history.book(MIDNIGHT - 1, MIDNIGHT)
    assert naive([shown]) == naive(messages)
    assert history.book(MIDNIGHT, MIDNIGHT + DAY_NS) == []  # nobody kept that day


def test_deltas_in_bulk_give_the_same_files_rows(history: History, tmp_path: Path) -> None:
    told = a_market()
    messages = without_keyframes(told)
    plain = [_plain(each) for each in messages]
    history.write(plain)
    for size in (1, 7, 1000):
        with DayWriter(tmp_path / str(size), history.faults, source="a test") as days:
            for first in range(0, len(plain), size):
                days.write_columns(_columns(plain[first : first + size]))
        assert list(read_book(tmp_path / str(size), BOOK, *ALWAYS)) == history.book()
    assert history.book() == plain
    assert not history.faults.counts


def test_finer_digits_later_in_the_day_change_nothing_that_was_written(history: History) -> None:
    coarse = without_keyframes(a_market(200, begin=MIDNIGHT, digits=1, epoch_every=500))
    last = coarse[-1]
    finer = [_after(last, 1, 100.12345678), _after(last, 2, 0.1 + 0.2), _after(last, 3, 5.0)]
    for count, kind in ((0, "decimal128(18, 1)"), (1, "decimal128(18, 8)"), (3, "double")):
        history.write([*coarse, *finer[:count]], overwrite=True)
        path = day_path(history.root, VENUE, SYMBOL, MIDNIGHT, "book")
        schema = pq.read_schema(path)
        assert str(schema.field("bids").type.value_type.field("price").type) == kind
        assert str(schema.field("bids").type.value_type.field("size").type).startswith("decimal128(18, 6)")
        assert history.book() == [*coarse, *finer[:count]]
        assert [each.name for each in path.parent.iterdir()] == ["book.parquet"]


def test_a_message_that_was_there_is_left_out_and_a_hole_leaves_the_book_unknown(history: History) -> None:
    messages = without_keyframes(a_market(120, begin=MIDNIGHT, epoch_every=100))
    holed = [*messages[:20], messages[10], *messages[25:]]
    history.write(holed)
    assert history.faults.counts == {FaultKind.DUPLICATE: 1, FaultKind.GAP: 1}
    gap = history.faults.first[FaultKind.GAP][0]
    assert gap.ts == messages[25].received_ts
    assert "BookDelta 26 of epoch" in gap.what
    assert history.book() == [*messages[:20], *messages[25:]]
    begin = messages[30].received_ts
    assert history.book(begin)[0] == messages[30]  # no book is shown that nobody knows


def test_a_keyframe_of_another_book_is_told_and_kept(history: History) -> None:
    messages = without_keyframes(a_market(10, begin=MIDNIGHT))
    last = messages[-1]
    other = BookSnapshot(
        venue=VENUE,
        symbol=SYMBOL,
        epoch=last.epoch,
        seq=last.seq,
        venue_seq=None,
        bids=((99.0, 1.0),),
        asks=((101.0, 1.0),),
        venue_ts=None,
        received_ts=last.received_ts,
        reason="keyframe",
    )
    history.write([*messages, other])
    assert history.faults.counts == {FaultKind.MISMATCH: 1}
    assert history.book()[-1] == other


def test_candles_come_back_when_they_are_over_in_whatever_order_they_came(history: History) -> None:
    minutes, days = candles_of(MIDNIGHT - 3 * MINUTE_NS, 6), candles_of(MIDNIGHT - 2 * DAY_NS, 2, "1d")
    history.write([*days, *minutes[3:]])
    history.write([minutes[4], *minutes[:3], *candles_of(MIDNIGHT, 1)[:0]])
    expected = sorted([*minutes, *days], key=lambda each: (_end(each), each.interval))
    assert list(read_candles(history.root, BOOK, *ALWAYS)) == expected
    begin, end = MIDNIGHT, MIDNIGHT + 2 * MINUTE_NS
    inside = [each for each in expected if begin <= _end(each) < end]
    assert list(read_candles(history.root, BOOK, begin, end)) == inside
    assert not history.faults.counts
    changed = candles_of(MIDNIGHT - 3 * MINUTE_NS, 1, "1m")[0]
    history.write([_with(changed, close=7.0), _with(changed, open_ts=1, closed=False)])
    assert history.faults.counts == {FaultKind.MISMATCH: 1}
    assert (
        next(each for each in read_candles(history.root, BOOK, *ALWAYS) if each.interval == "1m").close == 7.0
    )


def test_a_day_that_is_there_is_not_overwritten_unasked(history: History) -> None:
    messages = without_keyframes(a_market(10, begin=MIDNIGHT))
    history.write(messages)
    with pytest.raises(
        FileExistsAlreadyError, match=r"book\.parquet exists; give another folder, or --force"
    ):
        history.write(messages[:5])
    assert history.book() == messages
    history.write(messages[:5], overwrite=True)
    assert history.book() == messages[:5]


def test_trades_of_a_range_are_those_received_in_it(history: History) -> None:
    trades = trades_of(a_market(200))
    history.write(trades)
    begin, end = trades[10].received_ts, trades[70].received_ts
    assert list(read_trades(history.root, BOOK, begin, end)) == trades[10:70]


def _end(candle: Candle) -> int:
    return candle.open_ts + (MINUTE_NS if candle.interval == "1m" else DAY_NS)


def _with(event: Any, **changed: object) -> Any:
    return type(event)(**{name: getattr(event, name) for name in event.__struct_fields__} | changed)


def _plain(event: BookSnapshot | BookDelta) -> BookSnapshot | BookDelta:
    """Return it as columns can say it: with all numbers, and no owner."""
    changed: dict[str, object] = {"venue_seq": event.venue_seq or 0, "venue_ts": event.venue_ts or 0}
    if isinstance(event, BookSnapshot):
        changed["owner"] = ""
    plain: BookSnapshot | BookDelta = _with(event, **changed)
    return plain


def _columns(events: list[BookSnapshot | BookDelta]) -> BookColumns:
    sides = [(level, is_bid) for each in events for is_bid in (True, False) for level in _of(each, is_bid)]

    def ints(name: str) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.array([getattr(each, name) for each in events], np.int64)

    return BookColumns(
        VENUE,
        SYMBOL,
        ints("epoch"),
        ints("seq"),
        np.array([isinstance(each, BookSnapshot) for each in events]),
        ints("venue_seq"),
        ints("venue_ts"),
        ints("received_ts"),
        np.cumsum([0, *(len(each.bids) + len(each.asks) for each in events)]),
        np.array([is_bid for _, is_bid in sides], bool),
        np.array([level[0] for level, _ in sides]),
        np.array([level[1] for level, _ in sides]),
    )


def _of(event: BookSnapshot | BookDelta, is_bid: bool) -> tuple[tuple[float, float], ...]:  # noqa: FBT001 -- of a pair
    return event.bids if is_bid else event.asks


def _after(last: BookSnapshot | BookDelta, step: int, price: float) -> BookDelta:
    return BookDelta(
        venue=VENUE,
        symbol=SYMBOL,
        epoch=last.epoch,
        seq=last.seq + step,
        venue_seq=None,
        bids=((price, 1.5),),
        asks=(),
        venue_ts=None,
        received_ts=last.received_ts + step,
    )
