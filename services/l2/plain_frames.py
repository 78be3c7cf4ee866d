"""`PlainFrames`: the messages of a WebSocket that are one frame each, taken out of its bytes.

A library's parser takes each frame apart in many steps, and nearly all that an exchange sends is of one kind:
unmasked, unfragmented, without an extension. Those are cut out here. Pings and pongs are handed on whole, and
the first frame of any other kind (a close, a fragment, one that is too large or malformed) is handed on with
all that follows, so that the library stands where a frame begins and judges it.

Source: RFC 6455, 5.2, "Base Framing Protocol".
"""

from __future__ import annotations

from typing import Final

_DATA: Final = frozenset({0x81, 0x82})  # FIN without a reserved bit, and text or binary
_SIGNS_OF_LIFE: Final = frozenset({0x89, 0x8A})  # ping and pong
_LEAST: Final = 2  # bytes of a frame
_SHORT: Final = 125  # the longest length that is in the second byte itself, and the longest ping
_TWO_BYTES, _EIGHT_BYTES = 126, 127  # in the second byte: the length follows in so many; above, it is masked


class PlainFrames:
    """What a server sends on one connection, from the end of its handshake on; changed in place.

    Parameters
    ----------
    most_bytes
        The largest message that is taken here.

    Attributes
    ----------
    ended
        Whether all that comes is handed on from here on.
    """

    def __init__(self, most_bytes: int) -> None:
        self.ended = False
        self._most_bytes = most_bytes
        self._begun = bytearray()  # a frame that is not whole yet
        self._needed = 0  # bytes of it before anything can be said of it

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Return the messages that are whole with these bytes, and what is handed on."""
        if self.ended:
            return [], data
        if self._begun:
            self._begun += data
            if len(self._begun) < self._needed:
                return [], b""
            data = bytes(self._begun)
            self._begun.clear()
        messages: list[bytes] = []
        others: list[bytes] = []
        at, size = 0, len(data)
        while size - at >= _LEAST:
            body, length = _extent(data, at)
            ends = body + length
            if data[at] in _DATA and 0 <= length <= self._most_bytes:
                if ends > size:
                    break
                messages.append(data[body:ends])
            elif data[at] in _SIGNS_OF_LIFE and 0 <= length <= _SHORT:
                if ends > size:
                    break
                others.append(data[at:ends])
            else:
                self.ended = True
                return messages, b"".join([*others, data[at:]])
            at = ends
        if at < size:
            self._begun += data[at:]
            self._needed = _LEAST if size - at < _LEAST else ends - at
        return messages, b"".join(others)


def _extent(data: bytes, at: int) -> tuple[int, int]:
    """Return where the frame at a place has its content, and of what length; -1 if it is masked.

    Of a length that is not whole, what is there says the least that it can be.
    """
    length = data[at + 1]
    if length <= _SHORT:
        return at + 2, length
    if length == _TWO_BYTES:
        return at + 4, int.from_bytes(data[at + 2 : at + 4])
    if length == _EIGHT_BYTES:
        return at + 10, int.from_bytes(data[at + 2 : at + 10])
    return at + 2, -1
