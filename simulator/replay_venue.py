"""What a venue's replay is: which recorded frames are whose, and what a client hears that asks.

A venue is pure: recorded frames and clients' requests go in, what to send comes out; it keeps the books of
what was sent so far. Adding a venue is one class, and one line in ``replay_catalogue.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import msgspec

from libs.common.instruments import UnknownSymbolError, canonical_symbol
from simulator.replay_books import ReplayedBook

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from simulator.recordings import Frame, RestReply
    from simulator.replay_books import Truth


class Session:
    """What one socket has asked for; the shell changes it as answers say."""

    def __init__(self, number: int, *, wrapped: bool = False) -> None:
        self.number = number  # of this connection since the start
        self.wrapped = wrapped  # wants each frame in the venue's envelope, where it has one
        self.topics: dict[str, None] = {}  # in the order of subscription


class Delivery(msgspec.Struct, frozen=True):
    """A recorded frame that belongs to the subscribers of a topic."""

    topic: str
    wrapped: str  # in the venue's envelope
    bare: str  # without; the same where the venue has none


class Released(msgspec.Struct, frozen=True):
    """A recorded reply whose time has come: whoever waits for this book gets exactly this body."""

    spelling: str  # of the symbol, the venue's
    body: str


Played: TypeAlias = Delivery | Released | None  # None: belongs to no subscriber


class Answer(msgspec.Struct, frozen=True):
    """What a request brings: frames to send, then topics to add or drop, all before anything else is sent."""

    frames: tuple[str, ...] = ()
    subscribed: tuple[str, ...] = ()
    unsubscribed: tuple[str, ...] = ()


class HttpReply(msgspec.Struct, frozen=True):
    """A REST answer; the body is JSON."""

    status: int
    body: str


class Awaiting(msgspec.Struct, frozen=True):
    """The answer is further on in the recording: wait until it is released."""

    spelling: str


B = TypeVar("B", bound=ReplayedBook)


class Replay(ABC, Generic[B]):
    """One exchange's side of a replay."""

    venue: str
    socket_paths: tuple[str, ...]  # aiohttp route patterns
    rest_paths: tuple[str, ...]
    # Sent on a socket that was silent for a second; None: the WebSocket's pings suffice.
    heartbeat: str | None = None

    def __init__(self) -> None:
        self.unnamed: set[str] = set()  # spellings that no canonical symbol fits
        self._books: dict[str, B] = {}  # by topic or spelling

    @abstractmethod
    def owns(self, url: str) -> bool:
        """Return whether a recorded connection or request to `url` went to this venue."""

    @abstractmethod
    def learn(self, record: Frame | RestReply) -> None:
        """Take note of a record before the replay starts: which books, channels and replies there will be."""

    @abstractmethod
    def play(self, record: Frame | RestReply) -> Played:
        """Bring the books up to this record and say whose it is; records come in order, each once."""

    @abstractmethod
    def request(self, session: Session, text: str, now: int) -> Answer:
        """Return what a client gets for having sent `text` at `now`, ns UTC."""

    @abstractmethod
    def rest(self, path: str, query: Mapping[str, str], now: int) -> HttpReply | Awaiting:
        """Return the answer to ``GET path`` at `now`, ns UTC."""

    def connect(self, session: Session, path: str, query: Mapping[str, str]) -> Answer:  # noqa: ARG002 -- some venues'
        """Return what a client gets for having connected to `path`; most venues say nothing."""
        return Answer()

    def forget_books(self) -> None:
        """Know no book any more: the recording does not go on from here."""
        for book in self._books.values():
            book.forget()

    def symbols(self) -> tuple[str, ...]:
        """Return the canonical symbols whose books this recording can give, sorted."""
        return tuple(sorted({book.symbol for book in self._books.values()}))

    def truth(self, symbol: str) -> Truth | None:
        """Return the deepest book of a symbol as of the last frame sent; None while it is not known.

        Raises
        ------
        KeyError
            If the recording has no such book.
        """
        books = [book for book in self._books.values() if book.symbol == symbol]
        if not books:
            raise KeyError(symbol)
        return max(books, key=lambda book: book.depth or 0).truth()

    def is_book(self, topic: str) -> bool:
        """Return whether subscribers of `topic` follow a book of this recording."""
        return topic in self._books

    def symbol_of(self, spelling: str, read: Callable[[str], str] = canonical_symbol) -> str | None:
        """Return the canonical symbol of a venue's spelling; None, and note it, if none fits."""
        try:
            return read(spelling)
        except UnknownSymbolError:
            self.unnamed.add(spelling)
            return None


ReplayVenue: TypeAlias = Replay[Any]


def dumps(value: Mapping[str, object] | Sequence[object]) -> str:
    """Return compact JSON, as exchanges send it."""
    return msgspec.json.encode(value).decode()
