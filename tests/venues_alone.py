"""Venues as one partition, without Faust and Kafka: the shell's doors, its views, and tables of bytes."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import msgspec

from libs.common.codec import UndecodableMessageError, decode, encode
from libs.common.events import BookHealth, BookTop, CommandRejected, Event, Refusal
from libs.common.topics import L2_BOOK_HEALTH
from libs.common.views import View
from services.venues.answers import Answer, Answers
from services.venues.doors import Tops, fault_of
from services.venues.handlers import Place, State, Unknowns, handle
from services.venues.lags import Arrivals, Lags
from services.venues.registry import Measurement
from services.venues.settings import VenuesSettings, policy_of
from tests.venue_market import NOW

if TYPE_CHECKING:
    from libs.common.topics import Topic
    from services.venues.handlers import Message

T = TypeVar("T", bound=msgspec.Struct)


class BytesTable(MutableMapping[bytes, T], Generic[T]):
    """A table that holds what its changelog would: bytes."""

    def __init__(self, kind: type[T]) -> None:
        self.held: dict[bytes, bytes] = {}
        self._kind = kind

    def __getitem__(self, key: bytes) -> T:
        return msgspec.msgpack.decode(self.held[key], type=self._kind)

    def __setitem__(self, key: bytes, value: T) -> None:
        self.held[key] = msgspec.msgpack.encode(value)

    def __delitem__(self, key: bytes) -> None:
        del self.held[key]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)

    @property
    def size(self) -> int:
        """Bytes of all keys and values."""
        return sum(len(key) + len(value) for key, value in self.held.items())


class Venues:
    """One partition of venues, told one record after the other."""

    def __init__(self) -> None:
        settings = VenuesSettings()
        self.now = NOW
        self.tops = Tops()
        self.arrivals = Arrivals()
        self.healths: View[BookHealth] = View(L2_BOOK_HEALTH)
        self.measurements = BytesTable(Measurement)
        self.lags = BytesTable(Lags)
        self.answers = BytesTable(Answer)
        self.letters: list[str] = []  # why records became dead letters
        self._offset = 0
        self._state = State(
            measurements=self.measurements,
            lags=self.lags,
            answers=Answers(self.answers),
            tops=self.tops.items,
            healths=self.healths.items,
            arrivals=self.arrivals,
            policy=policy_of(settings),
            unknowns=Unknowns(settings.unknown_request_ms, settings.unknown_volatility),
            reference_notional=settings.reference_notional,
        )

    def tell(self, topic: Topic, message: Event, key: bytes = b"binance:BTC-USDT") -> list[Event]:
        """Hand over a record as it came; what follows can be written, and no refusal is internal."""
        value = encode(message)
        try:
            told = decode(topic, value)
        except UndecodableMessageError as error:
            self.letters.append(str(error))
            return []
        self.show(topic, told, key)
        self._offset += 1
        if (wrong := fault_of(cast("BookTop | Message", told))) is not None:
            self.letters.append(wrong)
            return []
        if isinstance(told, BookTop):
            self.arrivals.note(told, self._offset)
            return []
        events = handle(self._state, cast("Message", told), Place(0, self._offset), self.now)
        for event in events:
            encode(event)
            if isinstance(event, CommandRejected):
                assert event.detail
                assert event.refusal is not Refusal.INTERNAL
        return events

    def show(self, topic: Topic, message: Event, key: bytes) -> None:
        """Let the view of a topic, if there is one, hold a record."""
        for view in (self.tops, self.healths):
            if view.topic is topic:
                cast("View[Event]", view).fold(0, view.position(0), key, message)
