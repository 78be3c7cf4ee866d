from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from libs.common.events import BookState
from services.l2.feeds.feed import BadFrameError
from services.l2.feeds.okx_2022 import Okx2022Feed
from services.l2.feeds.venue_messages import VenueDelta, VenueSnapshot
from services.l2.maintainer import BookMaintainer
from simulator.recordings import open_recording
from tests.recordings import OKX_2022, needs_recordings

if TYPE_CHECKING:
    from collections.abc import Iterator

FEED = Okx2022Feed()
BTC = "BTC-USDT"
UPDATE = (
    '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[["30249.40","0","0","0"]],'
    '"bids":[["30182.6","0.0000001","0","1"]],"ts":"1652459225464","checksum":-914047754}]}'
)


def recorded(instrument: str) -> Iterator[VenueSnapshot | VenueDelta]:
    for record in open_recording(OKX_2022).records():
        for message in FEED.parse(record.text.encode(), instrument):
            if isinstance(message, VenueSnapshot | VenueDelta):
                yield message


def a_maintained_book(instrument: str) -> BookMaintainer:
    book = BookMaintainer(FEED, instrument, now=1, buffer_limit=1, owner="test")
    book.sync(2, "connected")
    return book


def test_an_update_keeps_the_text_of_the_wire() -> None:
    (delta,) = FEED.parse(UPDATE.encode(), BTC)
    assert delta == VenueDelta(
        bids=((30182.6, 1e-7),),
        asks=((30249.4, 0.0),),
        checksum=-914047754,
        bid_digits=("30182.6:0.0000001",),
        ask_digits=("30249.40:0",),
        venue_ts=1652459225_464_000_000,
    )


def test_the_checksum_takes_both_sides_in_turn_and_lets_the_longer_go_on() -> None:
    # The example of OKX's documentation, with one bid and three asks.
    assert FEED.checksum(["3366.1:7"], ["3366.8:9", "3368:8", "3372:8"]) == 831078360


@pytest.mark.parametrize(
    "raw",
    [
        UPDATE.replace(',"checksum":-914047754', ""),
        UPDATE.replace("-914047754", str(2**31)),
        UPDATE.replace("30182.6", "NaN"),
        UPDATE.replace("0.0000001", "-1"),
        UPDATE.replace('"update"', '"partial"'),
        UPDATE[:-9],
    ],
)
def test_what_is_not_documented_is_a_bad_frame(raw: str) -> None:
    with pytest.raises(BadFrameError, match="okx-v5-2022"):
        FEED.parse(raw.encode(), BTC)


@needs_recordings
def test_all_290_recorded_messages_match_their_checksums() -> None:
    matched = {}
    for instrument in ("BTC-USDT", "BTC-USD-220527", "UNI-USD-SWAP"):
        book = a_maintained_book(instrument)
        for now, message in enumerate(recorded(instrument), start=3):
            if isinstance(message, VenueSnapshot):
                book.on_snapshot(message, now)
            else:
                book.on_delta(message, now)
            assert book.live, book.reason
        matched[instrument] = book.counts.checksums_matched
        assert (book.counts.gaps, book.counts.checksum_failures, book.counts.resyncs) == (0, 0, 0)
    assert matched == {"BTC-USDT": 98, "BTC-USD-220527": 99, "UNI-USD-SWAP": 93}
    assert sum(matched.values()) == 290


@needs_recordings
def test_a_lost_message_is_found_by_the_next_checksum() -> None:
    snapshot, _, later = (message for message, _ in zip(recorded(BTC), range(3), strict=False))
    assert isinstance(snapshot, VenueSnapshot)
    assert isinstance(later, VenueDelta)
    book = a_maintained_book(BTC)
    book.on_snapshot(snapshot, 3)
    assert book.on_delta(later, 4) == []
    assert book.state is BookState.CHECKSUM_FAILED


@needs_recordings
def test_the_25th_level_is_under_the_checksum_and_the_26th_is_not() -> None:
    snapshot = next(recorded(BTC))
    assert isinstance(snapshot, VenueSnapshot)
    for level, state in ((24, BookState.CHECKSUM_FAILED), (25, BookState.LIVE)):
        digits = list(snapshot.bid_digits)
        digits[level] += "1"
        book = a_maintained_book(BTC)
        book.on_snapshot(msgspec.structs.replace(snapshot, bid_digits=tuple(digits)), 3)
        assert book.state is state
