"""How much of what a connection was given its client has taken; a transport in front of the real one."""

from __future__ import annotations

import fcntl
import sys
import termios
from typing import Any, Protocol


class Transport(Protocol):
    """What is needed of a transport of asyncio."""

    def write(self, data: bytes) -> None:
        """Write, sooner or later."""

    def is_closing(self) -> bool:
        """Tell whether it is closed, or will be once all is written."""

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be written."""

    def get_extra_info(self, name: str) -> Any:  # noqa: ANN401 -- asyncio's
        """Return what is known of the connection by this name, None if nothing is."""


class CountedTransport:
    """Passes everything on, and counts what is written."""

    __slots__ = ("_inner", "_write", "is_closing", "written")

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self._write = inner.write
        self.is_closing = inner.is_closing
        self.written = 0  # bytes, since the connection was made

    def write(self, data: bytes) -> None:
        """Write, as the transport does."""
        self.written += len(data)
        self._write(data)

    @property
    def taken(self) -> int:
        """Bytes that the client's side has taken."""
        return self.written - self.unsent

    @property
    def unsent(self) -> int:
        """Bytes that wait here, in the process and in the system, which frees its own a third at a time."""
        return self._inner.get_write_buffer_size() + _queued(self._inner)

    def __getattr__(self, name: str) -> object:
        """Return everything else of the transport itself."""
        return getattr(self._inner, name)


def _queued(transport: Transport) -> int:
    """Return how many bytes of a socket the other side has not acknowledged; 0 where nobody can tell."""
    socket = transport.get_extra_info("socket")
    if socket is None:
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except (OSError, ValueError):  # it is closed, or no socket of this system
        return 0


class Patience:
    """Tells when a client has taken nothing of what waits for it for too long.

    Parameters
    ----------
    seconds
        How long it may take nothing.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._taken = 0
        self._since: float | None = None  # nothing was taken since this look; None: nothing waited

    def is_over(self, taken: int, unsent: int, now: float) -> bool:
        """Look at a connection; `now` is in seconds of a clock that does not go back."""
        if not unsent:
            self._since = None
        elif self._since is None or taken != self._taken:
            self._since = now
        self._taken = taken
        return self._since is not None and now - self._since >= self._seconds
