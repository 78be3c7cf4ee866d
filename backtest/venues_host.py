"""The venues service on the bus: its core, with dictionaries where Faust has tables.

Tops reach the core through their view alone, healths, fills and commands as messages, each when it arrives,
as in `services.venues.app`; metrics are told at once, where that shell lets those of a moment go together.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, cast

from backtest.following import follow
from libs.common.cloudevents import position_id
from libs.common.codec import UndecodableMessageError, UnknownMessageError
from libs.common.command_rules import refused_as_internal
from libs.common.events import BookTop, ScoreVenues, VenueMetrics
from libs.common.time_units import NS_PER_S
from libs.common.topics import (
    EXECUTION_FILLS,
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    VENUES_COMMANDS,
    VENUES_METRICS,
    book_key,
)
from libs.common.venue_fees import fees_from
from libs.common.venues import VENUES
from libs.common.views import View
from services.venues.answers import Answers
from services.venues.doors import Tops, fault_of
from services.venues.handlers import Place, State, Unknowns, handle
from services.venues.lags import Arrivals
from services.venues.replies import letter, reply
from services.venues.settings import policy_of

if TYPE_CHECKING:
    from backtest.bus import Bus, Record
    from libs.common.events import CommandRejected, Event, VenueScored
    from services.venues.handlers import Message
    from services.venues.settings import VenuesSettings

SCORED_NS: Final = NS_PER_S  # as old a word may be of a book that is compared with others


class VenuesHost:
    """Runs the core over all partitions.

    Attributes
    ----------
    counts
        Messages handled, refused at the door, and those that the handler raised on.
    failures
        Why it raised, the first few.
    """

    def __init__(self, bus: Bus, settings: VenuesSettings) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self._bus = bus
        self._tops = Tops()
        healths: View[Any] = View(L2_BOOK_HEALTH)
        self._arrivals = Arrivals()
        self._state = State(
            measurements={},
            lags={},
            answers=Answers({}),
            tops=self._tops.items,
            healths=healths.items,
            arrivals=self._arrivals,
            policy=policy_of(settings),
            unknowns=Unknowns(settings.unknown_request_ms, settings.unknown_volatility),
            reference_notional=settings.reference_notional,
            holding_s=settings.holding_s,
            tiers=fees_from(settings.fees),
        )
        follow(bus, (self._tops, healths), self._note)
        for topic in (L2_BOOK_HEALTH, EXECUTION_FILLS, VENUES_COMMANDS):
            bus.subscribe(topic, self._take)

    def _note(self, record: Record) -> None:
        """Count a top that came; keep one that no honest owner tells."""
        if record.topic is not L2_BOOK_TOPS:
            return
        top = cast("BookTop | None", record.event)
        if (wrong := self._tops.faults.pop((record.partition, record.offset), None)) is not None:
            self._bus.reject(record, UndecodableMessageError(wrong))
        elif top is None:
            self._arrivals.forget(record.key)
        elif top.venue in VENUES:
            self._arrivals.note(top, record.offset)

    def _take(self, record: Record) -> None:
        try:
            message = cast("Message | None", record.event)
        except UndecodableMessageError as error:
            self._refuse(record, error)
            return
        if message is not None and (wrong := fault_of(message)) is not None:
            self._refuse(record, UndecodableMessageError(wrong))
            return
        if message is None:
            if record.topic is L2_BOOK_HEALTH:
                self._bus.publish(VENUES_METRICS, record.key, None)
            return
        if isinstance(message, ScoreVenues):
            self._bus.look(record.partition, SCORED_NS)
        now, place = self._bus.now, Place(record.partition, record.offset)
        events: list[Event]
        try:
            events = handle(self._state, message, place, now)
        except Exception as error:  # noqa: BLE001 -- as live: told and kept, and a command is refused
            events = self._fail(record, error)
            if isinstance(message, ScoreVenues):
                refused = refused_as_internal(message, message.symbol, "venues", error, record.source, now)
                events = [refused]
        self.counts["handled"] += 1
        for event in events:
            if isinstance(event, VenueMetrics):
                self._bus.publish(VENUES_METRICS, book_key(event.venue, event.symbol), event)
            else:
                self._answer(record, cast("ScoreVenues", message), cast("VenueScored", event))

    def _answer(self, record: Record, command: ScoreVenues, answer: VenueScored | CommandRejected) -> None:
        fallback = position_id(record.topic.name, record.partition, record.offset)
        self._bus.send(reply(command, answer, record.headers, fallback, self._bus.place))

    def _refuse(self, record: Record, error: UndecodableMessageError) -> None:
        self.counts["refused"] += 1
        if isinstance(error, UnknownMessageError) and record.topic is not VENUES_COMMANDS:
            return
        self._letter(record, str(error))

    def _fail(self, record: Record, error: Exception) -> list[Event]:
        self.counts["failures"] += 1
        self.failures = [*self.failures, f"{record.source}: {type(error).__name__}: {error}"][:100]
        self._letter(record, "", error)
        return []

    def _letter(self, record: Record, reason: str, raised: Exception | None = None) -> None:
        kept = letter(
            record.key, record.value or b"", reason, record.source, record.headers, self._bus.place, raised
        )
        self._bus.send(kept)
