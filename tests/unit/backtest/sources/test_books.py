from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from backtest.bus import Bus
from backtest.command.market import ends_early, source_of
from backtest.command.request import Market, Request, iso
from backtest.delays import Immediate
from backtest.sources.books import Books
from backtest.sources.kept_book import SILENT_NS
from backtest.sources.topics import Topics
from libs.common.book_features import features_of
from libs.common.codec import encode
from libs.common.events import (
    BookDelta,
    BookHealth,
    BookSnapshot,
    BookState,
    BookTop,
    ContextInput,
    PolicySignalled,
    Trade,
)
from libs.common.order_book import OrderBook
from libs.common.time_units import DAY_NS, MINUTE_NS, NS_PER_MS, NS_PER_S
from libs.common.topics import (
    CONTEXT_INPUTS,
    L2_BOOK_DELTAS,
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    L2_CANDLES,
    L2_CANDLES_DAILY,
    L2_TRADES,
    POLICIES_SIGNALS,
)
from libs.history.errors import HistoryError
from libs.history.faults import FaultReport
from libs.history.topic_files import TopicRecord, TopicWriter
from libs.history.writer import DayWriter
from tests.full_valued import full
from tests.history_market import MIDNIGHT, SYMBOL, VENUE, a_market, candles_of, trades_of, without_keyframes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from backtest.bus import Record
    from libs.history.writer import MarketEvent

BEGIN = MIDNIGHT + 3 * NS_PER_S


def keep(root: Path, events: Iterable[MarketEvent]) -> None:
    with DayWriter(root, FaultReport(), source="a test") as days:
        for event in events:
            days.write(event)


def played(source: Books, until: int | None = None) -> list[Record]:
    """Run a source alone, and return all that it said."""
    said: list[Record] = []
    bus = Bus(8, Immediate(), source.provenance.begin_ts)
    bus.tap(said.append)
    source.start(bus)
    bus.run(source.provenance.end_ts if until is None else until)
    return said


def of(said: list[Record], topic: Any) -> list[Any]:
    return [record.event for record in said if record.topic is topic]


def test_always_it_says_each_message_at_its_time_and_a_top_on_the_beat(tmp_path: Path) -> None:
    told = a_market(300, begin=MIDNIGHT, step_ns=200 * NS_PER_MS, epoch_every=120)
    messages = without_keyframes(told)
    trades = trades_of(told)
    keep(tmp_path, [*told.events, *trades])
    said = played(Books(tmp_path, always=True))
    deltas = of(said, L2_BOOK_DELTAS)
    assert [each for each in deltas if isinstance(each, BookDelta) or each.reason == "resync"] == messages
    assert all(
        record.ts == record.event.received_ts
        for record in said
        if isinstance(record.event, BookDelta | Trade)
    )
    assert of(said, L2_TRADES) == trades
    book, tops, heard = OrderBook(), 0, 0
    for record in said:
        match record.event:
            case BookSnapshot() | BookDelta() as event:
                book.follow(event)
            case BookTop() as top:
                tops += 1
                assert (top.bids, top.asks) == (book.bids(50), book.asks(50))
                assert (top.epoch, top.seq) == (book.epoch, book.seq)
                expected = features_of(book, top.features.trade_imbalance if top.features else None)
                assert top.features == expected
            case BookHealth() as health:
                heard += 1
                assert health.state is BookState.LIVE
    seconds = (messages[-1].received_ts - messages[0].received_ts) / NS_PER_S
    assert seconds * 4 < tops < seconds * 10 + 10
    assert heard >= seconds - 1
    assert of(said, L2_BOOK_HEALTH)[-1].resyncs == 2
    assert of(said, L2_BOOK_HEALTH)[-1].gaps == 0
    assert any(top.features.trade_imbalance is not None for top in of(said, L2_BOOK_TOPS))


def test_whoever_looks_sees_the_book_of_that_moment_or_of_the_last_beat(tmp_path: Path) -> None:
    told = a_market(300, begin=MIDNIGHT, step_ns=200 * NS_PER_MS)
    messages = without_keyframes(told)
    keep(tmp_path, told.events)
    source = Books(tmp_path)
    bus, tops = Bus(8, Immediate(), source.provenance.begin_ts), list[BookTop]()
    bus.subscribe(L2_BOOK_TOPS, lambda record: tops.append(record.event))  # type: ignore[arg-type]
    source.start(bus)
    missed, looks = 0, [messages[0].received_ts + at * 370 * NS_PER_MS for at in range(1, 40)]
    for ts in looks:
        bus.run(ts)
        bus.look()
        top, book = tops[-1], OrderBook()
        for event in messages:
            if (event.epoch, event.seq) <= (top.epoch, top.seq):
                book.follow(event)
        assert (top.bids, top.asks) == (book.bids(50), book.asks(50))
        missing = [each for each in messages if each.seq > top.seq and each.received_ts <= ts]
        assert all(each.received_ts > ts - 150 * NS_PER_MS for each in missing)  # the beat of tops
        missed += len(missing)
    assert 0 < missed < len(looks)


