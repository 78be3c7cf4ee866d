"""Recordings on the bus, held against the venues' own proofs and the recorded times."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from backtest.source import Fidelity
from backtest.sources.frames import SETTLE_NS, Frames
from libs.common.events import BookDelta, BookHealth, BookSnapshot, Trade
from libs.common.order_book import OrderBook
from simulator.recordings import Frame, RecordingError, open_recording
from tests.backtest_l2 import Heard
from tests.recordings import (
    BINANCE_SPOT,
    BITSTAMP,
    BYBIT,
    COINBASE,
    COINBASE_2021,
    KRAKEN_V1,
    KRAKEN_V2,
    OKX_2022,
    needs_recordings,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_recordings


def quotes(*paths: Path) -> dict[int, tuple[tuple[float, float], tuple[float, float]]]:
    """Return every best quote of Binance by its book id, as it was recorded."""
    found = {}
    for path in paths:
        for record in open_recording(path).records():
            if isinstance(record, Frame) and "bookTicker" in record.text[:60]:
                data = json.loads(record.text)["data"]
                found[data["u"]] = (float(data["b"]), float(data["B"])), (float(data["a"]), float(data["A"]))
    return found


def test_each_best_quote_of_binance_agrees_and_each_message_is_of_its_recorded_time() -> None:
    run = Heard(Frames(BINANCE_SPOT)).run()
    (key,) = run.books
    expected, agreed = quotes(*BINANCE_SPOT), 0
    received = {record.ts for path in BINANCE_SPOT for record in open_recording(path).records()}
    book, epochs = OrderBook(), set()
    for ts, event in zip(run.times[key], run.events[key], strict=True):
        match event:
            case BookDelta() | BookSnapshot():
                book.follow(event)
                epochs.add(event.epoch)
                assert isinstance(event, BookSnapshot) or ts in received
                if event.venue_seq in expected:
                    assert (book.best_bid, book.best_ask) == expected.pop(event.venue_seq)
                    agreed += 1
            case Trade():
                assert ts in received
    assert agreed == 1072
    assert len(epochs) == 1, "two days are one market: the second recording goes on where the first ends"
    assert book.seq is not None
    assert book.seq > 6400
    assert run.healths[key].quotes_matched == 1072


@pytest.mark.parametrize(
    ("path", "proofs"),
    [(KRAKEN_V1, 4269), (OKX_2022, 98), (KRAKEN_V2, 4)],
    ids=["kraken-v1", "okx-2022", "kraken-v2"],
)
def test_every_checksum_of_a_recording_is_right(path: Path, proofs: int) -> None:
    source = Frames([path])
    run = Heard(source).run()
    assert source.host is not None
    counts = [session.maintainer.counts for session in source.host.state.sessions.values()]
    assert sum(count.checksums_matched for count in counts) == proofs
    assert sum(count.checksum_failures + count.gaps + count.resyncs for count in counts) == 0
    assert len(run.books) == len(source.provenance.books)


@pytest.mark.parametrize("path", [BYBIT, COINBASE, BITSTAMP, COINBASE_2021], ids=lambda path: path.name)
def test_the_books_of_a_recording_are_its_venues_when_it_ends(path: Path) -> None:
    source = Frames([path])
    run = Heard(source).run()
    for venue, symbol in source.provenance.books:
        truth = next(each for each in source.venues if each.venue == venue).truth(symbol)
        assert truth is not None
        book = run.books[f"{venue}:{symbol}"]
        assert run.healths[f"{venue}:{symbol}"].state == "LIVE"
        bids, asks = book.bids(), book.asks()
        assert bids
        assert list(bids) == list(truth.bids)[: len(bids)]
        assert list(asks) == list(truth.asks)[: len(asks)]


def test_l2_is_off_between_two_recordings_that_are_not_one_market() -> None:
    source = Frames([KRAKEN_V1, OKX_2022])
    run = Heard(source).run()
    ends, begins = source.parts[0].last, source.parts[1].first - SETTLE_NS
    assert begins - ends > 365 * 86_400 * 10**9
    key = "kraken-v1:XMR-USD"
    assert not [ts for times in run.times.values() for ts in times if ends < ts < begins]
    at_the_end = [
        event
        for ts, event in zip(run.times[key], run.events[key], strict=True)
        if ts == ends and isinstance(event, BookHealth)
    ]
    assert (at_the_end[-1].state, at_the_end[-1].reason) == ("DISCONNECTED", "the recording ends here")
    assert run.healths["okx-v5-2022:BTC-USDT"].state == "LIVE"


def test_what_a_recording_is_stands_in_its_provenance() -> None:
    told = Frames([KRAKEN_V2]).provenance
    assert (told.fidelity, told.synthetic, told.books) == (Fidelity.FRAMES, False, (("kraken", "BTC-USD"),))
    assert told.end_ts - told.begin_ts == SETTLE_NS + 1_620_227_000
    assert any("without times of receipt" in note for note in told.notes)


def test_recordings_in_the_wrong_order_and_symbols_that_are_not_there_are_refused() -> None:
    with pytest.raises(RecordingError, match="give recordings in the order of their times"):
        Frames([OKX_2022, KRAKEN_V1])
    with pytest.raises(RecordingError, match="has none of DOGE-USDT; it has okx-v5-2022:BTC-USDT"):
        Frames([OKX_2022], ["DOGE-USDT"])
