"""The seeded market: the simulated exchanges and l2's own feeds, without a socket between them.

Everything is the simulator's as it is served live: the venues' protocols, REST, candles of the past, faults,
and the delay that each venue's wire draws. The frames are taken out of the bytes on a client's line as l2
takes them out of a socket's, uncompressed. Nothing ticks: the market, batches and lines happen when they are
due (`Simulation.due_ns`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from backtest.bus import SOURCE
from backtest.l2_host import L2Host
from backtest.profile import l2_settings
from backtest.source import HISTORY_DAYS, Fidelity, Provenance
from backtest.sources.addresses import Address
from libs.common.reply_headers import pause_of
from libs.common.time_units import NS_PER_S
from services.l2.messages import (
    FrameReceived,
    PongReceived,
    ReplyReceived,
    SocketClosed,
    SocketOpened,
)
from services.l2.plain_frames import PlainFrames
from services.l2.policy import NEVER
from simulator.connections import Connection, Unavailable
from simulator.settings import SimulatorSettings
from simulator.simulation import Simulation
from simulator.venues.venue import RestReply, RestRequest, SessionRefusedError
from simulator.wire import PONG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backtest.bus import Bus
    from backtest.l2_host import Report
    from services.l2.messages import CloseSocket, Fetch, L2Message, OpenSocket
    from simulator.fault_requests import FaultRequest, FaultStatus

VENUES: Final = ("binance", "okx")
RATE: Final = 1.0  # messages a second that the exchanges aim at, all books together
LEVELS: Final = 50  # a side of each book
TICK_NS: Final = 5_000_000  # of the live shell; what a tick has left due waits for another one
SLOW_S: Final = 0.02  # between two looks at a slow line
_CLIENT: Final = "backtest"  # as the venues see l2
_UNAVAILABLE: Final = 503  # of a venue that takes no connections
_REFUSED: Final = 400  # of a path or query that a venue takes no connection to


class _Client:
    """One connection of l2: an order, and the line that its frames come on."""

    def __init__(self, order: OpenSocket, report: Report, connection: Connection) -> None:
        self.order, self.connection = order, connection
        self._report = report
        self._frames = PlainFrames(2**31)

    def report(self, message: L2Message) -> None:
        """Tell l2 of the connection."""
        self._report(message)

    def hear(self, data: bytes) -> None:
        """Let l2 receive what came on the line."""
        key, number = self.order.key, self.order.connection
        messages, others = self._frames.feed(data)
        for raw in messages:
            self._report(FrameReceived(key, number, raw))
        if others and others[0] == PONG:
            self._report(PongReceived(key, number))


class _Answer(NamedTuple):
    """A reply on its way to who asked."""

    report: Report
    reply: ReplyReceived


class _Simulated:
    """The simulation as an `Exchange` of l2, and its clock."""

    def __init__(self, bus: Bus, simulation: Simulation) -> None:
        self.simulation = simulation
        self._bus = bus
        self._clients: dict[Connection, _Client] = {}
        self._by_key: dict[tuple[str, int], _Client | None] = {}  # None while it is being opened
        self._wakes_at = NEVER
        self._ticks_at = 0

    # What l2 asks for

    def open(self, order: OpenSocket, report: Report) -> None:
        """Shake hands at once, and subscribe; what is said then takes its time."""
        self._by_key[order.key, order.connection] = None
        self._bus.at(self._bus.now, self._connect, (order, report), SOURCE)

    def close(self, order: CloseSocket) -> None:
        """Forget a connection."""
        client = self._by_key.pop((order.key, order.connection), None)
        if client is not None:
            self._drop(client)

    def fetch(self, order: Fetch, report: Report) -> None:
        """Answer an HTTP GET, a draw of the venue's delay later."""
        now, address, simulation = self._bus.now, Address.of(order.url), self.simulation
        venue = address.prefix
        reply = simulation.rest(venue, RestRequest(address.rest, address.query, _CLIENT), now)
        took_ns = int(simulation.delay_s(venue) * NS_PER_S)
        if (bytes_per_s := simulation.bytes_per_s(venue)) is not None:
            took_ns += len(reply.body) * NS_PER_S // bytes_per_s
        received = ReplyReceived(
            order.key,
            order.request,
            order.purpose,
            reply.status,
            reply.body.encode(),
            _pause_s(reply, now),
            took_ns,
        )
        self._bus.at(now + took_ns, _answer, _Answer(report, received), SOURCE)

    # The clock

    def wake(self) -> None:
        """Look again when anything is due: something was asked for, or has happened."""
        due = min(self._ticks_at, self.simulation.arrivals.due_ns)
        if due < self._wakes_at:
            self._wakes_at = due = max(due, self._bus.now)
            self._bus.at(due, self._drive, rank=SOURCE)

    def tick(self) -> None:
        """Let the exchanges do what is due, and deliver what has arrived."""
        now, simulation = self._bus.now, self.simulation
        simulation.tick(now)
        due = simulation.due_ns()
        self._ticks_at = due if due > now else now + TICK_NS
        self._deliver(now)
        self.wake()

    def _drive(self, _: None) -> None:
        now = self._bus.now
        if self._wakes_at != now:
            return  # another one came before it
        self._wakes_at = NEVER
        if self._ticks_at <= now:
            self.tick()
        else:
            self._deliver(now)
            self.wake()

    def _deliver(self, now: int) -> None:
        for connection in self.simulation.arrivals.take(now):
            client = self._clients.get(connection)
            if client is None:
                continue
            if connection.is_cut:
                self._end(client, "the exchange cut the connection")
                continue
            line, bytes_per_s = connection.line, connection.bytes_per_s
            if bytes_per_s is None:
                client.hear(line.arrived(now))
                self.simulation.expect(connection)
            else:
                client.hear(line.trickled(now, bytes_per_s))
                if line.due_ns is not None:
                    self.simulation.arrivals.add(connection, now + int(SLOW_S * NS_PER_S))

    # Connections

    def _connect(self, asked: tuple[OpenSocket, Report]) -> None:
        order, report = asked
        key, number = order.key, order.connection
        if (key, number) not in self._by_key:
            return  # l2 thought better of it
        address, now = Address.of(order.url), self._bus.now
        try:
            connection = self.simulation.connect(address.prefix, address.rest, address.query, now)
        except (Unavailable, SessionRefusedError) as error:
            del self._by_key[key, number]
            report(_refusal(order, error, now))
            return
        client = self._clients[connection] = self._by_key[key, number] = _Client(order, report, connection)
        self.simulation.arrivals.add(connection, 0)  # it may have been cut meanwhile
        report(SocketOpened(key, number))
        for text in order.subscribe:
            self._say(client, text)
        if order.ping is not None:
            self._bus.at(now + round(order.ping_interval_s * NS_PER_S), self._ping, client, SOURCE)
        if order.pong_interval_s is not None:
            self._bus.at(now + round(order.pong_interval_s * NS_PER_S), self._prove, client, SOURCE)
        self._ticks_at = min(self._ticks_at, self.simulation.due_ns())
        self.wake()

    def _say(self, client: _Client, text: str) -> None:
        if client.connection in self._clients:
            reason = self.simulation.receive(client.connection, text, self._bus.now)
            if reason is not None:
                self._end(client, reason)

    def _ping(self, client: _Client) -> None:
        if client.connection in self._clients and client.order.ping is not None:
            self._say(client, client.order.ping)
            again = self._bus.now + round(client.order.ping_interval_s * NS_PER_S)
            self._bus.at(again, self._ping, client, SOURCE)
            self.wake()

    def _prove(self, client: _Client) -> None:
        if client.connection in self._clients and client.order.pong_interval_s is not None:
            self.simulation.pong(client.connection, b"", self._bus.now)
            again = self._bus.now + round(client.order.pong_interval_s * NS_PER_S)
            self._bus.at(again, self._prove, client, SOURCE)
            self.wake()

    def _end(self, client: _Client, reason: str) -> None:
        """Tell l2 that a connection is no more."""
        order = client.order
        self._by_key.pop((order.key, order.connection), None)
        self._drop(client)
        client.report(SocketClosed(order.key, order.connection, reason))

    def _drop(self, client: _Client) -> None:
        self._clients.pop(client.connection, None)
        self.simulation.close(client.connection)


