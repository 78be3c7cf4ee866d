"""Whatever stamps a venue writes, nothing of an impossible time is published, and the book stays LIVE."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from libs.common.events import BookDelta, BookSnapshot, BookTop, Candle, Event, Trade
from libs.common.time_units import NS_PER_MS
from services.l2.messages import FrameReceived
from services.l2.stamps import AHEAD_NS, EARLIEST
from tests.l2_trading import KEY, MINUTE, Book

STAMPS_MS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from(
        (0, 1_790_000_000, 1_790_000_000_000_000, 1_790_000_000_000_000_000, EARLIEST // NS_PER_MS - 1)
    ),
    st.none(),  # a true one
)


@given(st.lists(st.tuples(st.booleans(), STAMPS_MS), max_size=40))
def test_no_false_stamp_is_published_and_none_takes_the_book_away(
    told: list[tuple[bool, int | None]],
) -> None:
    book = Book()
    book.said.clear()
    true_trades = 0
    for number, (is_trade, stamp_ms) in enumerate(told):
        at_ms = book.now // NS_PER_MS if stamp_ms is None else stamp_ms
        if is_trade:
            book.trade(number, at_ms * NS_PER_MS)
            true_trades += EARLIEST <= at_ms * NS_PER_MS <= book.now + AHEAD_NS
        else:
            frame = json.loads(book.exchange.next_frame())
            frame["data"]["E"] = at_ms
            book.tell(FrameReceived(KEY, book.connection, json.dumps(frame).encode()))
        book.wait(1)
        assert book.state.sessions[KEY].maintainer.live
    assert len(book.trades()) == true_trades
    for each in book.said:
        if isinstance(each, Event):
            msgspec.msgpack.encode(each)
        match each:
            case BookDelta() | BookTop() | BookSnapshot() | Trade():
                assert each.venue_ts is None or EARLIEST <= each.venue_ts <= book.now + AHEAD_NS
            case Candle():
                assert EARLIEST - MINUTE <= each.open_ts <= book.now + AHEAD_NS
