"""Recordings of raw frames, of every format that a replay takes, through l2's own feeds.

A record is received at its recorded time, to the ns, and `received_ts` is that time; where a format has none
(bare frames) the venue's own stamps stand for it. `venue_ts` is what the venue wrote; where the recorder's
clock was more than a second behind, l2 does not believe it until it has learnt so, as it would have there.

Recordings follow one another as their times do. Where one does not go on from the one before
(`replay_clock.playlist`), l2 stops with the last record, which leaves its books DISCONNECTED, and starts
`SETTLE_NS` before the next one's first.

What a client is answered (subscriptions, snapshots, heartbeats) is the replay's own (`simulator.replay_*`),
and comes at once: a recording does not know how long its requests took.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Final

from backtest.bus import SOURCE
from backtest.l2_host import L2Host
from backtest.profile import l2_settings
from backtest.source import Fidelity, Provenance
from backtest.sources.addresses import Address
from libs.common.counted import counted
from libs.common.time_units import NS_PER_MS, NS_PER_S
from services.l2.messages import (
    FrameReceived,
    PongReceived,
    ReplyReceived,
    SocketOpened,
)
from simulator.recordings import RecordingError
from simulator.replay_catalogue import catalogue_of
from simulator.replay_hub import Hub, Waiting
from simulator.replay_player import HEARTBEAT_S
from simulator.replay_venue import Awaiting, Delivery, HttpReply, Released, Session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from backtest.bus import Bus
    from backtest.l2_host import Report
    from services.l2.messages import CloseSocket, Fetch, OpenSocket
    from simulator.recordings import Record
    from simulator.replay_clock import Part
    from simulator.replay_venue import ReplayVenue

SETTLE_NS: Final = 100 * NS_PER_MS  # before the first record: l2 connects, and asks for what is recorded
_HEARTBEAT_NS: Final = int(HEARTBEAT_S * NS_PER_S)


class _Client:
    """One connection of l2."""

    def __init__(self, order: OpenSocket, report: Report, venue: ReplayVenue, session: Session) -> None:
        self.order, self.venue, self.session = order, venue, session
        self.silent = True  # nothing was offered since the last look
        self.open = True
        self._report = report

    def offer(self, text: str) -> None:
        """Let l2 receive a frame, unless it has let go of the connection."""
        if self.open:
            self.silent = False
            self.report(FrameReceived(self.order.key, self.order.connection, text.encode()))

    def report(self, message: FrameReceived | PongReceived | SocketOpened) -> None:
        """Tell l2 of the connection."""
        self._report(message)


class _Recorded:
    """The recorded venues, as an `Exchange` of l2."""

    def __init__(self, bus: Bus, venues: Sequence[ReplayVenue]) -> None:
        self.hub = Hub[_Client]()
        self._bus = bus
        self._venues = {venue.venue: venue for venue in venues}
        self._clients: dict[tuple[str, int], _Client] = {}
        self._asked: dict[tuple[str, int], tuple[OpenSocket, Report]] = {}  # for connections
        self._waiting: Waiting[tuple[Fetch, Report]] = Waiting()
        self._numbers = itertools.count(1)

    # What l2 asks for

    def open(self, order: OpenSocket, report: Report) -> None:
        """Take a connection."""
        self._asked[order.key, order.connection] = order, report
        self._bus.at(self._bus.now, self._connect, (order.key, order.connection), SOURCE)

    def close(self, order: CloseSocket) -> None:
        """Forget a connection."""
        self._asked.pop((order.key, order.connection), None)
        client = self._clients.pop((order.key, order.connection), None)
        if client is not None:
            client.open = False
            self.hub.leave(client)

    def fetch(self, order: Fetch, report: Report) -> None:
        """Answer as recorded, if need be when the recorded answer's time has come."""
        venue, address = self._venue_of(order.key), Address.of(order.url)
        answer = venue.rest(address.path, address.query, self._bus.now)
        if isinstance(answer, Awaiting):
            self._waiting.add(venue.venue, answer, (order, report))
        else:
            self._bus.at(self._bus.now, partial(_reply, order, report), answer, SOURCE)

    # What the recording says

    def end(self) -> None:
        """Answer nobody any more who still waits."""
        self._waiting.give_up()

    def take(self, venue: ReplayVenue, played: Delivery | Released) -> None:
        """Let those hear of a record whom it concerns."""
        if isinstance(played, Delivery):
            self.hub.deliver(venue.venue, played)
            return
        for order, report in self._waiting.released(venue.venue, played):
            _reply(order, report, HttpReply(200, played.body))

    def _venue_of(self, key: str) -> ReplayVenue:
        return self._venues[key.partition(":")[0]]

    def _connect(self, key: tuple[str, int]) -> None:
        if key not in self._asked:
            return  # l2 thought better of it
        order, report = self._asked.pop(key)
        venue, address = self._venue_of(order.key), Address.of(order.url)
        session = Session(next(self._numbers))
        client = self._clients[key] = _Client(order, report, venue, session)
        self.hub.clients[client] = None
        report(SocketOpened(*key))
        self.hub.follow(client, venue.connect(session, address.path, address.query))
        for text in order.subscribe:
            self._say(client, text)
        if order.ping is not None:
            self._bus.at(self._bus.now + round(order.ping_interval_s * NS_PER_S), self._ping, client, SOURCE)
        if order.pong_interval_s is not None:
            self._bus.at(self._bus.now + round(order.pong_interval_s * NS_PER_S), self._pong, client, SOURCE)

    def _say(self, client: _Client, text: str) -> None:
        self.hub.follow(client, client.venue.request(client.session, text, self._bus.now))

    def _ping(self, client: _Client) -> None:
        if client.open and client.order.ping is not None:
            self._say(client, client.order.ping)
            self._bus.at(
                self._bus.now + round(client.order.ping_interval_s * NS_PER_S), self._ping, client, SOURCE
            )

    def _pong(self, client: _Client) -> None:
        order = client.order
        if client.open and order.pong_interval_s is not None:
            client.report(PongReceived(order.key, order.connection))
            self._bus.at(self._bus.now + round(order.pong_interval_s * NS_PER_S), self._pong, client, SOURCE)


