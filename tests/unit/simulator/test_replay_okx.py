"""Both protocols of OKX in a replay, on the recording of 2022 and frame by frame."""

from __future__ import annotations

import msgspec
import pytest

from services.l2.feeds import FEEDS
from services.l2.feeds.venue_messages import VenueSnapshot
from simulator.recordings import Frame, RecordingError
from simulator.replay_catalogue import catalogue_of
from simulator.replay_okx import OkxReplay
from simulator.replay_venue import Delivery, HttpReply
from tests import recordings
from tests.recordings import needs_recordings
from tests.unit.simulator.replay_builders import Levels, a_session, text

URL = "wss://ws.okx.com:8443/ws/v5/public"
SUBSCRIBE = text({"op": "subscribe", "args": [{"channel": "books", "instId": "BTC-USDT"}], "id": "5"})


def a_book(
    action: str, bids: Levels = (), asks: Levels = (), ids: tuple[int, int] | None = (-1, 10)
) -> Frame:
    sides = {"asks": [(*row, "0", "1") for row in asks], "bids": [(*row, "0", "1") for row in bids]}
    proof: dict[str, object] = {"checksum": 5}
    if ids is not None:
        proof = {"checksum": 0, "seqId": ids[1], "prevSeqId": ids[0]}
    arg = {"channel": "books", "instId": "BTC-USDT"}
    data = [{**sides, "ts": "1787612486307", **proof}]
    return Frame(0, "1", URL, text({"arg": arg, "action": action, "data": data}))


SNAPSHOT = a_book("snapshot", [("100", "2"), ("99.5", "3")], [("101", "1")])
UPDATE = a_book("update", [("100.0", "0"), ("98", "0.5")], ids=(10, 17))


def learnt(*frames: Frame) -> OkxReplay:
    venue = OkxReplay()
    for frame in frames:
        venue.learn(frame)
    return venue


def played(*frames: Frame) -> OkxReplay:
    venue = learnt(*frames)
    for frame in frames:
        venue.play(frame)
    return venue


def test_a_frame_is_delivered_as_recorded() -> None:
    venue = learnt(SNAPSHOT)
    assert venue.play(SNAPSHOT) == Delivery("books:BTC-USDT", SNAPSHOT.text, SNAPSHOT.text)
    assert venue.is_book("books:BTC-USDT")
    assert venue.owns(URL)
    assert venue.owns("ws://127.0.0.1:5100/okx/ws/v5/public")
    assert not venue.owns("wss://ws.okx.com:8443/ws/v5/business")


def test_the_truth_carries_the_id_of_the_last_frame() -> None:
    venue = played(SNAPSHOT, UPDATE)
    truth = venue.truth("BTC-USDT")
    assert truth is not None
    assert (venue.venue, truth.venue_seq) == ("okx", 17)
    assert (truth.bids, truth.asks) == (((99.5, 3.0), (98.0, 0.5)), ((101.0, 1.0),))


def test_books_without_ids_are_those_of_2022_and_count_their_messages() -> None:
    old = [
        a_book("snapshot", [("100", "2")], [("101", "1")], None),
        a_book("update", [("99", "1")], (), None),
    ]
    venue = played(*old)
    truth = venue.truth("BTC-USDT")
    assert truth is not None
    assert (venue.venue, truth.venue_seq) == ("okx-v5-2022", 2)


def test_the_two_protocols_do_not_mix() -> None:
    with pytest.raises(msgspec.ValidationError, match="okx and okx-v5-2022"):
        learnt(SNAPSHOT, a_book("update", ids=None))


def test_who_is_there_from_the_start_is_acknowledged_and_gets_the_recorded_snapshot_only() -> None:
    answer = learnt(SNAPSHOT).request(a_session(), SUBSCRIBE, 0)
    acknowledgement = (
        '{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"00000007","id":"5"}'
    )
    assert answer.frames == (acknowledgement,)
    assert answer.subscribed == ("books:BTC-USDT",)


def test_a_late_subscriber_joins_the_chain_where_it_is() -> None:
    late = played(SNAPSHOT, UPDATE).request(a_session(), SUBSCRIBE, 0).frames[1]
    (snapshot,) = FEEDS["okx"].parse(late.encode(), "BTC-USDT")
    assert isinstance(snapshot, VenueSnapshot)
    assert (snapshot.sequence, snapshot.bids) == (17, ((99.5, 3.0), (98.0, 0.5)))
    assert '"prevSeqId":-1' in late


@needs_recordings
def test_a_late_snapshot_of_2022_has_the_checksum_of_the_last_update_sent() -> None:
    catalogue = catalogue_of([str(recordings.OKX_2022)])
    assert catalogue.books() == ["okx-v5-2022:BTC-USDT"]
    checked = 0
    for _, record in catalogue.records_in_order():
        played = catalogue.play(record)
        if played is None or '"checksum"' not in record.text or '"BTC-USDT"' not in record.text[:60]:
            continue
        late = msgspec.json.decode(played[0].request(a_session(), SUBSCRIBE, 0).frames[1])
        recorded = msgspec.json.decode(record.text)
        assert late["data"][0]["checksum"] == recorded["data"][0]["checksum"]
        assert late["data"][0]["ts"] == recorded["data"][0]["ts"]
        checked += 1
    assert checked == 98


@needs_recordings
def test_instruments_that_no_canonical_symbol_fits_are_named() -> None:
    catalogue = catalogue_of([str(recordings.OKX_2022)])
    (venue,) = (venue for venue in catalogue.venues if venue.venue == "okx-v5-2022")
    assert venue.unnamed == {"BTC-USD-220527", "UNI-USD-SWAP"}


@needs_recordings
def test_a_recording_without_its_snapshot_cannot_be_replayed() -> None:
    with pytest.raises(RecordingError, match="no book with its snapshot"):
        catalogue_of([str(recordings.OKX_FIXTURE)])


def test_a_book_is_unknown_after_a_break_until_the_next_recorded_snapshot() -> None:
    venue = played(SNAPSHOT)
    venue.forget_books()
    assert len(venue.request(a_session(), SUBSCRIBE, 0).frames) == 1
    assert venue.truth("BTC-USDT") is None
    venue.play(SNAPSHOT)
    assert venue.truth("BTC-USDT") is not None


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        ("ping", "pong"),
        ("{", '"code":"60012"'),
        ('{"op":"dance","args":[]}', '"code":"60012"'),
        (
            SUBSCRIBE.replace("BTC-USDT", "NO-PE"),
            '"code":"60018","msg":"Wrong URL or channel:books,instId:NO-PE',
        ),
        (SUBSCRIBE.replace("subscribe", "unsubscribe"), '{"event":"unsubscribe"'),
    ],
)
def test_other_requests_are_answered(sent: str, answer: str) -> None:
    assert answer in learnt(SNAPSHOT).request(a_session(), sent, 0).frames[0]


def test_candles_are_empty_and_the_time_is_told() -> None:
    venue = learnt(SNAPSHOT)
    assert venue.rest("/okx/api/v5/market/history-candles", {}, 0) == HttpReply(
        200, '{"code":"0","msg":"","data":[]}'
    )
    assert '"ts":"5000"' in venue.rest("/okx/api/v5/public/time", {}, 5 * 10**9).body  # type: ignore[union-attr]  # never awaited
