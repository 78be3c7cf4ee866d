"""What is cut out of a WebSocket's bytes is what the library makes of them, wherever they are cut."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side

from services.l2 import plain_frames
from services.l2.plain_frames import PlainFrames

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST = 70_000
PING, PONG = b"\x89\x05alive", b"\x8a\x00"


def a_frame(content: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    return Frame(opcode, content, fin=fin).serialize(mask=False)


def fed(pieces: Iterable[bytes], most: int = MOST) -> tuple[list[bytes], bytes, PlainFrames]:
    """Return all messages, all that was handed on, and who did it."""
    frames, messages, others = PlainFrames(most), list[bytes](), b""
    for piece in pieces:
        taken, rest = frames.feed(piece)
        messages += taken
        others += rest
    return messages, others, frames


def by_the_library(data: bytes) -> list[bytes]:
    protocol = Protocol(Side.CLIENT, max_size=MOST)
    protocol.receive_data(data)
    return [
        bytes(event.data)
        for event in protocol.events_received()
        if isinstance(event, Frame) and event.opcode in {Opcode.TEXT, Opcode.BINARY}
    ]


def test_messages_of_every_form_of_length_are_taken_and_leave_nothing() -> None:
    contents = [b"x" * size for size in (0, 1, 125, 126, 65_535, 65_536, MOST)]
    messages, others, frames = fed([b"".join(map(a_frame, contents))])
    assert messages == contents
    assert (others, frames.ended) == (b"", False)


def test_pings_and_pongs_are_handed_on_whole_and_end_nothing() -> None:
    messages, others, frames = fed([a_frame(b"1") + PING + a_frame(b"2", Opcode.BINARY) + PONG])
    assert (messages, others, frames.ended) == ([b"1", b"2"], PING + PONG, False)


def test_a_frame_that_comes_byte_by_byte_is_taken_when_it_is_whole() -> None:
    whole = a_frame(b"y" * 300) + PING + a_frame(b"z" * 66_000) + a_frame(b"")
    for size in (1, 2, 3, 7, 1000):
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        messages, others, frames = fed(pieces)
        assert [len(message) for message in messages] == [300, 66_000, 0]
        assert (others, frames.ended) == (PING, False)


def test_a_frame_that_comes_slowly_is_looked_at_no_more_often_than_its_head_grows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = 0
    extent = plain_frames._extent  # noqa: SLF001 -- the look

    def counted(data: bytes, at: int) -> tuple[int, int]:
        nonlocal looks
        looks += 1
        return extent(data, at)

    monkeypatch.setattr(plain_frames, "_extent", counted)
    whole = a_frame(b"z" * 66_000)
    messages, _, _ = fed(whole[at : at + 1] for at in range(len(whole)))
    assert len(messages) == 1
    assert looks <= 10  # of the head; none for each of the other bytes


@pytest.mark.parametrize(
    "other",
    [
        a_frame(b"\x03\xe8bye", Opcode.CLOSE),
        a_frame(b"begun", fin=False) + a_frame(b"ended", Opcode.CONT),
        a_frame(b"continued", Opcode.CONT),
        b"\xc1\x01x",  # compressed, or reserved
        b"\x83\x00",  # of no kind
        b"\x81\x81maskx",  # masked, which no server's is
        b"\x89\x7e\x00\x7e" + b"p" * 126,  # a ping that is too long
        a_frame(b"x" * (MOST + 1)),
        a_frame(b"x" * (MOST + 1))[:10],  # of which the length is enough
        b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
    ],
)
def test_the_first_frame_of_another_kind_is_handed_on_with_all_that_follows(other: bytes) -> None:
    after = a_frame(b"after")
    messages, others, frames = fed([a_frame(b"before") + other, after, after])
    assert (messages, others, frames.ended) == ([b"before"], other + after + after, True)


def test_of_a_stream_cut_anywhere_the_library_would_have_made_the_same() -> None:
    random = Random(5)
    for _ in range(200):
        contents = [random.randbytes(random.choice((0, 3, 125, 126, 700))) for _ in range(20)]
        stream = b"".join(
            frame
            for content in contents
            for frame in (a_frame(content), *([PING] if random.random() < 0.2 else []))
        )
        if random.random() < 0.5:
            stream += a_frame(b"1", fin=False) + a_frame(b"2", Opcode.CONT) + a_frame(b"last")
        cuts = sorted({0, len(stream), *(random.randrange(len(stream)) for _ in range(random.randrange(30)))})
        pieces = [stream[begin:end] for begin, end in pairwise(cuts)]
        messages, others, _ = fed(pieces)
        assert messages == contents
        assert messages + by_the_library(others) == by_the_library(stream)
