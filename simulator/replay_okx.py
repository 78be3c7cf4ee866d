"""Replay of OKX v5: a snapshot in band, then updates chained by ids, or in 2022 checksummed.

Formats: okx.com/docs-v5/en, WS order book channel, as of 2026-07-07, and the recording of 2022-05-13.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit
from zlib import crc32

import msgspec

from libs.common.time_units import NS_PER_MS
from simulator.recordings import RestReply
from simulator.replay_books import Row, SnapshotBook
from simulator.replay_venue import Answer, Awaiting, Delivery, HttpReply, Played, Replay, Session, dumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from simulator.recordings import Frame

TODAY: Final = "okx"
OF_2022: Final = "okx-v5-2022"  # books without ids, each message with a checksum
CHECKSUM_LEVELS: Final = 25
HOSTS: Final = frozenset({"ws.okx.com", "wsaws.okx.com", "wseea.okx.com", "wsus.okx.com"})
STREAM: Final = "/ws/v5/public"


class _Arg(msgspec.Struct, frozen=True, rename="camel"):
    channel: str
    inst_id: str = ""

    @property
    def topic(self) -> str:
        return f"{self.channel}:{self.inst_id}"


class _Frame(msgspec.Struct):
    arg: _Arg | None = None
    action: Literal["snapshot", "update", ""] = ""
    event: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


class _BookData(msgspec.Struct, rename="camel"):
    bids: list[Row]
    asks: list[Row]
    ts: str
    seq_id: int | None = None


class _Request(msgspec.Struct):
    op: Literal["subscribe", "unsubscribe"]
    args: list[_Arg]
    id: str | None = None


_decode_frame: Final = msgspec.json.Decoder(_Frame).decode
_decode_books: Final = msgspec.json.Decoder(list[_BookData]).decode
_decode_request: Final = msgspec.json.Decoder(_Request).decode


class _Book(SnapshotBook):
    seq_id: int | None = None
    ts = "0"

    def play(self, action: str, data: _BookData) -> None:
        self.seq_id, self.ts = data.seq_id, data.ts
        self.take(data.bids, data.asks, whole=action == "snapshot", sequence=data.seq_id)

    def snapshot(self, arg: _Arg) -> str:
        bids, asks = self.levels.bids(), self.levels.asks()
        proof: dict[str, object] = {"checksum": checksum(bids, asks)}
        if self.seq_id is not None:
            proof = {"checksum": 0, "seqId": self.seq_id, "prevSeqId": -1}
        data = {"asks": asks, "bids": bids, "ts": self.ts, **proof}
        named = {"channel": arg.channel, "instId": arg.inst_id}
        return dumps({"arg": named, "action": "snapshot", "data": [data]})


def checksum(bids: Iterable[Row], asks: Iterable[Row]) -> int:
    """Return the signed CRC32 of the best 25 levels, bids and asks in turn, as OKX made it until 2026-06."""
    best = zip_longest(list(bids)[:CHECKSUM_LEVELS], list(asks)[:CHECKSUM_LEVELS])
    rows = (row for pair in best for row in pair if row is not None)
    crc = crc32(":".join(f"{row[0]}:{row[1]}" for row in rows).encode())
    return crc - (crc >> 31 << 32)


class OkxReplay(Replay[_Book]):
    """OKX's side of a replay.

    Both protocols of OKX came from one address, so the recorded books tell which of them it is, and with it
    the id of this venue.
    """

    socket_paths: tuple[str, ...] = (f"/{TODAY}{STREAM}", f"/{OF_2022}{STREAM}")
    rest_paths: tuple[str, ...] = tuple(
        f"/{venue}/api/v5/{route}"
        for venue in (TODAY, OF_2022)
        for route in ("market/history-candles", "public/time")
    )

    def __init__(self) -> None:
        self.venue = TODAY
        super().__init__()
        self._topics: set[str] = set()
        self._protocol: str | None = None

    def owns(self, url: str) -> bool:
        """Return whether `url` is the public stream, the exchange's own or the simulator's."""
        parts = urlsplit(url)
        return (parts.hostname in HOSTS and parts.path == STREAM) or parts.path in self.socket_paths

    def learn(self, record: Frame | RestReply) -> None:
        """Note topics, which books start with a snapshot, and which protocol they are in.

        Raises
        ------
        msgspec.DecodeError
            If the frame is not what the venue documents, or the books are in both protocols.
        """
        frame = _read(record)
        if frame is None or frame.arg is None or frame.event:
            return
        self._topics.add(frame.arg.topic)
        if frame.arg.channel != "books":
            return
        for data in _decode_books(frame.data):
            protocol = OF_2022 if data.seq_id is None else TODAY
            if protocol != (self._protocol or protocol):
                raise msgspec.ValidationError(f"{self._protocol} and {protocol} cannot be replayed together")
            self.venue = self._protocol = protocol
        new = frame.action == "snapshot" and frame.arg.topic not in self._books
        if new and (symbol := self.symbol_of(frame.arg.inst_id)):
            self._books[frame.arg.topic] = _Book(symbol)

    def play(self, record: Frame | RestReply) -> Played:
        """Apply a book message, and say whose the frame is."""
        frame = _read(record)
        if frame is None or frame.arg is None or frame.event:
            return None
        if book := self._books.get(frame.arg.topic):
            for data in _decode_books(frame.data):
                book.play(frame.action, data)
        return Delivery(frame.arg.topic, record.text, record.text)

    def request(self, session: Session, text: str, now: int) -> Answer:  # noqa: ARG002 -- the protocol's
        """Answer ``ping``, ``subscribe`` and ``unsubscribe``; who comes late gets the book as it is now."""
        if text == "ping":
            return Answer(("pong",))
        try:
            request = _decode_request(text)
        except msgspec.DecodeError as error:
            return Answer((dumps(_error("60012", f"Invalid request: {error}") | _from(session)),))
        tail = _from(session) | ({} if request.id is None else {"id": request.id})
        frames: list[str] = []
        topics: list[str] = []
        for arg in request.args:
            if arg.topic not in self._topics:
                what = f"channel:{arg.channel[:40]},instId:{arg.inst_id[:40]} doesn't exist"
                frames.append(dumps(_error("60018", f"Wrong URL or {what}.") | tail))
                continue
            topics.append(arg.topic)
            frames.append(dumps({"event": request.op, "arg": msgspec.to_builtins(arg)} | tail))
            book = self._books.get(arg.topic)
            if book is not None and book.known and request.op == "subscribe":
                frames.append(book.snapshot(arg))
        if request.op == "subscribe":
            return Answer(tuple(frames), subscribed=tuple(topics))
        return Answer(tuple(frames), unsubscribed=tuple(topics))

    def rest(self, path: str, query: Mapping[str, str], now: int) -> HttpReply | Awaiting:  # noqa: ARG002 -- the protocol's
        """Answer the time, and no candles: a recording has no history from before it."""
        data = [{"ts": str(now // NS_PER_MS)}] if path.endswith("/time") else []
        return HttpReply(200, dumps({"code": "0", "msg": "", "data": data}))


def _read(record: Frame | RestReply) -> _Frame | None:
    """Return what a frame holds; None for replies and for the recorder's pongs."""
    if isinstance(record, RestReply) or record.text == "pong":
        return None
    return _decode_frame(record.text)


def _error(code: str, text: str) -> dict[str, object]:
    return {"event": "error", "code": code, "msg": text}


def _from(session: Session) -> dict[str, object]:
    return {"connId": f"{session.number:08x}"}
