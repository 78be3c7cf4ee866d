"""Every format of recordings, on the recordings themselves and on damaged ones."""

from __future__ import annotations

import gzip
from itertools import pairwise
from typing import TYPE_CHECKING

import cramjam
import msgspec
import pytest

from libs.cli.record import RecordingWriter
from simulator.recording_formats import seconds_to_ns
from simulator.recordings import Frame, Record, RecordingError, RestReply, open_recording
from tests import recordings
from tests.recordings import needs_recordings

if TYPE_CHECKING:
    from pathlib import Path

HEADER = '{"t":"header","format":2,"exchange":"KRAKEN"}\n'
CONNECT = '{"t":"connect","conn":"1","ts":10.5,"url":"wss://ws.kraken.com/v2"}\n'


def read(path: Path) -> list[Record]:
    return list(open_recording(path).records())


def frames(path: Path) -> list[Frame]:
    return [record for record in read(path) if isinstance(record, Frame)]


def a_file(folder: Path, text: str, name: str = "recording.jsonl") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@needs_recordings
def test_the_binance_spot_pair_has_every_event_that_was_counted() -> None:
    records = [record for path in recordings.BINANCE_SPOT for record in read(path)]
    trades = [
        msgspec.json.decode(record.text)["data"]
        for record in records
        if isinstance(record, Frame) and '"e":"trade"' in record.text
    ]
    assert len(records) == 99_574
    assert sum('"e":"depthUpdate"' in record.text for record in records) == 6_495
    assert len(trades) == 19_904
    assert all(later["t"] == earlier["t"] + 1 for earlier, later in pairwise(trades))
    assert sum(float(trade["q"]) for trade in trades) == pytest.approx(437.9, abs=0.05)
    assert [record.url for record in records if isinstance(record, RestReply)] == [
        "https://api.binance.com/api/v3/depth?symbol=BTCUSDT"
    ]


@needs_recordings
@pytest.mark.parametrize(
    ("path", "depth_events", "host"),
    [
        (recordings.BINANCE_USDM, 6_551, "wss://fstream.binance.com/stream"),
        (recordings.BINANCE_COINM, 26_847, "wss://dstream.binance.com/stream"),
    ],
)
def test_the_futures_are_told_apart_from_spot(path: Path, depth_events: int, host: str) -> None:
    got = frames(path)
    assert sum('"e":"depthUpdate"' in frame.text for frame in got) == depth_events
    assert {frame.url for frame in got} == {host}


@needs_recordings
@pytest.mark.parametrize(
    ("path", "mark", "count"),
    [
        (recordings.KRAKEN_V1, ',"book-1000","', 4_279),
        (recordings.OKX_2022, '"channel":"books"', 293),  # 290 updates and snapshots, 3 confirmations
        (recordings.BITSTAMP, '"event":"data"', 717),
        (recordings.COINBASE_2021, '"type":"l2update"', 9_719),
        (recordings.COINBASE_2021, '"type":"snapshot"', 10),
        (recordings.BINANCE_2021, '"e":"depthUpdate"', 177),
        (recordings.COINBASE, '"channel":"l2_data"', 775),
        (recordings.BYBIT, '"topic":"orderbook.200', 2_148),
        (recordings.KRAKEN_V2, '"channel":"book","type"', 4),
        (recordings.BYBIT_FIXTURE, '"topic":"orderbook.50', 9),
        (recordings.OKX_FIXTURE, '"channel":"books"', 5),
    ],
)
def test_each_recording_has_every_book_message_that_was_counted(path: Path, mark: str, count: int) -> None:
    assert sum(mark in frame.text for frame in frames(path)) == count


@needs_recordings
@pytest.mark.parametrize(
    "path", [recordings.BYBIT, recordings.KRAKEN_V1, recordings.BINANCE_2021, recordings.COINBASE]
)
def test_records_come_in_the_order_of_receipt_whatever_the_order_of_the_files(path: Path) -> None:
    assert all(earlier.ts <= later.ts for earlier, later in pairwise(read(path)))


@needs_recordings
def test_any_file_of_a_run_opens_the_whole_run() -> None:
    one = open_recording(recordings.KRAKEN_V1.with_name("KRAKEN.ws.50.0.zst"))
    assert list(one.records()) == read(recordings.KRAKEN_V1)
    assert len(one.paths) == 4


@needs_recordings
def test_times_are_exact_nanoseconds() -> None:
    assert read(recordings.BINANCE_SPOT[0])[0].ts == 1_723_161_253_937_085_768
    assert read(recordings.KRAKEN_V1)[1].ts == 1_618_678_132_825_818_800


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1618678132.83097", 1_618_678_132_830_970_000),
        ("7", 7_000_000_000),
        ("0.000000001", 1),
        ("1723161253.937085768", 1_723_161_253_937_085_768),
    ],
)
def test_seconds_become_nanoseconds_without_rounding(text: str, ns: int) -> None:
    assert seconds_to_ns(text) == ns


