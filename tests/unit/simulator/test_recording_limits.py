"""A recording becomes no more than a recording can be: in a line, in all, in memory and in steps."""

from __future__ import annotations

import gzip
import json
import os
import re
import tempfile
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import recordings
from simulator.recording_formats import _symbol_of_depth
from simulator.recording_limits import ALWAYS_BYTES, MAX_LINE_BYTES, most_bytes, zstd_is_within
from simulator.recording_lines import RecordingError, lines
from simulator.recordings import open_recording
from simulator.replay_books import TextBook
from simulator.replay_catalogue import catalogue_of

if TYPE_CHECKING:
    from collections.abc import Callable

MIB: Final = 1024 * 1024
HEADER: Final = b'{"t":"header","format":2,"exchange":"KRAKEN"}\n'


def zstd(data: bytes) -> bytes:
    return bytes(cramjam.zstd.compress(data))


def test_twelve_kilobytes_of_zstd_do_not_become_three_hundred_megabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.jsonl.zst"
    path.write_bytes(zstd(HEADER * (300 * MIB // len(HEADER))))
    assert path.stat().st_size < 50_000
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", _no_file)
    with pytest.raises(RecordingError, match="inflates to more than 1000 times its size") as caught:
        open_recording(path)
    assert str(path) in str(caught.value)


def _no_file(**_arguments: object) -> None:
    raise AssertionError("the bomb is inflated")


@pytest.mark.parametrize("pack", [zstd, gzip.compress, bytes])
def test_a_line_without_end_is_refused_before_it_fills_the_memory(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "one.jsonl"
    path.write_bytes(pack(HEADER + b"a" * (60 * MIB)))
    tracemalloc.start()
    try:
        with pytest.raises(RecordingError, match=f"a line has at most {MAX_LINE_BYTES} bytes") as caught:
            list(lines(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.line == 2
    assert peak < 4 * MAX_LINE_BYTES


@pytest.mark.parametrize("pack", [zstd, gzip.compress, bytes])
def test_the_longest_line_that_is_allowed_is_read(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "one.jsonl"
    path.write_bytes(pack(b"a" * (MAX_LINE_BYTES - 1) + b"\n"))
    assert [len(text) for _, text in lines(path)] == [MAX_LINE_BYTES - 1]


def test_a_large_recording_of_ordinary_text_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.zst"
    count = ALWAYS_BYTES // 80_000 + 100
    numbers = os.urandom(400_000).hex()  # twenty lines as different as those of a market, and again
    text = "".join(f"{numbers[40_000 * (at % 20) :][:40_000] * 2}{at}\n" for at in range(count))
    path.write_bytes(zstd(text.encode()))
    assert len(text) > ALWAYS_BYTES
    assert sum(1 for _ in lines(path)) == count


def test_many_small_frames_of_a_quiet_market_are_no_bomb(tmp_path: Path) -> None:
    path = tmp_path / "quiet.zst"
    frames = 2000  # each judged as 128 KiB by its header, and of 120 bytes
    path.write_bytes(b"".join(zstd(b'{"n":"%d"}\n' % n * 10) for n in range(frames)))
    assert zstd_is_within(path, most_bytes(path))
    assert sum(1 for _ in lines(path)) == 10 * frames
    assert not zstd_is_within(path, 100_000)


@given(st.lists(st.binary(max_size=300).map(lambda data: data * 500), max_size=4), st.integers(0, 22))
def test_what_is_within_a_limit_is_told_as_by_inflating(parts: list[bytes], level: int) -> None:
    frames = b"".join(bytes(cramjam.zstd.compress(part, level)) for part in parts)
    size = sum(map(len, parts))
    with tempfile.NamedTemporaryFile() as file:
        file.write(frames)
        file.flush()
        path = Path(file.name)
        assert zstd_is_within(path, size)
        assert not size or not zstd_is_within(path, size - 1)


def test_records_out_of_order_count_with_all_that_they_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "SORT_LIMIT_BYTES", 10_000)
    connect = b'{"t":"connect","conn":"1","ts":10.5,"url":"wss://ws.kraken.com/v2"}\n'
    empty = b"".join(b'{"t":"recv","conn":"1","ts":%d.0,"data":""}\n' % (1000 - at) for at in range(100))
    path = tmp_path / "empty.jsonl"
    path.write_bytes(HEADER + connect + empty)
    with pytest.raises(RecordingError, match="lines are by time, or have at most 10000 bytes"):
        list(open_recording(path).records())


def test_a_line_of_depth_updates_without_a_symbol_is_looked_at_once(tmp_path: Path) -> None:
    path = tmp_path / "slow"
    update = '"e":"depthUpdate",'
    path.write_text(f"1723161253937085768 {{{update * (8 * MIB // len(update))}}}\n")
    with pytest.raises(RecordingError, match="is a depthUpdate, to know the market"):
        list(open_recording(path).records())  # with one pattern of both: 10^12 steps


PIECES: Final = ['"e":"depthUpdate"', '"s":"', '"s":"BTCUSDT"', '"s":"bad"', "A_1", '"', ",", "\u2028"]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_the_symbol_is_that_of_the_one_pattern_of_both(line: str) -> None:
    match = re.search(r'"e":"depthUpdate".*?"s":"([A-Z0-9_]+)"', line)
    assert _symbol_of_depth(line) == (match[1] if match else None)


def test_a_book_that_is_cut_to_its_depth_is_looked_at_once() -> None:
    count, depth = 200_000, 10
    book = TextBook()
    book.replace([(str(n), "1") for n in range(count)], [(str(n), "1") for n in range(count, 2 * count)])
    book.truncate(depth)  # one by one: 10^10 steps a side
    assert [row[0] for row in book.bids()] == [str(count - 1 - n) for n in range(depth)]
    assert [row[0] for row in book.asks()] == [str(count + n) for n in range(depth)]


def test_a_time_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bare"
    path.write_text('{"channel":"book","timestamp":"9999-99-99T99:99:99Z"}\n')
    with pytest.raises(RecordingError, match="a venue's time is RFC 3339") as caught:
        list(open_recording(path).records())
    assert caught.value.line == 1


def test_a_deep_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "deep.jsonl"
    path.write_bytes(HEADER + b'{"t":"recv","x":' + b"[" * 100_000 + b"\n")
    with pytest.raises(RecordingError, match="a line is JSON like") as caught:
        list(open_recording(path).records())
    assert caught.value.line == 2


def test_what_an_error_says_of_a_recording_does_nothing_on_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "shown.jsonl"
    connect = (
        b'{"t":"connect","conn":"1","ts":1,"url":"wss://evil/\\u001b]0;t\\u0007\xc2\x9b31m\xe2\x80\xae"}\n'
    )
    path.write_bytes(HEADER + connect + b'{"t":"recv","conn":"1","ts":1,"data":""}\n')
    with pytest.raises(RecordingError, match="it has wss://evil") as caught:
        catalogue_of([str(path)])
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("url", ["wss://[", "http://a]b", "//\u2100", "x" * 5000, "://"])
def test_an_address_that_is_none_is_nobody_s(tmp_path: Path, url: str) -> None:
    path = tmp_path / "nowhere.jsonl"
    lines = [
        {"t": "connect", "conn": "1", "ts": 1, "url": url},
        {"t": "recv", "conn": "1", "ts": 2, "data": ""},
    ]
    path.write_bytes(HEADER + b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    with pytest.raises(RecordingError, match="holds no book with its snapshot"):
        catalogue_of([str(path)])