def test_what_comes_later_changes_nothing_that_was_said(tmp_path: Path) -> None:
    told = a_market(300, begin=MIDNIGHT, step_ns=200 * NS_PER_MS)
    cut = told.events[170].received_ts
    keep(tmp_path / "whole", [*told.events, *trades_of(told)])
    keep(tmp_path / "cut", [each for each in (*told.events, *trades_of(told)) if each.received_ts < cut])
    for always in (True, False):
        whole, part = (
            played(Books(tmp_path / name, begin_ts=MIDNIGHT, end_ts=cut + 1, always=always), cut - 1)
            for name in ("whole", "cut")
        )
        assert [(each.topic.name, each.ts, each.value) for each in whole] == [
            (each.topic.name, each.ts, each.value) for each in part
        ]


def test_where_deltas_are_missing_the_book_is_no_more_live_until_a_snapshot(tmp_path: Path) -> None:
    messages = without_keyframes(a_market(90, begin=MIDNIGHT, step_ns=300 * NS_PER_MS, epoch_every=50))
    keep(tmp_path, [*messages[:20], *messages[25:]])
    for always in (True, False):
        said = played(Books(tmp_path, always=always))
        states = [(record.ts, record.event.state) for record in said if isinstance(record.event, BookHealth)]
        in_gap = [ts for ts, state in states if state is BookState.GAP]
        hole, healed = messages[25].received_ts, messages[50].received_ts
        assert in_gap
        assert all(hole <= ts < healed for ts in in_gap)
        assert not [record for record in said if record.topic is L2_BOOK_TOPS and hole <= record.ts < healed]
        last = of(said, L2_BOOK_HEALTH)[-1]
        assert (last.state, last.gaps, last.resyncs) == (BookState.LIVE, 1, 1)


def test_a_book_that_nobody_kept_for_long_is_stale_until_its_next_message(tmp_path: Path) -> None:
    messages = without_keyframes(a_market(20, begin=MIDNIGHT, step_ns=300 * NS_PER_MS))
    later = [_moved(each, SILENT_NS + 30 * NS_PER_S) for each in messages[10:]]
    keep(tmp_path, [*messages[:10], *later])
    for always in (True, False):
        said = played(Books(tmp_path, always=always))
        states = {record.event.state for record in said if isinstance(record.event, BookHealth)}
        assert states == {BookState.LIVE, BookState.STALE}
        stale = [record.ts for record in said if isinstance(record.event, BookHealth) and record.event.stales]
        assert 0 <= stale[0] - messages[9].received_ts - SILENT_NS <= NS_PER_S
        last = of(said, L2_BOOK_HEALTH)[-1]
        assert (last.state, last.stales, last.resyncs) == (BookState.LIVE, 1, 0)


def test_a_book_without_a_side_is_one_sided_until_it_has_both(tmp_path: Path) -> None:
    messages = without_keyframes(a_market(11, begin=MIDNIGHT, step_ns=900 * NS_PER_MS))
    first = messages[0]
    emptied = _changed(messages[1], bids=tuple((price, 0.0) for price, _ in first.bids), asks=())
    filled = [
        _changed(each, bids=((90.0, 1.0),) if number == 5 else (), asks=())
        for number, each in enumerate(messages[2:])
    ]
    keep(tmp_path, [first, emptied, *filled])
    for always in (True, False):
        healths = of(played(Books(tmp_path, always=always)), L2_BOOK_HEALTH)
        states = list(dict.fromkeys(health.state for health in healths))
        assert states == [BookState.LIVE, BookState.ONE_SIDED]
        assert healths[-1].state is BookState.LIVE
        assert any("no bids" in health.reason for health in healths)


def test_candles_are_told_when_they_are_over_and_those_of_before_are_there_at_once(tmp_path: Path) -> None:
    told = a_market(300, begin=MIDNIGHT, step_ns=1_000 * NS_PER_MS)
    old, new = candles_of(MIDNIGHT - 3 * DAY_NS, 3, "1d"), candles_of(MIDNIGHT - 5 * MINUTE_NS, 7)
    keep(tmp_path, [*told.events, *old, *new])
    said = played(Books(tmp_path, begin_ts=MIDNIGHT, end_ts=MIDNIGHT + 150 * NS_PER_S))
    at_once = of([record for record in said if record.ts == MIDNIGHT], L2_CANDLES)
    assert sorted(at_once, key=lambda each: each.open_ts) == [*old, *new[:5]]
    assert of(said, L2_CANDLES_DAILY) == old
    later = [
        (record.ts, record.event) for record in said if record.topic is L2_CANDLES and record.ts > MIDNIGHT
    ]
    assert later == [(each.open_ts + MINUTE_NS + 2 * NS_PER_S, each) for each in new[5:]]


