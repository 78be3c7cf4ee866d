"""Replay of Bybit v5 spot: a snapshot in band, then deltas counted by their topic.

Formats: bybit-exchange/docs, `v5/ws/connect.mdx` and `v5/websocket/public/orderbook.mdx`, as of 2026-07-24,
and the recordings of 2026-08.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

import msgspec

from libs.common.time_units import NS_PER_MS, NS_PER_S
from simulator.recordings import RestReply
from simulator.replay_books import Row, SnapshotBook
from simulator.replay_venue import Answer, Awaiting, Delivery, HttpReply, Played, Replay, Session, dumps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simulator.recordings import Frame

LIVE: Final = "bybit"  # of 50 levels; books of another depth have an id of their own, like bybit-200
LIVE_DEPTH: Final = 50
DEPTHS: Final = (50, 200, 1000)
HOST: Final = "stream.bybit.com"
STREAM: Final = "/v5/public/spot"  # the linear market has the same topics at another path
MAX_ARGS: Final = 10


class _Frame(msgspec.Struct):
    topic: str = ""
    type: Literal["snapshot", "delta", ""] = ""
    ts: int = 0
    data: msgspec.Raw = msgspec.Raw(b"")
    cts: int = 0


class _BookData(msgspec.Struct):
    s: str
    b: list[Row]
    a: list[Row]
    u: int
    seq: int = 0


class _Request(msgspec.Struct):
    op: Literal["subscribe", "unsubscribe", "ping"]
    args: list[str] = []
    req_id: str | None = None


_decode_frame: Final = msgspec.json.Decoder(_Frame).decode
_decode_book: Final = msgspec.json.Decoder(_BookData).decode
_decode_request: Final = msgspec.json.Decoder(_Request).decode


class _Book(SnapshotBook):
    def __init__(self, topic: str, symbol: str) -> None:
        super().__init__(symbol)
        self.topic = topic
        self.data = _BookData("", [], [], 0)
        self.ts = self.cts = 0

    def play(self, frame: _Frame) -> None:
        self.data, self.ts, self.cts = _decode_book(frame.data), frame.ts, frame.cts
        whole = frame.type == "snapshot" or self.data.u == 1  # the service restarted
        self.take(self.data.b, self.data.a, whole=whole, sequence=self.data.u)

    def snapshot(self) -> str:
        data = {"s": self.data.s, "b": self.levels.bids(), "a": self.levels.asks()}
        numbered = data | {"u": self.data.u, "seq": self.data.seq}
        times = {"cts": self.cts} if self.cts else {}
        return dumps({"topic": self.topic, "ts": self.ts, "type": "snapshot", "data": numbered} | times)


class BybitReplay(Replay[_Book]):
    """Bybit's side of a replay; the recorded topics tell the depth of the books, and so this venue's id."""

    socket_paths: tuple[str, ...] = tuple(
        f"/{venue}{STREAM}" for venue in (LIVE, *(f"{LIVE}-{depth}" for depth in DEPTHS[1:]))
    )
    rest_paths: tuple[str, ...] = tuple(
        f"{path.removesuffix(STREAM)}/v5/market/{route}"
        for path in socket_paths
        for route in ("kline", "time")
    )

    def __init__(self) -> None:
        self.venue = LIVE
        super().__init__()
        self._topics: set[str] = set()
        self._depth: int | None = None

    def owns(self, url: str) -> bool:
        """Return whether `url` is the spot stream, the exchange's own or the simulator's."""
        parts = urlsplit(url)
        return (parts.hostname == HOST and parts.path == STREAM) or parts.path in self.socket_paths

    def learn(self, record: Frame | RestReply) -> None:
        """Note topics, which books start with a snapshot, and of which depth they are.

        Raises
        ------
        msgspec.DecodeError
            If the frame is not what the venue documents, or the books are of several depths.
        """
        frame = _read(record)
        if frame is None:
            return
        self._topics.add(frame.topic)
        depth = _depth_of(frame.topic)
        if depth is None or frame.type != "snapshot" or frame.topic in self._books:
            return
        if depth != (self._depth or depth):
            raise msgspec.ValidationError(
                f"books of {self._depth} and of {depth} levels cannot be replayed together"
            )
        spelling = frame.topic.rpartition(".")[2]
        symbol = self.symbol_of(spelling)
        if symbol is None:
            return
        self._depth = depth
        self.venue = LIVE if depth == LIVE_DEPTH else f"{LIVE}-{depth}"
        self._books[frame.topic] = _Book(frame.topic, symbol)

    def play(self, record: Frame | RestReply) -> Played:
        """Apply a book message, and say whose the frame is."""
        frame = _read(record)
        if frame is None:
            return None
        if book := self._books.get(frame.topic):
            book.play(frame)
        return Delivery(frame.topic, record.text, record.text)

    def request(self, session: Session, text: str, now: int) -> Answer:  # noqa: ARG002 -- the protocol's
        """Answer ``ping``, ``subscribe`` and ``unsubscribe``; who comes late gets the book as it is now."""
        try:
            request = _decode_request(text)
        except msgspec.DecodeError as error:
            return Answer(
                (_said(session, "", None, f"Failed to decode incoming data:{error}", success=False),)
            )
        if request.op == "ping":
            return Answer((_said(session, "ping", request.req_id, "pong"),))
        if refusal := self._refusal(session, request):
            return Answer((_said(session, request.op, request.req_id, refusal, success=False),))
        acknowledgement = _said(session, request.op, request.req_id, request.op)
        if request.op == "unsubscribe":
            return Answer((acknowledgement,), unsubscribed=tuple(request.args))
        late = self._late(request.args)
        return Answer((acknowledgement, *late), subscribed=tuple(request.args))

    def rest(self, path: str, query: Mapping[str, str], now: int) -> HttpReply | Awaiting:
        """Answer the time, and no candles: a recording has no history from before it."""
        result: dict[str, object] = {"timeSecond": str(now // NS_PER_S), "timeNano": str(now)}
        if not path.endswith("/time"):
            result = {"category": "spot", "symbol": query.get("symbol", ""), "list": []}
        said = {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": now // NS_PER_MS}
        return HttpReply(200, dumps(said))

    def _refusal(self, session: Session, request: _Request) -> str | None:
        if not request.args:
            return "error:args is empty"
        if len(request.args) > MAX_ARGS:
            return f"args size >{MAX_ARGS}"
        for topic in request.args:
            if topic not in self._topics and not self._is_trade(topic):
                return f"error:handler not found,topic:{topic[:100]}"
            if request.op == "subscribe" and topic in session.topics:
                return f"error:already subscribed,topic:{topic}"
        return None

    def _is_trade(self, topic: str) -> bool:
        """Return whether the topic is the trades of a recorded book; a recording may be of books alone."""
        kind, _, spelling = topic.partition(".")
        return kind == "publicTrade" and f"orderbook.{self._depth}.{spelling}" in self._books

    def _late(self, topics: Sequence[str]) -> list[str]:
        books = (self._books.get(topic) for topic in topics)
        return [book.snapshot() for book in books if book is not None and book.known]


def _read(record: Frame | RestReply) -> _Frame | None:
    """Return a topic's frame; None for replies and for answers to the recorder."""
    if isinstance(record, RestReply):
        return None
    frame = _decode_frame(record.text)
    return frame if frame.topic else None


def _depth_of(topic: str) -> int | None:
    """Return the depth of a book's topic that has deltas."""
    return next((depth for depth in DEPTHS if topic.startswith(f"orderbook.{depth}.")), None)


def _said(session: Session, op: str, req_id: str | None, text: str, *, success: bool = True) -> str:
    said: dict[str, object] = {"success": success, "ret_msg": text, "conn_id": f"{session.number:08x}"}
    return dumps(said | ({} if req_id is None else {"req_id": req_id}) | {"op": op})
