"""The l2 core, a model exchange and a clock in one process; the test rules every message on the wire.

The naive reader is the second implementation: dicts, fed only with what l2 publishes. After each event its
book must be the exchange's truth; a LIVE health must never be said of anything else.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from libs.common.events import BookDelta, BookHealth, BookSnapshot, BookState, BookTop, Trade
from libs.common.time_units import NS_PER_MS
from services.l2.feeds import FEEDS
from services.l2.handlers import State, handle
from services.l2.messages import (
    BookWanted,
    CandlesKnown,
    CloseSocket,
    DeadLetter,
    Fetch,
    FrameReceived,
    L2Message,
    MessageIgnored,
    OpenSocket,
    Output,
    RenewalFailed,
    Renewed,
    ReplyReceived,
    SocketClosed,
    SocketOpened,
    Tick,
    TradesMissing,
)
from services.l2.policy import Policy
from tests.model_exchange import BinanceModel, Book, KrakenModel, Side, book_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.l2.feeds.feed import Feed

Levels = tuple[tuple[float, float], ...]
START = 1_790_000_000_000_000_000
POLICY = Policy(
    keyframe_ns=10_000 * NS_PER_MS,
    top_interval_ns=100 * NS_PER_MS,
    heartbeat_ns=1_000 * NS_PER_MS,
    sync_timeout_ns=15_000 * NS_PER_MS,
    buffer_messages=200,
    backoff_min_ns=250 * NS_PER_MS,
    backoff_max_ns=2_000 * NS_PER_MS,
    history_days=0,
    history_minutes=0,
    owner="test",
)


@dataclass
class NaiveReader:
    """A subscriber written from the contract alone."""

    bids: Side = field(default_factory=dict)
    asks: Side = field(default_factory=dict)
    epoch: int = 0
    seq: int = 0

    @property
    def book(self) -> Book:
        return book_of(self.bids, self.asks)

    def read(self, event: BookSnapshot | BookDelta) -> None:
        if isinstance(event, BookSnapshot):
            if event.reason == "resync":
                assert event.epoch > self.epoch
                self.bids, self.asks = dict(event.bids), dict(event.asks)
            else:
                assert (event.epoch, event.seq) == (self.epoch, self.seq)
                assert (event.bids, event.asks) == self.book
            self.epoch, self.seq = event.epoch, event.seq
            return
        assert (event.epoch, event.seq) == (self.epoch, self.seq + 1), "deltas of an epoch are contiguous"
        self.seq = event.seq
        for side, levels in ((self.bids, event.bids), (self.asks, event.asks)):
            for price, size in levels:
                if size:
                    side[price] = size
                else:
                    side.pop(price, None)


class World:
    """One book of a model exchange; `step` moves 50 ms on."""

    def __init__(
        self,
        exchange: BinanceModel | KrakenModel,
        epoch: int = 0,
        feeds: Mapping[str, Feed] = FEEDS,
    ) -> None:
        self.exchange = exchange
        self.now = START
        self.state = State(feeds, lambda venue: (f"ws://test/{venue}", f"http://test/{venue}"), POLICY)
        self.reader = NaiveReader()
        self.health: BookHealth | None = None
        self.states: list[BookState] = []
        self.dead: list[DeadLetter] = []
        self.ignored: list[MessageIgnored] = []
        self.deltas = 0
        self.tops: list[BookTop] = []
        self.lines: list[int] = []  # connections that are open, oldest first
        self.asked: list[int] = []  # connections
        self.opened: list[int] = []
        self.closed: list[int] = []  # those that l2 let go
        self.said: list[Output] = []  # what is neither of a book nor a request
        self.opens = True  # whether a connection that is asked for is opened
        self.fetches: deque[Fetch] = deque()
        self.snapshot_answers: deque[tuple[int, bytes, float | None]] = deque()  # instead of the true one
        self.instrument = 404, b"404: Not Found"  # what the venue says of it
        self.cut_during_snapshot = False
        self.key = f"{exchange.venue}:BTC-USDT"
        self.tell(BookWanted(exchange.venue, "BTC-USDT", epoch))
        self.tell(CandlesKnown(self.key, ()))

    @property
    def connection(self) -> int | None:
        """The newest connection."""
        return self.lines[-1] if self.lines else None

    @property
    def live(self) -> bool:
        return self.health is not None and self.health.state is BookState.LIVE

    def tell(self, message: L2Message) -> None:
        for output in handle(self.state, message, self.now):
            self._take(output)
        self.open_asked()

    def step(self, frames: list[bytes] | None = None) -> None:
        """Deliver frames (by default the exchange's next one), answer what was asked, let time pass."""
        for frame in [self.exchange.next_frame()] if frames is None else frames:
            self.deliver(frame)
        self.answer()
        self.now += 50 * NS_PER_MS
        self.tell(Tick())

    def deliver(self, frame: bytes) -> None:
        for connection in tuple(self.lines):
            self.deliver_on(connection, frame)

    def deliver_on(self, connection: int, frame: bytes) -> None:
        if connection in self.lines:
            self.tell(FrameReceived(self.key, connection, frame))

    def answer(self) -> None:
        while self.fetches:
            asked = self.fetches.popleft()
            if asked.purpose == "instrument":
                status, body = self.instrument
                self.tell(ReplyReceived(asked.key, asked.request, asked.purpose, status, body))
                continue
            if self.cut_during_snapshot:
                self.cut_during_snapshot = False
                self.disconnect("connection reset")
            assert isinstance(self.exchange, BinanceModel)
            status, body, retry = 200, self.exchange.snapshot(), None
            if self.snapshot_answers:
                status, body, retry = self.snapshot_answers.popleft()
            self.tell(ReplyReceived(asked.key, asked.request, asked.purpose, status, body, retry))

    def open_asked(self) -> None:
        for connection in self.asked if self.opens else ():
            if connection not in (*self.opened, *self.closed):
                self.open(connection)

    def open(self, connection: int) -> None:
        self.opened.append(connection)
        self.lines.append(connection)
        self.tell(SocketOpened(self.key, connection))
        if isinstance(self.exchange, KrakenModel):
            self.deliver_on(connection, self.exchange.snapshot_frame())

    def disconnect(self, reason: str) -> None:
        """Cut the oldest connection."""
        if self.lines:
            self.tell(SocketClosed(self.key, self.lines.pop(0), reason))

    def until_live(self, steps: int = 400) -> None:
        for _ in range(steps):
            if self.live:
                return
            self.step()
        raise AssertionError(f"not LIVE after {steps} steps: {self.health}")

    def truth_holds(self) -> bool:
        if isinstance(self.exchange, BinanceModel):
            return self.reader.book == self.exchange.truth[self._venue_seq]
        return self.reader.book == self.exchange.now

    def known(self, bids: Levels, asks: Levels) -> Book:
        """Return the levels that lie within what the newest snapshot showed."""
        low, high = self.state.sessions[self.key].maintainer.book.known
        return tuple(each for each in bids if each[0] >= low), tuple(each for each in asks if each[0] <= high)

    def _take(self, output: Output) -> None:
        match output:
            case OpenSocket(connection=connection):
                self.asked.append(connection)
            case CloseSocket(connection=connection):
                self.closed.append(connection)
                if connection in self.lines:
                    self.lines.remove(connection)
            case Fetch():
                self.fetches.append(output)
            case Renewed() | RenewalFailed() | Trade() | TradesMissing():
                self.said.append(output)
            case DeadLetter():
                self.dead.append(output)
            case MessageIgnored():
                self.ignored.append(output)
            case BookSnapshot() | BookDelta():
                self.reader.read(output)
                self._venue_seq = output.venue_seq or 0
                self.deltas += isinstance(output, BookDelta)
                assert self.truth_holds(), f"{output} is not what the exchange had"
            case BookTop():
                self.tops.append(output)
                book = self.reader.book
                assert (output.bids, output.asks) == self.known(book[0][:50], book[1][:50])
                assert output.seq == self.reader.seq
            case BookHealth():
                if self.health is None or output.state is not self.health.state:
                    self.states.append(output.state)
                self.health = output
                if output.state in (BookState.LIVE, BookState.ONE_SIDED):
                    assert (output.epoch, output.seq) == (self.reader.epoch, self.reader.seq)
                    two_sided = bool(self.reader.bids and self.reader.asks)
                    assert two_sided is (output.state is BookState.LIVE), "an empty side is no market"