def _answer(answer: _Answer) -> None:
    answer.report(answer.reply)


def _refusal(order: OpenSocket, error: Unavailable | SessionRefusedError, now: int) -> SocketClosed:
    status, pause_s = _REFUSED, None
    if isinstance(error, Unavailable):
        status = _UNAVAILABLE if error.reply is None else error.reply.status
        pause_s = None if error.reply is None else _pause_s(error.reply, now)
    return SocketClosed(order.key, order.connection, str(error), status, pause_s)


def _pause_s(reply: RestReply, now: int) -> float | None:
    """Return how long an answer asks to wait."""
    text = reply.headers.get("Retry-After")
    return None if text is None else pause_of(text, now / NS_PER_S)


def default_settings(seed: int, symbols: Sequence[str], edge: float = 1.0) -> SimulatorSettings:
    """Return settings of the simulator with which a day of three symbols takes less than a minute."""
    return SimulatorSettings(
        seed=seed, symbols=tuple(symbols), edge=edge, rate=RATE, levels=LEVELS, history_days=HISTORY_DAYS
    )


class SimulatedMarket:
    """The simulator as a `Source`.

    Parameters
    ----------
    settings
        Of the simulator; `default_settings` has those of a run that is to end soon.
    begin_ts, end_ts
        ns UTC; the market is built for the first, and its past is before it.
    venues
        Those with books; each has every symbol of the settings.
    always
        Whether books are told all the time; else as asked (see `l2_host`), which takes a fourth of the time.
    """

    def __init__(
        self,
        settings: SimulatorSettings,
        begin_ts: int,
        end_ts: int,
        venues: Sequence[str] = VENUES,
        *,
        always: bool = False,
    ) -> None:
        self._always = always
        self._settings, self._begin_ts, self._end_ts = settings, begin_ts, end_ts
        self._l2 = l2_settings(feed="simulator", history_days=settings.history_days)
        self._books = tuple((venue, symbol) for symbol in settings.symbols for venue in venues)
        self.simulation = Simulation(settings, begin_ts, venues)
        self.host: L2Host | None = None

    @property
    def provenance(self) -> Provenance:
        """What it is."""
        given = self._settings
        levels = f"{given.levels} levels" if given.levels else "500 to 1,000 levels"
        told = (
            f"The whole market is made up, with seed {given.seed}: prices, orders, trades and delays.",
            f"Books have {levels} a side, and all together aim at {given.rate:g} messages a second.",
            f"SIMULATOR_EDGE is {given.edge:g}: so much can be foreseen, 0 is nothing, 1 the default.",
            "What is earned here says nothing of a real market.",
            *(
                []
                if self._always
                else ["Healths of books were told when somebody looked, and each 10 seconds."]
            ),
        )
        return Provenance(
            Fidelity.SIMULATOR,
            synthetic=True,
            books=self._books,
            begin_ts=self._begin_ts,
            end_ts=self._end_ts,
            notes=told,
        )

    def start(self, bus: Bus) -> None:
        """Let l2 connect, and the market begin."""
        self._exchange = _Simulated(bus, self.simulation)
        self.host = L2Host(bus, self._l2, self._exchange, always=self._always)
        self.host.want(self._books)
        self._exchange.tick()

    def freshen(self, ts: int, partition: int | None, old_ns: int) -> None:
        """Show what the books were; where they are told all the time it is never asked for."""
        if self.host is not None:
            self.host.freshen(ts, partition, old_ns)

    def add_fault(self, request: FaultRequest, now: int) -> FaultStatus:
        """Let a fault of the simulator begin; once the source has started."""
        status = self.simulation.add_fault(request, now)
        self.wake()
        return status

    def wake(self) -> None:
        """Look at the simulation again: somebody has changed it, once the source has started."""
        self._exchange.tick()
