"""What stands between a venue and its client's socket: frame bytes and the delay of the line."""

from __future__ import annotations

from collections import deque
from typing import Final

_TEXT: Final = 0x81  # FIN and opcode text, RFC 6455 section 5.2
_SHORT: Final = 126
_MEDIUM: Final = 1 << 16


def text_frame(text: str) -> bytes:
    """Return an unmasked WebSocket text frame: the same bytes serve every subscriber.

    References
    ----------
    RFC 6455, section 5.2: the length is 7 bits, or 126 and 16 bits, or 127 and 64 bits.
    """
    payload = text.encode()
    size = len(payload)
    if size < _SHORT:
        return bytes((_TEXT, size)) + payload
    if size < _MEDIUM:
        return bytes((_TEXT, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_TEXT, 127)) + size.to_bytes(8, "big") + payload


class Line:
    """Bytes on their way to one client; what was sent first arrives first."""

    def __init__(self) -> None:
        self._frames: deque[tuple[int, bytes]] = deque()
        self._last_due_ns = 0

    def __len__(self) -> int:
        return len(self._frames)

    def send(self, frame: bytes, due_ns: int) -> None:
        """Put a frame on the line, to arrive at `due_ns` but after all before it."""
        self._last_due_ns = max(self._last_due_ns, due_ns)
        self._frames.append((self._last_due_ns, frame))

    def arrived(self, now_ns: int) -> bytes:
        """Take and return everything that has arrived, as one run of bytes."""
        frames = self._frames
        if not frames or frames[0][0] > now_ns:
            return b""
        out = []
        while frames and frames[0][0] <= now_ns:
            out.append(frames.popleft()[1])
        return b"".join(out)
