from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from libs.cli.record import RecordingExistsError, RecordingWriter
from simulator.recordings import Frame, RestReply, open_recording

if TYPE_CHECKING:
    from pathlib import Path

URL = "wss://stream.binance.com:9443/stream?streams=btcusdt@depth"
TS = 1_788_000_000_123_456_789


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst"])
def test_replay_reads_back_what_was_written_to_the_nanosecond(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with RecordingWriter(path, "BINANCE") as writer:
        writer.connected("c", TS, URL)
        writer.sent("c", TS, URL, '{"method":"SUBSCRIBE"}')
        writer.received("c", TS + 1, '{"a":"\\u20ac \n"}')
        writer.replied(
            "c.http", TS + 2, "https://api.binance.com/api/v3/depth?symbol=BTCUSDT", '{"lastUpdateId":1}'
        )
        writer.received("c", TS + 3, "second")
    assert list(open_recording(path).records()) == [
        Frame(TS + 1, "c", URL, '{"a":"\\u20ac \n"}'),
        RestReply(TS + 2, "https://api.binance.com/api/v3/depth?symbol=BTCUSDT", '{"lastUpdateId":1}'),
        Frame(TS + 3, "c", URL, "second"),
    ]


def test_the_first_line_is_a_header_with_a_version(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "a.jsonl", "KRAKEN"):
        pass
    header = msgspec.json.decode((tmp_path / "a.jsonl").read_bytes().splitlines()[0])
    assert header == {"t": "header", "version": 1, "exchange": "KRAKEN"}


def test_a_recording_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    writer = RecordingWriter(path, "BINANCE")
    writer.connected("c", TS, URL)
    writer.flush()
    assert not path.exists()
    assert writer.part.exists()
    writer.close()
    assert path.exists()
    assert not writer.part.exists()


@pytest.mark.parametrize("taken", ["a.jsonl", "a.jsonl.part"])
def test_neither_a_recording_nor_an_unfinished_one_is_overwritten_unasked(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("precious")
    with pytest.raises(RecordingExistsError, match=taken):
        RecordingWriter(tmp_path / "a.jsonl", "BINANCE")
    assert (tmp_path / taken).read_text() == "precious"
    with RecordingWriter(tmp_path / "a.jsonl", "BINANCE", overwrite=True):
        pass
    assert (tmp_path / "a.jsonl").read_text().startswith('{"t":"header"')


def test_a_file_that_came_meanwhile_is_kept_and_so_is_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    writer = RecordingWriter(path, "BINANCE")
    path.write_text("precious")
    with pytest.raises(RecordingExistsError, match="meanwhile"):
        writer.close()
    assert path.read_text() == "precious"
    assert writer.part.exists()


def test_times_never_fall_when_the_clock_is_set_back(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with RecordingWriter(path, "BINANCE") as writer:
        writer.connected("c", TS, URL)
        writer.received("c", TS, "first")
        writer.received("c", TS - 10**9, "second")
    assert [(record.ts, record.text) for record in open_recording(path).records()] == [
        (TS, "first"),
        (TS, "second"),
    ]


def test_a_compressed_recording_that_was_cut_keeps_its_flushed_blocks(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    writer = RecordingWriter(path, "BINANCE")
    writer.connected("c", TS, URL)
    writer.received("c", TS, "first")
    writer.flush()
    survivor = tmp_path / "b.jsonl.zst"
    survivor.write_bytes(writer.part.read_bytes())
    writer.discard()
    assert [record.text for record in open_recording(survivor).records()] == ["first"]
    assert not path.exists()