@pytest.mark.parametrize("text", ["", "1e9", "-1", "1.0000000001", "1,5", "NaN"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write seconds like"):
        seconds_to_ns(text)


def test_lines_out_of_order_are_sorted_and_ties_stay_as_written(tmp_path: Path) -> None:
    lines = [
        f'{{"t":"recv","conn":"1","ts":{ts},"data":"{data}"}}\n'
        for ts, data in [(12, "c"), (11, "a"), (11, "b")]
    ]
    path = a_file(tmp_path, HEADER + CONNECT + "".join(lines))
    assert [frame.text for frame in frames(path)] == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["recording.jsonl", "recording.jsonl.zst"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    url, rest = "wss://ws.kraken.com/v2", "https://api.kraken.com/0/public/Time"
    with RecordingWriter(path, "KRAKEN") as writer:
        writer.connected("1", 1_000_000_001, url)
        writer.sent("1", 1_000_000_002, url, '{"method":"ping"}')
        writer.received("1", 1_000_000_003, '{"method":"pong","text":"é \\" \\n"}')
        writer.replied("2", 1_000_000_005, rest, '{"error":[]}')
        writer.received("1", 1_000_000_004, "the clock was set back")
    assert read(path) == [
        Frame(1_000_000_003, "1", url, '{"method":"pong","text":"é \\" \\n"}'),
        RestReply(1_000_000_005, rest, '{"error":[]}'),
        Frame(1_000_000_005, "1", url, "the clock was set back"),
    ]


def test_a_recorder_that_was_killed_leaves_what_it_flushed(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "killed.jsonl.zst", "KRAKEN")
    writer.connected("1", 1, "wss://ws.kraken.com/v2")
    writer.received("1", 2, "kept")
    writer.flush()
    writer.received("1", 3, "lost")
    assert [frame.text for frame in frames(writer.part)] == ["kept"]
    writer.discard()


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (HEADER + CONNECT + '{"t":"recv","conn":"1","ts":11,"da', 3, "a line is JSON like"),
        (HEADER + CONNECT + '{"t":"what","conn":"1","ts":11,"data":""}', 3, "a line is JSON like"),
        (HEADER + CONNECT + '{"t":"recv","conn":"1","ts":"soon","data":""}', 3, "write seconds like"),
        (HEADER + '{"t":"recv","conn":"1","ts":11,"data":""}', 2, "a connect line of '1' comes before"),
        ("wss://ws.kraken.com <-> 10.5\n11.0: [1,2\n", 2, "a line is '<url> <-> ts'"),
        ("11.0: [1,2]\n", 1, "says the address before the first frame"),
        (
            '1723161253937085768 {"e":"depthUpdate","s":"A"}\n17231612539370857 {"e":"dep',
            2,
            "the JSON is whole",
        ),
        ('1723161253937085768 {"e":"trade"}\n', None, "is a depthUpdate, to know the market"),
        ('{"channel":"heartbeat"}\n{"channel":"bo\n', 2, "one whole JSON frame"),
        ('{"who":"knows"}\n', None, "those of others need a header"),
        ("price,size\n", 1, "starts like no known format"),
        ("\n\n", None, "the file is empty"),
    ],
)
def test_a_bad_line_is_named_with_what_would_be_right(
    tmp_path: Path, text: str, line: int | None, reason: str
) -> None:
    path = a_file(tmp_path, text)
    with pytest.raises(RecordingError, match=reason) as caught:
        read(path)
    assert caught.value.line == line
    assert str(path) in str(caught.value)


def test_a_missing_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="there is no such recording"):
        open_recording(tmp_path / "nowhere" / "KRAKEN")


def test_a_gzip_stream_that_was_cut_off_is_named_with_the_line(tmp_path: Path) -> None:
    lines = "".join(f'17231612539370857{n:02} {{"e":"depthUpdate","s":"A"}}\n' for n in range(50))
    whole = gzip.compress(lines.encode(), compresslevel=0)
    path = tmp_path / "cut.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecordingError, match="cut off here") as caught:
        read(path)
    assert caught.value.line is not None
    assert caught.value.line > 1


@pytest.mark.parametrize("damage", [slice(None, 40), slice(20, None)])
def test_a_damaged_zstd_stream_is_refused_whole(tmp_path: Path, damage: slice) -> None:
    whole = bytes(cramjam.zstd.compress((HEADER + CONNECT).encode() * 20))
    path = tmp_path / "damaged.jsonl.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd" + whole[4:][damage])
    with pytest.raises(RecordingError, match="damaged or cut off"):
        open_recording(path)


def test_a_line_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "binary.jsonl"
    path.write_bytes(HEADER.encode() + b"\xff\xfe\n")
    with pytest.raises(RecordingError, match="a line is UTF-8 text") as caught:
        read(path)
    assert caught.value.line == 2
