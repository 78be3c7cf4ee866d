from __future__ import annotations

import zlib

import pytest

from simulator.wire import PING, Line, control_frame, deflated_frame, text_frame


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_frame_reads_back_by_the_rfc(size: int) -> None:
    frame = text_frame("x" * size)
    assert frame[0] == 0x81
    length, start = frame[1], 2
    if length >= 126:
        start += 2 if length == 126 else 8
        length = int.from_bytes(frame[2:start], "big")
    assert length == size
    assert frame[start:] == b"x" * size


def test_what_was_sent_first_arrives_first_even_if_its_delay_is_longer() -> None:
    line = Line()
    line.send(b"a", 30)
    line.send(b"b", 10)
    assert line.arrived(29) == b""
    assert line.arrived(30) == b"ab"
    assert len(line) == 0


def test_a_slow_line_delivers_in_parts_and_loses_nothing() -> None:
    line, frames = Line(), [bytes([number]) * 700 for number in range(5)]
    for frame in frames:
        line.send(frame, 0)
    assert line.waiting == 3500
    out, parts = b"", []
    for tick in range(500):
        part = line.trickled(tick * 10_000_000, 1_000)
        parts.append(len(part))
        out += part
    assert out == b"".join(frames)
    assert max(parts[1:]) == 10  # of 10 ms
    assert line.waiting == 0


def test_a_line_that_is_slower_than_its_clock_still_moves() -> None:
    line = Line()
    line.send(b"x" * 3, 0)
    out = [line.trickled(tick * 2_000_000, 100) for tick in range(1, 30)]  # a byte takes five ticks
    assert b"".join(out) == b"xxx"


def test_a_line_that_becomes_quick_again_ends_the_frame_it_had_begun() -> None:
    line = Line()
    line.send(b"abcdef", 0)
    line.send(b"ghi", 0)
    assert line.trickled(100_000_000, 20) == b"ab"
    assert line.arrived(100_000_001) == b"cdefghi"
    assert line.waiting == 0


def test_what_waits_on_a_slow_line_is_not_yet_due_before_its_time() -> None:
    line = Line()
    line.send(b"abc", 50)
    assert line.trickled(49, 10**9) == b""
    assert line.trickled(100_000_049, 10**9) == b"abc"


@pytest.mark.parametrize("bits", [9, 15])
def test_a_deflated_frame_reads_back_by_the_rfc(bits: int) -> None:
    inflater = zlib.decompressobj(-bits)
    for text in ('{"a":1}' * 500, '{"a":2}'):
        frame = deflated_frame(text, bits)
        assert frame[0] == 0xC1
        start = 2 if frame[1] < 126 else 4
        assert inflater.decompress(frame[start:] + b"\x00\x00\xff\xff").decode() == text


def test_a_ping_is_a_control_frame() -> None:
    assert control_frame(PING, b"17") == b"\x89\x0217"
