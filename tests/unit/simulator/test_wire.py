from __future__ import annotations

import pytest

from simulator.wire import Line, text_frame


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
