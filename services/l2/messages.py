"""What the l2 core is told and what it asks its shell to do; topic events are in ``libs.common.events``."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from libs.common.events import Event

Purpose: TypeAlias = Literal["snapshot", "candles-1m", "candles-1d"]


class Message(msgspec.Struct, frozen=True, gc=False):
    """An input of the core."""


class BookWanted(Message, frozen=True, gc=False):
    """A subscription exists, and this process is to keep the book."""

    venue: str
    symbol: str
    epoch: int = 0  # which an earlier owner reached; ours rise above it


class BookUnwanted(Message, frozen=True, gc=False):
    """The subscription ended: drop this book."""

    venue: str
    symbol: str


class BookReleased(Message, frozen=True, gc=False):
    """Another process keeps this book from now on."""

    venue: str
    symbol: str


class SocketOpened(Message, frozen=True, gc=False):
    """The connection asked for is open and its subscribe frames are sent."""

    key: str  # venue:symbol
    connection: int  # numbered by the core; anything said of an older one is ignored


class FrameReceived(Message, frozen=True, gc=False):
    """One frame, as it came out of the socket; `now` is its time of receipt."""

    key: str
    connection: int
    raw: bytes


class SocketClosed(Message, frozen=True, gc=False):
    """The connection ended or could not be opened."""

    key: str
    connection: int
    reason: str


class ReplyReceived(Message, frozen=True, gc=False):
    """A REST request was answered; status 0 means that no answer came, and `body` says why."""

    key: str
    request: int
    purpose: Purpose
    status: int
    body: bytes
    retry_after_s: float | None = None
    took_ns: int | None = None  # from asking to the first byte of the answer; None where none came


class Tick(Message, frozen=True, gc=False):
    """Time passed."""


L2Message: TypeAlias = (
    BookWanted
    | BookUnwanted
    | BookReleased
    | SocketOpened
    | FrameReceived
    | SocketClosed
    | ReplyReceived
    | Tick
)


class Effect(msgspec.Struct, frozen=True, gc=False):
    """Something the shell must do."""


class OpenSocket(Effect, frozen=True, gc=False):
    """Connect, send the subscribe frames, then report; every frame and the end are reported too."""

    key: str
    connection: int
    url: str
    subscribe: tuple[str, ...]
    ping: str | None  # sent every `ping_interval_s`, where the venue wants its own keep-alive
    ping_interval_s: float


class CloseSocket(Effect, frozen=True, gc=False):
    """Drop the connection of this book, if any; its end need not be reported."""

    key: str
    connection: int


class Fetch(Effect, frozen=True, gc=False):
    """GET an address and report the reply."""

    key: str
    request: int
    purpose: Purpose
    url: str


class DeadLetter(Effect, frozen=True, gc=False):
    """Keep a frame or reply that could not be read."""

    key: str
    raw: bytes
    reason: str


class NoFeed(Effect, frozen=True, gc=False):
    """Say that a book is wanted of a venue without a feed."""

    key: str


class Forget(Effect, frozen=True, gc=False):
    """Write tombstones for the state of a dropped book."""

    key: str


Output: TypeAlias = Event | Effect