def _reply(order: Fetch, report: Report, answer: HttpReply) -> None:
    report(ReplyReceived(order.key, order.request, order.purpose, answer.status, answer.body.encode()))


class Frames:
    """Recordings as a `Source`.

    Parameters
    ----------
    paths
        As `FEED=replay:` takes them, in the order of their times.
    symbols
        Canonical; of these the books are kept. None: of all that the recordings have.
    always
        Whether books are told all the time; else as asked (see `l2_host`).

    Raises
    ------
    RecordingError
        If a recording cannot be read, begins before the one before it ended, or holds none of the symbols.
    """

    def __init__(
        self, paths: Sequence[Path], symbols: Sequence[str] | None = None, *, always: bool = True
    ) -> None:
        self._always = always
        names = tuple(map(str, paths))
        self._catalogue = catalogue_of(names)
        played = zip(paths, self._catalogue.parts, strict=True)
        for (earlier, before), (path, part) in itertools.pairwise(played):
            if part.first < before.last:
                reason = f"begins before {earlier} has ended; give recordings in the order of their times"
                raise RecordingError(path, None, reason)
        held = [(venue.venue, symbol) for venue in self._catalogue.venues for symbol in venue.symbols()]
        self._books = tuple(book for book in held if symbols is None or book[1] in symbols)
        if not self._books:
            known = ", ".join(self._catalogue.books())
            raise RecordingError(paths[0], None, f"has none of {', '.join(symbols or ())}; it has {known}")
        feed = f"replay:{','.join(names)}"
        self._settings = l2_settings(feed=feed)
        self.host: L2Host | None = None

    @property
    def venues(self) -> tuple[ReplayVenue, ...]:
        """The recorded venues, whose books are as of the last record played."""
        return self._catalogue.venues

    @property
    def parts(self) -> tuple[Part, ...]:
        """What time each recording is of."""
        return self._catalogue.parts

    @property
    def provenance(self) -> Provenance:
        """What it is."""
        parts = self._catalogue.parts
        breaks = sum(not part.continues for part in parts) - 1
        notes = [f"{counted(self._catalogue.records, 'recorded message')}, as sent by the venues."]
        if breaks:
            notes.append(f"{counted(breaks, 'break')} between recordings, in which no book is LIVE.")
        if not all(part.absolute for part in parts):
            notes.append("A recording without times of receipt: the venue's own times stand for them.")
        if any(self._catalogue.foreign):
            foreign = counted(sum(self._catalogue.foreign.values()), "message")
            notes.append(f"{foreign} of venues without a feed.")
        return Provenance(
            Fidelity.FRAMES,
            synthetic=False,
            books=self._books,
            begin_ts=parts[0].first - SETTLE_NS,
            end_ts=parts[-1].last,
            notes=tuple(notes),
        )

    def start(self, bus: Bus) -> None:
        """Let l2 connect, and schedule the first record."""
        self._bus = bus
        self._exchange = _Recorded(bus, self._catalogue.venues)
        self.host = self._host = L2Host(bus, self._settings, self._exchange, always=self._always)
        self._records, self._beats = self._scheduled(), False
        self._begin(None)
        self._schedule_next(None)

    def freshen(self, ts: int, partition: int | None, old_ns: int) -> None:
        """Show what the books were; where they are told all the time it is never asked for."""
        self._host.freshen(ts, partition, old_ns)

    def _scheduled(self) -> Iterator[Record]:
        """Yield the records in their order; on the way schedule where connections end and begin anew."""
        before: Part | None = None
        for part, records in self._catalogue.parts_in_order():
            if before is not None and not part.continues:
                self._bus.at(before.last, self._end, rank=SOURCE)
                self._bus.at(part.first - SETTLE_NS, self._begin, rank=SOURCE)
            yield from records
            before = part

    def _begin(self, _: None) -> None:
        self._host.want(self._books)
        if not self._beats:
            self._beats = True
            self._bus.at(self._bus.now + _HEARTBEAT_NS, self._beat, rank=SOURCE)

    def _end(self, _: None) -> None:
        self._host.stop("the recording ends here")
        self._exchange.end()

    def _schedule_next(self, _: None) -> None:
        if (record := next(self._records, None)) is not None:
            self._bus.at(record.ts, self._play, record, SOURCE)

    def _play(self, record: Record) -> None:
        match self._catalogue.play(record):
            case (venue, Delivery() | Released() as played):
                self._exchange.take(venue, played)
            case _:
                pass  # of the recorder's own session, or of a venue that is not replayed
        self._schedule_next(None)

    def _beat(self, _: None) -> None:
        self._beats = bool(self._exchange.hub.clients)
        if self._beats:
            self._exchange.hub.heartbeat()
            self._bus.at(self._bus.now + _HEARTBEAT_NS, self._beat, rank=SOURCE)
