"""`L2Host`: the core of l2 on the bus, with an `Exchange` in place of sockets and REST.

It does what the shell of l2 does: what `handle` returns for topics is published in its order, and what it
asks for is done by the exchange. In place of a tick every 25 ms there is one when `next_due` says so.

It tells its books all the time, or as asked. As asked, each change of a top, of a state and of a doubt is
still told at once, and so are trades and candles; what is left out until somebody looks, or for `UNASKED_NS`,
is what l2 repeats while nothing changes: a health each second, and tops. Who looks sees what a feed that
repeats has told by a hop ago, but for four things, none of which says that a book may be used:

- a health is of the moment looked at or, for who compares no venues, up to `OLD_NS` before it, where the
  feed's is up to a second old; whoever that is waits five seconds for one;
- `messages`, `lag_ns` and the like count what came during that hop, `told_seq` is of the last health told;
- while a change of a state is on its way, the healths of its symbol arrive behind it, a hop later;
- a top that is on its way is not repeated before it.

Measurements that venues fold from healths are of fewer of them. Returns of a minute are of its first mid, as
ever, and counts of failures fade by time; a basis has a pair of samples, a second apart, in ten seconds, and
is believed later. An open candle is told after trades alone. So a run that is told as asked and one that is
told all the time part at the first decision that differs, and trade differently from there on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from backtest.bus import SOURCE
from backtest.telling import show_books
from libs.common.dead_letters import dead_letter
from libs.common.effects import Outgoing
from libs.common.events import BookHealth, BookTop
from libs.common.kafka import partition_of
from libs.common.time_units import NS_PER_MS, NS_PER_S
from libs.common.topics import DEAD_LETTERS, L2_BOOK_HEALTH, L2_BOOK_TOPS
from services.l2.app import policy_of
from services.l2.feeds import FEEDS
from services.l2.handlers import State, due_after_frame, handle, next_due, stop
from services.l2.messages import (
    BookAsked,
    BookReleased,
    BookWanted,
    CandlesKnown,
    CloseSocket,
    DeadLetter,
    Effect,
    Fetch,
    Forget,
    FrameReceived,
    OpenSocket,
    PongReceived,
    Tick,
)
from services.l2.policy import NEVER
from services.l2.posting import posted
from services.l2.publication import next_beat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from backtest.bus import Bus
    from libs.common.events import Event, InstrumentTerms
    from services.l2.messages import L2Message, Output
    from services.l2.settings import L2Settings

    Report = Callable[[L2Message], None]

BEAT_NS: Final = 25 * NS_PER_MS  # of the live shell
UNASKED_NS: Final = 10 * NS_PER_S  # so often all books are told, and a second later, though nobody asks


class Exchange(Protocol):
    """What l2 is connected to.

    It reports with the messages of a shell (`SocketOpened`, `FrameReceived`, `PongReceived`, `SocketClosed`,
    `ReplyReceived`) and at their times, from calls of the bus: never before `open` or `fetch` has returned.
    """

    def open(self, order: OpenSocket, report: Report) -> None:
        """Connect, send the subscribe frames, and report from then on."""

    def close(self, order: CloseSocket) -> None:
        """Let a connection go, if there is one; nothing more is reported of it."""

    def fetch(self, order: Fetch, report: Report) -> None:
        """GET an address and report the reply."""


class L2Host:
    """One l2 process on the bus.

    Parameters
    ----------
    always
        Whether books are told all the time; else as asked.
    """

    def __init__(self, bus: Bus, settings: L2Settings, exchange: Exchange, *, always: bool = True) -> None:
        policy = replace(policy_of(settings), repeats=always)
        self.state = State(FEEDS, settings.bases, policy)
        self._bus = bus
        self._exchange = exchange
        self._left: dict[str, tuple[int, InstrumentTerms | None]] = {}  # by a book that is not kept now
        self._wakes: dict[str, int] = {}  # when each book's next tick is, by venue:symbol
        self._told_ts: dict[int, int] = {}  # when its books were shown, by partition
        if not always:
            bus.before_looking(self.freshen)
            self._look(None)

    def want(self, books: Iterable[tuple[str, str]]) -> None:
        """Keep books (venue and symbol) from now on."""
        for venue, symbol in books:
            key = f"{venue}:{symbol}"
            epoch, terms = self._left.get(key, (0, None))
            self.report(BookWanted(venue, symbol, epoch, terms))
            self.report(CandlesKnown(key, ()))

    def stop(self, reason: str) -> None:
        """Keep no book any more: each says that its feed ended, and nothing else until it is wanted again."""
        self._perform(stop(self.state, reason, self._bus.now))
        for key, session in tuple(self.state.sessions.items()):
            self._left[key] = session.maintainer.epoch, session.life.instruments.terms
            self._perform(handle(self.state, BookReleased(*key.split(":")), self._bus.now))
        self._wakes.clear()

    def report(self, message: L2Message) -> None:
        """Give the core a message, and do what it says."""
        now = self._bus.now
        self._perform(handle(self.state, message, now))
        if isinstance(message, FrameReceived):
            self._wake_at(max(due_after_frame(self.state, message.key, now), now), message.key)
        elif isinstance(message, PongReceived):
            self._arm(message.key)
        else:
            for key in self.state.sessions:  # the venue may serve none of them, or all again
                self._arm(key)

    def freshen(self, ts: int, partition: int | None, old_ns: int) -> None:
        """Show the healths of a partition's books, and what of their tops was to be told again by `ts`.

        All of them or none, as venues are compared with each other at each health.
        """
        bus = self._bus
        owed: list[Output] = []
        asked: set[int] = set()
        for key in self.state.sessions:
            place = bus.place(key.encode())
            if partition in (None, place) and ts - self._told_ts.get(place, 0) >= old_ns:
                asked.add(place)
                owed += handle(self.state, BookAsked(key), ts)
        self._told_ts.update(dict.fromkeys(asked, ts))
        ready = []
        for event in owed:
            if isinstance(event, BookTop | BookHealth):
                (topic,), record_key, _ = posted(event, ts)
                if not bus.flies(topic, bus.place(record_key)):
                    ready.append(event)
                elif isinstance(event, BookHealth):
                    bus.publish(topic, record_key, event)
        show_books(bus, ready)

    def _look(self, _: None) -> None:
        """Tell all books, again a second later, and come again after a while."""
        bus = self._bus
        bus.look(None, 0)
        beat = next_beat(bus.now, UNASKED_NS)
        again = bus.now + NS_PER_S
        bus.at(again if again % UNASKED_NS == NS_PER_S else beat, self._look, rank=SOURCE)

    def _arm(self, key: str, *, ticked: bool = False) -> None:
        """Let a book's next tick come when it is due; what a tick has left due waits for another beat."""
        now = self._bus.now
        due = next_due(self.state, key, now)
        if due <= now:
            due = now + BEAT_NS if ticked else now
        self._wake_at(due, key)

    def _wake_at(self, due: int, key: str) -> None:
        if due < self._wakes.get(key, NEVER):
            self._wakes[key] = due
            self._bus.at(due, self._tick, key, SOURCE)

    def _tick(self, key: str) -> None:
        if self._wakes.get(key) != self._bus.now:
            return  # another one came before it
        del self._wakes[key]
        self._perform(handle(self.state, Tick(key), self._bus.now))  # nearly always there is what to do
        self._arm(key, ticked=True)

    def _perform(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if isinstance(output, Effect):
                self._act(output)
            else:
                self._post(output)

    def _post(self, event: Event) -> None:
        topics, key, _ = posted(event, self._bus.now)
        for topic in topics:
            self._bus.publish(topic, key, event)

    def _act(self, effect: Effect) -> None:
        match effect:
            case OpenSocket():
                self._exchange.open(effect, self.report)
            case CloseSocket():
                self._exchange.close(effect)
            case Fetch():
                self._exchange.fetch(effect, self.report)
            case DeadLetter(key=key, reason=reason):
                letter_key, value, headers = dead_letter(key.encode(), effect.raw, reason, "l2")
                partition = partition_of(letter_key, self._bus.partitions)
                self._bus.send(Outgoing(DEAD_LETTERS, partition, letter_key, value, headers))
            case Forget(key=key):
                for topic in (L2_BOOK_TOPS, L2_BOOK_HEALTH):
                    self._bus.publish(topic, key.encode(), None)
            case _:
                pass  # said of the process, and on no topic
