"""What stands between a venue and its client's socket: frame bytes, and the delay and speed of the line."""

from __future__ import annotations

import zlib
from collections import deque
from typing import Final

from libs.common.time_units import NS_PER_S

_TEXT: Final = 0x81  # FIN and opcode text, RFC 6455 section 5.2
_DEFLATED: Final = 0x40  # RSV1, RFC 7692 section 7.2.3.1
PING: Final = 0x89
PONG: Final = 0x8A
_SHORT: Final = 126
_MEDIUM: Final = 1 << 16
_TAIL: Final = 4  # 00 00 ff ff, which a sync flush ends with and the frame leaves out
_LEVEL: Final = 1  # of compression: the quickest
_BURST_S: Final = 0.1  # what a slow line may catch up after a pause of whoever serves it


def text_frame(text: str) -> bytes:
    """Return an unmasked WebSocket text frame: the same bytes serve every subscriber.

    References
    ----------
    RFC 6455, section 5.2: the length is 7 bits, or 126 and 16 bits, or 127 and 64 bits.
    """
    return _frame(_TEXT, text.encode())


def deflated_frame(text: str, window_bits: int) -> bytes:
    """Return the frame for clients that inflate; each is compressed by itself, so it serves all of them.

    Parameters
    ----------
    window_bits
        The largest window that the client agreed to, as a power of two; 9 to 15.

    References
    ----------
    RFC 7692, section 7.2.1: deflate, sync flush, without the last four bytes. A sender need not look back at
    earlier messages, whatever was agreed.
    """
    deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, -window_bits)
    payload = deflater.compress(text.encode()) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return _frame(_TEXT | _DEFLATED, payload[:-_TAIL])


def control_frame(opcode: int, payload: bytes) -> bytes:
    """Return a ping or pong, of at most 125 bytes."""
    return bytes((opcode, len(payload))) + payload


def _frame(head: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < _SHORT:
        return bytes((head, size)) + payload
    if size < _MEDIUM:
        return bytes((head, 126)) + size.to_bytes(2, "big") + payload
    return bytes((head, 127)) + size.to_bytes(8, "big") + payload


class Line:
    """Bytes on their way to one client; what was sent first arrives first.

    Attributes
    ----------
    waiting
        Bytes that have not arrived.
    """

    def __init__(self) -> None:
        self._frames: deque[tuple[int, bytes]] = deque()
        self._last_due_ns = 0
        self._begun = memoryview(b"")  # the rest of a frame of which a slow line delivered a part
        self._served_ns = 0  # when a slow line was last asked
        self.waiting = 0

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def due_ns(self) -> int | None:
        """When something arrives, 0 for the rest of a frame; None while nothing is on its way."""
        if self._begun:
            return 0
        return self._frames[0][0] if self._frames else None

    def send(self, frame: bytes, due_ns: int) -> None:
        """Put a frame on the line, to arrive at `due_ns` but after all before it."""
        self._last_due_ns = max(self._last_due_ns, due_ns)
        self._frames.append((self._last_due_ns, frame))
        self.waiting += len(frame)

    def arrived(self, now_ns: int) -> bytes:
        """Take and return everything that has arrived, as one run of bytes."""
        frames = self._frames
        if not self._begun and (not frames or frames[0][0] > now_ns):
            return b""
        out = [self.finish_frame()]
        while frames and frames[0][0] <= now_ns:
            frame = frames.popleft()[1]
            self.waiting -= len(frame)
            out.append(frame)
        return b"".join(out)

    def trickled(self, now_ns: int, bytes_per_s: int) -> bytes:
        """Take and return what a line of this speed delivered since it was last asked, frames in parts."""
        since_ns, self._served_ns = self._served_ns, now_ns
        room = int(bytes_per_s * min((now_ns - since_ns) / NS_PER_S, _BURST_S))
        frames, out = self._frames, bytearray()
        while len(out) < room and (self._begun or (frames and frames[0][0] <= now_ns)):
            rest = self._begun or memoryview(frames.popleft()[1])
            part = rest[: room - len(out)]
            self._begun = rest[len(part) :]
            out += part
        if not room and (self._begun or frames):
            self._served_ns = since_ns  # a slow line and an impatient clock: let the time add up
        self.waiting -= len(out)
        return bytes(out)

    def finish_frame(self) -> bytes:
        """Take and return the rest of a frame that a slow line had begun, so that others may write."""
        rest, self._begun = bytes(self._begun), memoryview(b"")
        self.waiting -= len(rest)
        return rest