def test_where_no_candles_are_kept_they_are_made_of_trades(tmp_path: Path) -> None:
    told = a_market(400, begin=MIDNIGHT, step_ns=1_000 * NS_PER_MS)
    trades = trades_of(told)
    keep(tmp_path, [*told.events, *trades])
    said = of(played(Books(tmp_path, begin_ts=MIDNIGHT)), L2_CANDLES)
    assert [each.open_ts for each in said] == [MIDNIGHT + MINUTE_NS, MIDNIGHT + 2 * MINUTE_NS]
    for candle in said:
        inside = [each for each in trades if 0 <= each.venue_ts - candle.open_ts < MINUTE_NS]
        assert (candle.open, candle.close) == (inside[0].price, inside[-1].price)
        assert (candle.high, candle.low) == (max(e.price for e in inside), min(e.price for e in inside))
        assert candle.volume == pytest.approx(sum(each.size for each in inside), rel=1e-12)
        assert candle.trades == len(inside)


def test_inputs_of_the_running_system_come_at_their_times_and_hosted_signals_do_not(tmp_path: Path) -> None:
    keep(tmp_path, a_market(30, begin=MIDNIGHT, step_ns=300 * NS_PER_MS).events)
    signal, given = full(PolicySignalled), full(ContextInput)
    ours, theirs = (_changed(signal, policy_id=name) for name in ("p_sma", "x_mine"))
    records = [
        (POLICIES_SIGNALS, MIDNIGHT - 5 * NS_PER_MS, b"a", theirs),
        (POLICIES_SIGNALS, MIDNIGHT - 3 * NS_PER_MS, b"a", _changed(theirs, value=0.25)),
        (POLICIES_SIGNALS, MIDNIGHT + 9 * NS_PER_MS, b"b", ours),
        (CONTEXT_INPUTS, MIDNIGHT + 5 * NS_PER_MS, b"c", given),
        (POLICIES_SIGNALS, MIDNIGHT + 8 * NS_PER_MS, b"a", theirs),
        (CONTEXT_INPUTS, MIDNIGHT + 7 * NS_PER_MS, b"c", None),
        (CONTEXT_INPUTS, MIDNIGHT + 2 * NS_PER_MS, b"d", given),  # its writer's clock is wrong
    ]
    with TopicWriter(tmp_path) as writer:
        for offset, (topic, ts, key, event) in enumerate(records):
            value = None if event is None else encode(event)
            writer.write(topic, TopicRecord(ts, 1, offset, key, value, ()))
    said = played(Topics(tmp_path, begin_ts=MIDNIGHT))
    inputs = [
        ((record.ts - MIDNIGHT + 1) / NS_PER_MS - 1, record.key, record.event)
        for record in said
        if record.topic in (POLICIES_SIGNALS, CONTEXT_INPUTS)
    ]
    assert inputs == [
        (pytest.approx(-1, abs=1e-5), b"a", _changed(theirs, value=0.25)),  # at the beginning
        (5, b"c", given),
        (7, b"c", None),
        (7, b"d", given),
        (9, b"a", theirs),  # behind one of that moment
    ]


def test_a_run_ends_with_its_books_whatever_was_asked_for_and_says_so(tmp_path: Path) -> None:
    keep(tmp_path, a_market(20, begin=MIDNIGHT).events)
    last = Books(tmp_path).provenance.end_ts
    asked = Request(
        market=Market.DATA,
        paths=(str(tmp_path),),
        end_ts=last + DAY_NS,
        policies=("p_sma",),
        interval_ns=MINUTE_NS,
        urgency=0.9,
        seed=0,
        capital="1",
    )
    source = source_of(asked)
    assert source.provenance.end_ts == last
    assert f"ends at {iso(last)}" in str(ends_early(asked, source))
    assert ends_early(msgspec.structs.replace(asked, end_ts=last), source) is None


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    keep(tmp_path, a_market(5, begin=MIDNIGHT).events)
    with pytest.raises(HistoryError, match="there is no folder"):
        Books(tmp_path / "none")
    with pytest.raises(HistoryError, match=f"has no book of those asked for.* it has {VENUE} {SYMBOL}"):
        Books(tmp_path, symbols=["ETH-USDT"])
    for begin_ts, end_ts in ((MIDNIGHT + DAY_NS, None), (MIDNIGHT - 2 * DAY_NS, MIDNIGHT - DAY_NS)):
        with pytest.raises(HistoryError, match=r"has books from .* and nothing of the time asked for"):
            Books(tmp_path, begin_ts=begin_ts, end_ts=end_ts)
    with pytest.raises(HistoryError, match="the run would end before it begins"):
        Books(tmp_path, begin_ts=MIDNIGHT + 5 * NS_PER_S, end_ts=MIDNIGHT + 5 * NS_PER_S)
    notes = Books(tmp_path, begin_ts=MIDNIGHT - DAY_NS).provenance.notes
    assert any(f"{VENUE} {SYMBOL} is kept only from" in note for note in notes)


def _moved(event: Any, by_ns: int) -> Any:
    return _changed(event, received_ts=event.received_ts + by_ns)


def _changed(event: Any, **changed: object) -> Any:
    return type(event)(**{name: getattr(event, name) for name in event.__struct_fields__} | changed)
