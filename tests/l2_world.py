"""The l2 core, a model exchange and a clock in one process; the test rules every message on the wire.

The naive reader is the second implementation: dicts, fed only with what l2 publishes. After each event its
book must be the exchange's truth; a LIVE health must never be said of anything else.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from libs.common.events import BookDelta, BookHealth, BookSnapshot, BookState, BookTop
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
    OpenSocket,
    Output,
    ReplyReceived,
    SocketClosed,
    SocketOpened,
    Tick,
)
from services.l2.policy import Policy
from tests.model_exchange import BinanceModel, Book, KrakenModel, Side, book_of

MS = 1_000_000
START = 1_790_000_000_000_000_000
POLICY = Policy(
    keyframe_ns=10_000 * MS,
    top_interval_ns=100 * MS,
    heartbeat_ns=1_000 * MS,
    sync_timeout_ns=15_000 * MS,
    buffer_messages=200,
    backoff_min_ns=250 * MS,
    backoff_max_ns=2_000 * MS,
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

    def __init__(self, exchange: BinanceModel | KrakenModel, epoch: int = 0) -> None:
        self.exchange = exchange
        self.now = START
        self.state = State(FEEDS, lambda venue: (f"ws://test/{venue}", f"http://test/{venue}"), POLICY)
        self.reader = NaiveReader()
        self.health: BookHealth | None = None
        self.states: list[BookState] = []
        self.dead: list[DeadLetter] = []
        self.deltas = 0
        self.tops: list[BookTop] = []
        self.connection: int | None = None
        self.fetches: deque[Fetch] = deque()
        self.snapshot_answers: deque[tuple[int, bytes, float | None]] = deque()  # instead of the true one
        self.cut_during_snapshot = False
        self.key = f"{exchange.venue}:BTC-USDT"
        self.tell(BookWanted(exchange.venue, "BTC-USDT", epoch))
        self.tell(CandlesKnown(self.key, ()))

    @property
    def live(self) -> bool:
        return self.health is not None and self.health.state is BookState.LIVE

    def tell(self, message: L2Message) -> None:
        for output in handle(self.state, message, self.now):
            self._take(output)

    def step(self, frames: list[bytes] | None = None) -> None:
        """Deliver frames (by default the exchange's next one), answer what was asked, let time pass."""
        for frame in [self.exchange.next_frame()] if frames is None else frames:
            self.deliver(frame)
        self.answer()
        self.now += 50 * MS
        self.tell(Tick())

    def deliver(self, frame: bytes) -> None:
        if self.connection is not None:
            self.tell(FrameReceived(self.key, self.connection, frame))

    def answer(self) -> None:
        while self.fetches:
            asked = self.fetches.popleft()
            if self.cut_during_snapshot:
                self.cut_during_snapshot = False
                self.disconnect("connection reset")
            assert isinstance(self.exchange, BinanceModel)
            status, body, retry = 200, self.exchange.snapshot(), None
            if self.snapshot_answers:
                status, body, retry = self.snapshot_answers.popleft()
            self.tell(ReplyReceived(asked.key, asked.request, asked.purpose, status, body, retry))

    def disconnect(self, reason: str) -> None:
        if self.connection is not None:
            connection, self.connection = self.connection, None
            self.tell(SocketClosed(self.key, connection, reason))

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

    def _take(self, output: Output) -> None:
        match output:
            case OpenSocket(connection=connection):
                self.connection = connection
                self.tell(SocketOpened(self.key, connection))
                if isinstance(self.exchange, KrakenModel):
                    self.deliver(self.exchange.snapshot_frame())
            case CloseSocket():
                self.connection = None
            case Fetch():
                self.fetches.append(output)
            case DeadLetter():
                self.dead.append(output)
            case BookSnapshot() | BookDelta():
                self.reader.read(output)
                self._venue_seq = output.venue_seq or 0
                self.deltas += isinstance(output, BookDelta)
                assert self.truth_holds(), f"{output} is not what the exchange had"
            case BookTop():
                self.tops.append(output)
                book = self.reader.book
                assert (output.bids, output.asks) == (book[0][:50], book[1][:50])
                assert output.seq == self.reader.seq
            case BookHealth():
                if self.health is None or output.state is not self.health.state:
                    self.states.append(output.state)
                self.health = output
                if output.state is BookState.LIVE:
                    assert (output.epoch, output.seq) == (self.reader.epoch, self.reader.seq)
