"""What a venue's protocol is to the server, and what the market is to a venue.

A venue does no I/O: the server hands it requests, frames and market changes with the time, and sends
what it returns. To add a venue, write ``venues/<venue>.py`` and add a row to ``venues.VENUES`` and
``profiles.VENUES``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self, cast, runtime_checkable

from libs.common.venues import venue_of
from simulator.profiles import instrument_at

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping, Sequence
    from decimal import Decimal
    from random import Random

    from libs.common.venues.venue import Instrument
    from simulator.candles import Candle
    from simulator.exchange_book import BookChange, ExchangeBook, Level
    from simulator.market import Market


@dataclass(frozen=True, slots=True)
class RestRequest:
    """An HTTP GET; `path` is what follows the venue's prefix, `client` the caller's address."""

    path: str
    query: Mapping[str, str]
    client: str
    as_of_ns: int | None = None  # when a fault stopped the data's clock

    def data_ns(self, now_ns: int) -> int:
        """Return the time as of which the data are."""
        return now_ns if self.as_of_ns is None else self.as_of_ns


@dataclass(frozen=True, slots=True)
class RestReply:
    """An HTTP answer; the body is JSON, but for the pages that a network puts before its venue."""

    body: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


class Frame(Protocol):
    """A book message to everyone subscribed to a topic; faults may ask for a spoilt version of it."""

    @property
    def topic(self) -> str:
        """Whose subscribers get it."""

    def text(self) -> str:
        """Return the true message."""

    def corrupted(self, random: Random) -> str | None:
        """Return it with damage that a careful client detects; None if none can be done to this one."""

    def crossed(self, random: Random) -> str:
        """Return it with a bid above the best ask, otherwise consistent."""


def crossing(bids: tuple[Level, ...], best_ask: int, random: Random, most_lots: int) -> tuple[Level, ...]:
    """Return the bids of a message with one above the best ask before them.

    Of its price the message says nothing else: where prices fell it deletes bids that stood there.
    """
    tick = best_ask + random.randint(1, 50)
    return ((tick, random.randint(1, most_lots)), *(level for level in bids if level[0] != tick))


@dataclass(frozen=True, slots=True)
class Update:
    """One change of a book on the wire: the same news to the subscribers of one or more topics."""

    symbol: str
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """A message that is no book: a trade, a best price."""

    symbol: str
    topic: str
    text: str


class Session(Protocol):
    """One client's connection."""

    @property
    def is_subscribed(self) -> bool:
        """Whether it listens to any topic."""

    @property
    def symbols(self) -> set[str]:
        """Canonical symbols of the topics it is subscribed to."""

    def receive(self, text: str, now_ns: int) -> list[str]:
        """Take a message of the client and return the replies, in order.

        Raises
        ------
        SessionRefusedError
            If the venue would close the connection.
        """

    def close(self) -> None:
        """Forget its subscriptions."""


@runtime_checkable
class TellsStatus(Protocol):
    """A venue that tells each client how its engine is, first and at each change."""

    system: str  # online, or what it is instead

    def status_message(self, session: Session) -> str:
        """Return that as it tells it to a client."""


@runtime_checkable
class AnnouncesCut(Protocol):
    """A session whose client is told that its connection will end."""

    def shutdown_notice(self, now_ns: int) -> str:
        """Return that as the venue tells it."""


class SessionRefusedError(Exception):
    """The venue closes this connection; the text is the reason it gives."""


class Rest(Protocol):
    """A venue's REST routes."""

    def answer(self, request: RestRequest, now_ns: int) -> RestReply:
        """Answer an HTTP GET."""

    def too_many(self, retry_after_s: int) -> RestReply:
        """Return the answer to a client that asks too often."""

    def failed(self, status: int) -> RestReply:
        """Return the answer of a server in trouble."""


class AnswersRest(Protocol):
    """A venue as its REST clients see it."""

    def rest(self, request: RestRequest, now_ns: int) -> RestReply:
        """Answer an HTTP GET."""

    def rest_symbol(self, request: RestRequest) -> str | None:
        """Return the canonical symbol a request is about, if it is about one."""

    def rate_limited(self, retry_after_s: int) -> RestReply:
        """Return the venue's answer to a client that asks too often."""

    def failed(self, status: int) -> RestReply:
        """Return the venue's answer when it is out of order."""


class Venue(ABC):
    """An exchange's protocols over the simulated market."""

    sockets: re.Pattern[str]  # of WebSocket paths, after the prefix
    ping_s = 20.0  # how often the server pings
    pong_timeout_s = 60.0  # how long it waits for the answer
    heartbeat: str | None = None  # sent to a subscribed client after a second of silence
    symbol_parameter = "symbol"  # of REST queries
    _rest: Rest

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.subscribers = Subscribers()
        self.instruments: Mapping[str, Instrument] = exchange.instruments  # by canonical symbol
        self.symbol_of = {name: symbol for symbol, name in exchange.spelling.items()}
        self._connections = 0

    @abstractmethod
    def connect(self, path: str, query: Mapping[str, str], now_ns: int) -> tuple[Session, list[str]]:
        """Open a session and return what the venue says first."""

    @abstractmethod
    def publish(self, change: BookChange) -> list[Update | Notice]:
        """Return what goes out at once because of a change."""

    @abstractmethod
    def flush(self, now_ns: int, *, force: bool = False) -> list[Update | Notice]:
        """Return the batches that are due, or with `force` all that is held back."""

    @property
    @abstractmethod
    def due_ns(self) -> int:
        """When `flush` has something to return, as far as one can tell now."""

    @abstractmethod
    def sequence(self, symbol: str) -> int:
        """Return the number a client's book carries when it has everything sent so far."""

    def rest(self, request: RestRequest, now_ns: int) -> RestReply:
        """Answer an HTTP GET."""
        return self._rest.answer(request, now_ns)

    def rest_symbol(self, request: RestRequest) -> str | None:
        """Return the canonical symbol a request is about, if it is about one."""
        return self.symbol_of.get(request.query.get(self.symbol_parameter, ""))

    def rate_limited(self, retry_after_s: int) -> RestReply:
        """Return the venue's answer to a client that asks too often."""
        return self._rest.too_many(retry_after_s)

    def failed(self, status: int) -> RestReply:
        """Return the venue's answer when it is out of order."""
        return self._rest.failed(status)


