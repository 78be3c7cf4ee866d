"""The exchanges at work: market, venues, faults and connections, advanced by one clock reading at a time.

Everything between the clock and the sockets is here, without either: the shell calls `tick` and writes to
each connection what has arrived on its line.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from math import log
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_MS, NS_PER_S
from simulator.connections import Connection, Unavailable
from simulator.consequences import Consequences
from simulator.fault_requests import CONDITIONS, FaultKind
from simulator.faults import Disconnect, Faults, RestFault, condition_status
from simulator.latent import WIRE, LatentPrices, stream
from simulator.market import Market
from simulator.profiles import VENUES as PROFILES
from simulator.profiles import wire_profile
from simulator.refusals import blocked
from simulator.schedule import Schedule
from simulator.venues import BOOKLESS, VENUES
from simulator.venues.venue import (
    AnnouncesCut,
    Exchange,
    RestReply,
    SessionRefusedError,
    TellsStatus,
    Update,
    level_floats,
)
from simulator.wire import PING, PONG, control_frame, deflated_frame, text_frame

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simulator.conditions import Condition
    from simulator.exchange_book import BookChange
    from simulator.fault_requests import FaultRequest, FaultStatus
    from simulator.settings import SimulatorSettings
    from simulator.venues.venue import AnswersRest, Notice, RestRequest, Session, Venue

_HEARTBEAT_NS: Final = NS_PER_S
_TIMERS_NS: Final = NS_PER_S // 4


class Simulation:
    """All venues of one process.

    Parameters
    ----------
    now_ns
        UTC; the live market starts here.
    venues
        Those with books.
    """

    def __init__(
        self, settings: SimulatorSettings, now_ns: int, venues: Sequence[str] = tuple(VENUES)
    ) -> None:
        self.market = Market(
            LatentPrices(settings.seed, settings.symbols, settings.edge),
            venues=venues,
            rate=settings.rate,
            start_ns=now_ns,
            history_days=settings.history_days,
            levels=settings.levels,
        )
        self.venues: dict[str, Venue] = {name: VENUES[name](Exchange(self.market, name)) for name in venues}
        derivatives = self.market.derivatives
        self.bookless: dict[str, AnswersRest] = {
            name: create(derivatives) for name, create in BOOKLESS.items()
        }
        self.told_of = (  # every (venue, canonical symbol) that a fault may be about
            *self.market.pairs,
            *((name, symbol) for name in self.bookless for symbol in derivatives.symbols_at(name)),
        )
        self.faults = Faults(settings.seed)
        self.connections: dict[Session, Connection] = {}
        self.is_paused = False
        self.arrivals = Schedule[Connection]()  # of whose lines something arrives, or that are cut
        self._conditions = self.faults.conditions
        self._consequences = Consequences(self.market, self._conditions)
        self._outages = settings.outages
        self._random = stream(settings.seed, WIRE, now_ns // NS_PER_S)
        self._delay_ns: dict[str, int] = {}  # of each venue's wire in this tick, once it is drawn
        self._ticked_ns = now_ns

    def connect(self, venue: str, path: str, query: Mapping[str, str], now_ns: int) -> Connection:
        """Open a connection.

        Raises
        ------
        Unavailable
            If a fault makes the venue refuse connections.
        SessionRefusedError
            If the venue refuses this one.
        """
        if self.faults.is_refused(venue, now_ns):
            raise Unavailable(f"{venue} takes no connections: a disconnect fault is active")
        block = self._conditions.block(venue, "socket", now_ns)
        if block is not None:
            raise Unavailable(f"{venue} is blocked", blocked(venue, block, now_ns))
        session, greeting = self.venues[venue].connect(path, query, now_ns)
        connection = Connection(venue, session, now_ns, ponged_ns=now_ns, pinged_ns=now_ns, sent_ns=now_ns)
        connection.bytes_per_s = self._conditions.bytes_per_s(venue)
        self.connections[session] = connection
        for text in greeting:
            self._say(connection, text, now_ns)
        return connection

    def receive(self, connection: Connection, text: str, now_ns: int) -> str | None:
        """Take a client's message; return a reason if the venue closes the connection because of it."""
        try:
            replies = connection.session.receive(text, now_ns)
        except SessionRefusedError as error:
            return str(error)
        if not self.faults.is_silent(connection.venue, None, now_ns):
            for reply in replies:
                self._say(connection, reply, now_ns)
        return None

    def ping(self, connection: Connection, now_ns: int) -> None:
        """Ask a client whether it lives."""
        connection.pinged_ns = now_ns
        self._put(connection, control_frame(PING, str(now_ns // NS_PER_MS).encode()), now_ns, is_said=False)

    def pong(self, connection: Connection, payload: bytes, now_ns: int) -> None:
        """Answer a client that asks."""
        self._put(connection, control_frame(PONG, payload), now_ns, is_said=False)

    def expect(self, connection: Connection) -> None:
        """Note when the next of what is on a client's line arrives."""
        if (due_ns := connection.line.due_ns) is not None:
            self.arrivals.add(connection, due_ns)

    def close(self, connection: Connection) -> None:
        """Forget a connection."""
        connection.session.close()
        self.connections.pop(connection.session, None)

    def tick(self, now_ns: int) -> None:
        """Let the market, the batches and the timers do what is due by `now_ns`."""
        self._delay_ns.clear()
        for condition in self._conditions.end_due(now_ns):
            self._end(condition, now_ns)
        if not self.is_paused:
            for change in self.market.step(now_ns, self._consequences.resting):
                self._tell(change, now_ns)
        self._flush(now_ns, force=False)
        for cut in self.faults.due(self._is_connected, now_ns):
            self._cut(cut)
        if now_ns - self._ticked_ns >= _TIMERS_NS:
            self._timers(now_ns, (now_ns - self._ticked_ns) / NS_PER_S)
            self._ticked_ns = now_ns

    def due_ns(self) -> int:
        """Return when `tick` has something to do, if nobody asks for anything before; `NEVER` if nothing.

        Faults that wait for a connection begin at a tick, whenever it is.
        """
        due_ns = min(self._conditions.due_ns, *(venue.due_ns for venue in self.venues.values()))
        if not self.is_paused:
            due_ns = min(due_ns, self.market.due_ns)
        return min(due_ns, self._ticked_ns + _HEARTBEAT_NS) if self.connections else due_ns

    def pause(self, now_ns: int) -> None:
        """Hold the market, once everything that has happened is on the wire."""
        self._flush(now_ns, force=True)
        self._put_all(self.faults.release(), now_ns)
        self.is_paused = True

    def resume(self) -> None:
        """Let the market go on from the time it is then."""
        self.is_paused = False

    def add_fault(self, request: FaultRequest, now_ns: int) -> FaultStatus:
        """Arm a fault, or let it begin if it is a condition."""
        if request.kind not in CONDITIONS:
            return self.faults.add(request, now_ns)
        condition = self.faults.begin(request, now_ns)
        for change in self._consequences.begin(condition, now_ns):
            self._tell(change, now_ns)
        match request.kind:
            case FaultKind.MAINTENANCE:
                self._tell_status(condition, request.system or "maintenance", now_ns)
            case FaultKind.SHUTDOWN_NOTICE:
                self._announce(condition, now_ns)
            case FaultKind.SLOW_LINE:
                self._conditions.met(condition, self._pace(request.venue))
        return condition_status(condition, now_ns)

    def clear_faults(self, now_ns: int) -> None:
        """Disarm every fault, end every condition and send what they hold back."""
        self._put_all(self.faults.clear(), now_ns)
        for condition in self._conditions.clear():
            self._end(condition, now_ns)

    def truth(self, venue: str, symbol: str, now_ns: int) -> dict[str, object]:
        """Return the exchange's own book; everything up to its `venueSeq` has been sent."""
        self._flush(now_ns, force=True)
        book = self.market.book(venue, symbol)
        instrument = self.venues[venue].instruments[symbol]
        return {
            "venue": venue,
            "symbol": symbol,
            "venueSeq": self.venues[venue].sequence(symbol),
            "bids": level_floats(instrument, list(book.bids.levels())),
            "asks": level_floats(instrument, list(book.asks.levels())),
            "ts": now_ns // NS_PER_MS,
            "paused": self.is_paused,
        }

    def rest(self, venue: str, request: RestRequest, now_ns: int) -> RestReply:
        """Answer an HTTP GET to a venue, or fail as a fault or an outage has it."""
        has_books = venue in self.venues
        protocol: AnswersRest = self.venues[venue] if has_books else self.bookless[venue]
        block = self._conditions.block(venue, "rest", now_ns)
        if block is not None:
            if block.status == HTTPStatus.TOO_MANY_REQUESTS:
                return protocol.rate_limited(block.retry_after_s or 1)
            return blocked(venue, block, now_ns)
        symbol = protocol.rest_symbol(request)
        fault = self.faults.rest(venue, symbol, now_ns, path=request.path, has_books=has_books)
        if isinstance(fault, RestFault):
            if fault.retry_after_s:
                return protocol.rate_limited(fault.retry_after_s)
            return protocol.failed(fault.status)
        if self._random.random() < wire_profile(venue).rest_error_probability * self._outages:
            return protocol.failed(503)
        if fault is None:
            return protocol.rest(request, now_ns)
        reply = protocol.rest(replace(request, as_of_ns=fault.as_of_ns), now_ns)
        return reply if fault.spoil is None else fault.spoil(reply)

    def bytes_per_s(self, venue: str) -> int | None:
        """Return how fast a venue's answers are written; None is at once."""
        return self._conditions.bytes_per_s(venue)

    def delay_s(self, venue: str) -> float:
        """Return a fresh delay of a venue's line, one way."""
        return self._wire_delay_ns(venue) / NS_PER_S

    def _wire_delay_ns(self, venue: str) -> int:
        profile = wire_profile(venue)
        jitter_ms = -log(1.0 - self._random.random()) * profile.jitter_ms
        return int((profile.latency_ms + jitter_ms) * NS_PER_MS)

    def _end(self, condition: Condition, now_ns: int) -> None:
        """Undo what a condition did, as another of its kind may still have it."""
        request = condition.request
        for change in self._consequences.end(condition, now_ns):
            self._tell(change, now_ns)
        match request.kind:
            case FaultKind.MAINTENANCE:
                others = self._conditions.holding(FaultKind.MAINTENANCE, request.venue)
                systems = [other.request.system or "maintenance" for other in others]
                self._tell_status(condition, systems[-1] if systems else "online", now_ns)
            case FaultKind.SHUTDOWN_NOTICE:
                for connection in self._of(request.venue):
                    if connection.end_ns == condition.told_end_ns > now_ns:
                        connection.end_ns = None  # it was called off
            case FaultKind.SLOW_LINE:
                self._pace(request.venue)

    def _tell_status(self, condition: Condition, system: str, now_ns: int) -> None:
        name = condition.request.venue
        venue = self.venues[name]
        if not isinstance(venue, TellsStatus):
            raise TypeError(f"{name} tells no status")
        venue.system = system
        for connection in self._of(name):
            self._say(connection, venue.status_message(connection.session), now_ns)
            self._conditions.met(condition)

    def _announce(self, condition: Condition, now_ns: int) -> None:
        """Tell clients that their connections will end, which `_timers` sees to."""
        request = condition.request
        for connection in self._of(request.venue):
            if _carries(connection, request.venue, request.symbol):
                session = connection.session
                if not isinstance(session, AnnouncesCut):
                    raise TypeError(f"{request.venue} announces no cut")
                self._say(connection, session.shutdown_notice(now_ns), now_ns)
                connection.end_ns = condition.told_end_ns
                self._conditions.met(condition)

    def _pace(self, venue: str) -> int:
        """Let a venue's lines be as fast as they are now; return how many there are."""
        connections = self._of(venue)
        for connection in connections:
            connection.bytes_per_s = self._conditions.bytes_per_s(venue)
        return len(connections)

    def _of(self, venue: str) -> list[Connection]:
        return [connection for connection in self.connections.values() if connection.venue == venue]

    def _tell(self, change: BookChange, now_ns: int) -> None:
        for message in self.venues[change.venue].publish(change):
            self._send(change.venue, message, now_ns)

    def _flush(self, now_ns: int, *, force: bool) -> None:
        for name, venue in self.venues.items():
            for message in venue.flush(now_ns, force=force):
                self._send(name, message, now_ns)

    def _send(self, venue: str, message: Update | Notice, now_ns: int) -> None:
        if isinstance(message, Update):
            sent = self.faults.outgoing(venue, message, now_ns)
            for topic, text in sent.messages:
                self._publish(venue, topic, text, now_ns)
            if sent.disconnect is not None:
                self._cut(sent.disconnect)
        elif not self.faults.is_silent(venue, message.symbol, now_ns):
            self._publish(venue, message.topic, message.text, now_ns)

    def _put_all(self, held: list[tuple[str, Update]], now_ns: int) -> None:
        for venue, update in held:
            for frame in update.frames:
                self._publish(venue, frame.topic, frame.text(), now_ns)

    def _publish(self, venue: str, topic: str, text: str, now_ns: int) -> None:
        """Encode once, send to every subscriber; to those that inflate, once more for all of them."""
        frame, deflated = text_frame(text), dict[int, bytes]()
        for session in self.venues[venue].subscribers.of(topic):
            connection = self.connections.get(session)
            if connection is None:
                continue
            bits = connection.window_bits
            if bits and bits not in deflated:
                deflated[bits] = deflated_frame(text, bits)
            self._put(connection, deflated[bits] if bits else frame, now_ns)

    def _say(self, connection: Connection, text: str, now_ns: int) -> None:
        """Tell something to one client."""
        bits = connection.window_bits
        self._put(connection, deflated_frame(text, bits) if bits else text_frame(text), now_ns)

    def _put(self, connection: Connection, frame: bytes, now_ns: int, *, is_said: bool = True) -> None:
        if is_said:  # and no ping or pong, which a heartbeat does not wait for
            connection.sent_ns = now_ns
        if (delay_ns := self._delay_ns.get(connection.venue)) is None:
            delay_ns = self._delay_ns[connection.venue] = self._wire_delay_ns(connection.venue)
        connection.line.send(frame, now_ns + delay_ns)
        self.expect(connection)

    def _timers(self, now_ns: int, elapsed_s: float) -> None:
        """Heartbeats of silent connections and the outages that venues have by themselves."""
        for connection in self.connections.values():
            heartbeat = self.venues[connection.venue].heartbeat
            if (
                heartbeat is not None
                and connection.session.is_subscribed
                and now_ns - connection.sent_ns >= _HEARTBEAT_NS
                and not self.faults.is_silent(connection.venue, None, now_ns)
            ):
                self._say(connection, heartbeat, now_ns)
            per_s = PROFILES[connection.venue].disconnects_per_hour * self._outages / 3600.0
            if self._random.random() < per_s * elapsed_s or self._is_over(connection, now_ns):
                self._end_line(connection)

    def _is_over(self, connection: Connection, now_ns: int) -> bool:
        """Whether a connection's time has come, as announced or by its age."""
        if connection.end_ns is not None and now_ns >= connection.end_ns:
            return True
        opened_ns = connection.opened_ns
        return self._conditions.cut_at_age(connection.venue, opened_ns, self._ticked_ns, now_ns)

    def _is_connected(self, venue: str, symbol: str | None) -> bool:
        return any(_carries(connection, venue, symbol) for connection in self.connections.values())

    def _cut(self, cut: Disconnect) -> None:
        for connection in self.connections.values():
            if _carries(connection, cut.venue, cut.symbol):
                self._end_line(connection)

    def _end_line(self, connection: Connection) -> None:
        connection.is_cut = True
        self.arrivals.add(connection, 0)


def _carries(connection: Connection, venue: str, symbol: str | None) -> bool:
    return connection.venue == venue and (symbol is None or symbol in connection.session.symbols)