class Subscribers:
    """Who listens to which topic."""

    def __init__(self) -> None:
        self._sessions: defaultdict[str, dict[Session, None]] = defaultdict(dict)

    def add(self, topic: str, session: Session) -> None:
        """Subscribe a session; again is the same as once."""
        self._sessions[topic][session] = None

    def remove(self, topic: str, session: Session) -> None:
        """End a subscription; one that is not there is ignored."""
        self._sessions[topic].pop(session, None)
        if not self._sessions[topic]:
            del self._sessions[topic]

    def of(self, topic: str) -> Sequence[Session]:
        """Return the sessions of a topic in the order of their subscriptions."""
        return tuple(self._sessions[topic]) if topic in self._sessions else ()

    def __contains__(self, topic: str) -> bool:
        return topic in self._sessions


class Exchange:
    """The market as one venue sees it: its books, its spelling, the number of digits of its texts."""

    def __init__(self, market: Market, venue: str) -> None:
        self.venue = venue
        self._market = market
        self.earliest_ns = market.earliest_ns
        self.derivatives = market.derivatives
        self.symbols = tuple(symbol for name, symbol in market.pairs if name == venue)
        self.instruments = {symbol: instrument_at(venue, symbol) for symbol in self.symbols}
        spell = venue_of(venue).spell
        self.spelling = {symbol: spell(symbol) for symbol in self.symbols}

    def book(self, symbol: str) -> ExchangeBook:
        """Return the truth about a canonical symbol."""
        return self._market.book(self.venue, symbol)

    def candles(self, symbol: str, interval: str, first_ns: int, last_ns: int, now_ns: int) -> list[Candle]:
        """Return the candles that open in [first, last], the running one included."""
        return self._market.candles(self.venue, symbol, interval, first_ns, last_ns, now_ns)


class TopicSession:
    """What a client of a venue with named topics listens to."""

    separator: str  # before the pair's name, at the end of a topic

    def __init__(self, venue: Venue, connection: int) -> None:
        self._subscribers = venue.subscribers
        self._symbol_of = venue.symbol_of
        self._connection = f"{connection:08x}"
        self._topics: dict[str, None] = {}

    @property
    def is_subscribed(self) -> bool:
        """Whether it listens to anything."""
        return bool(self._topics)

    @property
    def symbols(self) -> set[str]:
        """Canonical symbols of its topics."""
        return {self._symbol_of[topic.rpartition(self.separator)[2]] for topic in self._topics}

    def close(self) -> None:
        """Forget its topics."""
        for topic in list(self._topics):
            self._leave(topic)

    def _join(self, topic: str) -> None:
        self._topics[topic] = None
        self._subscribers.add(topic, cast("Session", self))

    def _leave(self, topic: str) -> None:
        self._topics.pop(topic, None)
        self._subscribers.remove(topic, cast("Session", self))


@dataclass(frozen=True, slots=True)
class Digits:
    """Renders whole steps (ticks or lots) as decimal text.

    Parameters
    ----------
    places
        Decimal places of one step: 0.01 has 2.
    zeros
        Zeros appended to pad the text to the venue's width.
    """

    places: int
    zeros: str = ""

    @classmethod
    def of(cls, step: Decimal, width: int | None = None) -> Digits:
        """Return the rendering of a step, padded to `width` decimal places.

        Raises
        ------
        ValueError
            If the step is not a negative power of ten.
        """
        _, digits, exponent = step.normalize().as_tuple()
        if digits != (1,) or not isinstance(exponent, int) or exponent > 0:
            raise ValueError(f"a step of {step} is not 1, 0.1, 0.01 ...")
        places = -exponent
        return cls(places, "0" * (max(width or 0, places) - places))

    def text(self, steps: int) -> str:
        """Return 123456 as 1234.56 for two places."""
        if not self.places:
            return f"{steps}.{self.zeros}" if self.zeros else str(steps)
        digits = f"{steps:0{self.places + 1}d}"
        return f"{digits[: -self.places]}.{digits[-self.places :]}{self.zeros}"


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair and how its numbers are written."""

    symbol: str
    name: str  # as the venue spells it
    price: Digits
    size: Digits

    @classmethod
    def all_of(cls, exchange: Exchange, width: int | None = None) -> dict[str, Self]:
        """Return an exchange's pairs by canonical symbol, their numbers padded to `width` decimal places."""
        return {
            symbol: cls(
                symbol,
                exchange.spelling[symbol],
                Digits.of(instrument.tick, width),
                Digits.of(instrument.lot, width),
            )
            for symbol, instrument in exchange.instruments.items()
        }


def decimals(step: Decimal) -> int:
    """Return the decimal places of a step: 2 for 0.01."""
    return Digits.of(step).places


def number(instrument_step: Decimal, steps: int) -> float:
    """Return whole steps as a number in the unit of the step."""
    return float(instrument_step * steps)


def level_floats(instrument: Instrument, levels: Sequence[tuple[int, int]]) -> list[tuple[float, float]]:
    """Return levels as (price in quote units, size in base units)."""
    return [(number(instrument.tick, tick), number(instrument.lot, lots)) for tick, lots in levels]
