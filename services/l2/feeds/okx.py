"""OKX v5: snapshot in band, then updates chained by ``prevSeqId`` and ``seqId``.

Source: okx.com/docs-v5/en, WS order book channel, WS trades channel and GET candlesticks history, 2026-07-07.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType, field

from libs.common.time_units import NS_PER_MS
from libs.common.venues import venue_of
from services.l2.feeds.feed import Feed, Step
from services.l2.feeds.frames import (
    EpochMs,
    FrameDecoder,
    Id,
    Price,
    Size,
    bad_frame,
    ignored,
    opened,
    spared,
)
from services.l2.feeds.instruments import of_okx
from services.l2.feeds.ohlc import candles_of
from services.l2.feeds.venue_messages import (
    Acknowledged,
    Heartbeat,
    Reconnect,
    Refused,
    VenueDelta,
    VenueSnapshot,
    VenueTrade,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from libs.common.events import Candle, InstrumentTerms, Interval, Level
    from services.l2.feeds.venue_messages import Unlisted, VenueMessage

_VENUE: Final = "okx"
_CLOSING: Final = "64008"  # of a notice: this connection will be closed soon
_BOOKS: Final = b'{"arg":{"channel":"books",'  # how the frame that comes most begins
_CANDLE_LIMIT: Final = 300  # the most there is
_BARS: Final = {"1m": ("1m", 60_000), "1d": ("1Dutc", 86_400_000)}  # spelling, ms; plain 1D opens at UTC+8
_UPGRADE: Final = "64008"  # the connection will soon be closed for a service upgrade
_HEARTBEAT: Final = (Heartbeat(),)


class Arg(msgspec.Struct, frozen=True, gc=False):
    """Which channel of which instrument a frame is of."""

    channel: str
    inst_id: str = field(name="instId", default="")


class _Frame(msgspec.Struct, frozen=True):
    """Any frame: a channel's data, or an event."""

    arg: Arg | UnsetType = UNSET
    event: str | UnsetType = UNSET
    data: Raw | UnsetType = UNSET


class _Event(msgspec.Struct, frozen=True):
    event: str
    arg: Arg | UnsetType = UNSET
    code: str | int = ""
    msg: str = ""

    def __str__(self) -> str:
        return f"{self.code} {self.msg}".strip()


class _Change(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A level; after it come a deprecated "0" and the number of orders."""

    price: Price
    size: Size


class _Update(msgspec.Struct, frozen=True, gc=False):
    bids: tuple[_Change, ...]
    asks: tuple[_Change, ...]
    ts: EpochMs
    seq_id: Id = field(name="seqId")
    prev_seq_id: Annotated[int, Meta(ge=-1, le=2**63 - 1)] = field(name="prevSeqId")


class _Snapshot(msgspec.Struct, frozen=True, gc=False):
    bids: tuple[_Change, ...]
    asks: tuple[_Change, ...]
    ts: EpochMs
    seq_id: Id = field(name="seqId")


class _UpdateFrame(msgspec.Struct, frozen=True, tag_field="action", tag="update", gc=False):
    arg: Arg
    data: tuple[_Update, ...]


class _SnapshotFrame(msgspec.Struct, frozen=True, tag_field="action", tag="snapshot", gc=False):
    arg: Arg
    data: tuple[_Snapshot, ...]


class _Trade(msgspec.Struct, frozen=True, gc=False):
    """The matches of one taker at one price; `trade_id` is the last one's."""

    trade_id: Id = field(name="tradeId")
    price: Price = field(name="px")
    size: Size = field(name="sz")
    side: Literal["buy", "sell"]  # "of taker"
    ts: EpochMs


class _Trades(msgspec.Struct, frozen=True):
    data: tuple[_Trade, ...]


class _CandleRow(msgspec.Struct, frozen=True, array_like=True):
    open_ms: EpochMs
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Size  # base units, for spot
    volume_ccy: float
    volume_quote: float
    confirm: Literal["0", "1"]  # "1": completed


class _CandleReply(msgspec.Struct, frozen=True):
    code: str
    msg: str = ""
    data: tuple[_CandleRow, ...] = ()


_frame: Final = FrameDecoder[_Frame](_VENUE, _Frame)
_event: Final = FrameDecoder[_Event](_VENUE, _Event)
_book_frame: Final = FrameDecoder[_UpdateFrame | _SnapshotFrame](_VENUE, _UpdateFrame | _SnapshotFrame)
_trades: Final = FrameDecoder[_Trades](_VENUE, _Trades)
_candles: Final = FrameDecoder[_CandleReply](_VENUE, _CandleReply)


class OkxFeed(Feed):
    """OKX spot, the public channel ``books`` of 400 levels every 100 ms.

    Notes
    -----
    Before a pair opens for trading its book may be crossed, and is then not LIVE.
    """

    venue = _VENUE
    # The snapshot comes in band: the REST book has no id that joins it to the stream.
    depth: int | None = 400  # the server itself deletes what leaves the window
    # The venue closes what was idle for 30 s and answers a ping (okx.com/docs-v5/en, "Connect", 2026-07-07);
    # often enough that one slow answer is no silence.
    silence_s = 15.0
    ping_interval_s: float | None = 5.0
    contiguous_trades = False  # a message may stand for several trades

    def stream_url(self, base: str, symbol: str) -> str:  # noqa: ARG002 -- one address for all symbols
        """Return the address of the public channels."""
        return f"{base}/ws/v5/public"

    def subscribe(self, symbol: str) -> tuple[str, ...]:
        """Return the subscription to book and trades."""
        args = [{"channel": channel, "instId": spelled(symbol)} for channel in ("books", "trades")]
        return (msgspec.json.encode({"op": "subscribe", "args": args}).decode(),)

    def ping(self) -> str:
        """Return the bare word that the venue answers with another."""
        return "ping"

    def parse(self, raw: bytes, symbol: str) -> Sequence[VenueMessage]:
        """Return what a frame says about `symbol`."""
        name = spelled(symbol)
        if raw.startswith(_BOOKS):
            return self.book_messages(raw, name)
        if raw == b"pong":
            return _HEARTBEAT
        frame = opened(_frame, raw)
        if frame is None:
            return ignored("a frame that is no object")
        if frame.event is not UNSET:
            return spared(raw, lambda: _said(_event.decode(raw), name))
        if frame.arg is UNSET:
            return _without_channel(frame, raw)
        if frame.arg.channel == "books":
            return self.book_messages(raw, name)
        if frame.arg.channel != "trades":
            return ignored("a channel", frame.arg.channel)
        return spared(raw, lambda: _trades_of(raw), trades=True) if frame.arg.inst_id == name else ()

    def book_messages(self, raw: bytes, name: str) -> Sequence[VenueMessage]:
        """Return the snapshot or updates in a frame of the channel ``books``."""
        frame = _book_frame.decode(raw)
        if frame.arg.inst_id != name:
            return ()
        if isinstance(frame, _UpdateFrame):
            return [_delta_of(update) for update in frame.data]
        return [_snapshot_of(snapshot) for snapshot in frame.data]

    def step(self, position: int | None, delta: VenueDelta) -> Step:
        """Place a delta after the book's id.

        Notes
        -----
        "The prevSeqId in the new message matches with seqId of the previous message. ... Exceptions: 1. If
        there are no updates to the depth for an extended period (around 60 seconds), ... OKX will send a
        message with 'asks': [], 'bids': [] to inform users that the connection is still active. seqId is the
        same as the last sent message and prevSeqId equals to seqId. 2. The sequence number may be reset due
        to maintenance, and in this case, users will receive an incremental message with seqId smaller than
        prevSeqId. However, subsequent messages will follow the regular sequencing rule."

        So only prevSeqId is compared, which both exceptions obey. A repeated message is a gap: since ids may
        come again after a reset, an id already seen does not prove that its message was applied.

        References
        ----------
        okx.com/docs-v5/en, WS order book channel, "Sequence ID", 2026-07-07.
        """
        return Step.APPLY if position is not None and delta.first == position else Step.GAP

    def checksum(self, bids: Sequence[str], asks: Sequence[str]) -> int:
        """Refuse: "its value is fixed to 0 and must no longer be used" (the same page, since 2026-06-23)."""
        raise NotImplementedError("okx publishes no checksum any more")

    def candles_url(self, base: str, symbol: str, interval: Interval, since_ts: int) -> str | None:
        """Return the address of the 300 intervals from `since_ts` (ns) on.

        Both bounds are excluded by the venue, which answers the newest rows between them.
        """
        bar, length_ms = _BARS[interval]
        since_ms = since_ts // NS_PER_MS
        return (
            f"{base}/api/v5/market/history-candles?instId={spelled(symbol)}&bar={bar}"
            f"&before={since_ms - 1}&after={since_ms + _CANDLE_LIMIT * length_ms}&limit={_CANDLE_LIMIT}"
        )

    def parse_candles(self, body: bytes, symbol: str, interval: Interval) -> tuple[Candle, ...]:
        """Return the candles of a REST reply, oldest first; the venue says of each whether it is closed."""
        reply = _candles.decode(body)
        if reply.code != "0":
            raise bad_frame(_VENUE, f"{reply.code} {reply.msg}", body)
        rows = [
            (row.open_ms * NS_PER_MS, row, int(row.volume > 0))  # the venue counts none: 1 stands for some
            for row in reversed(reply.data)
        ]
        candles = candles_of(self.venue, symbol, interval, rows)
        return tuple(
            msgspec.structs.replace(candle, closed=row.confirm == "1")
            for candle, row in zip(candles, reversed(reply.data), strict=True)
        )

    def instrument_url(self, base: str, symbol: str) -> str | None:
        """Return the address of the instrument."""
        return f"{base}/api/v5/public/instruments?instType=SPOT&instId={spelled(symbol)}"

    def parse_instrument(self, body: bytes, symbol: str, status: int) -> InstrumentTerms | Unlisted:
        """Return what the reply says of the symbol."""
        return of_okx(body, spelled(symbol), status)


def spelled(symbol: str) -> str:
    """Return OKX's instrument id of a canonical symbol."""
    return venue_of(_VENUE).spell(symbol)


def _without_channel(frame: _Frame, raw: bytes) -> Sequence[VenueMessage]:
    if frame.data is not UNSET:
        raise bad_frame(_VENUE, "data without their channel, which may be the book's", raw)
    return ignored("neither a channel's data nor an event")


def _said(event: _Event, name: str) -> Sequence[VenueMessage]:
    """Return what an event says.

    Notes
    -----
    The notice 64008 comes 30 s before the service is upgraded and the connection closed, so that another can
    be made in time.

    References
    ----------
    okx.com/docs-v5/en, WebSocket, "Notification", 2026-07-07.
    """
    if event.event == "error":
        return (Refused(str(event) or "without a reason"),)
    if event.event == "notice" and str(event.code) == _UPGRADE:
        return (Reconnect(str(event)),)
    if event.event == "channel-conn-count":
        return _HEARTBEAT  # how many connections of a channel there are: told with each subscription
    if event.event != "subscribe":
        return ignored("an event", f"{event.event} {event}".strip())
    if event.arg is not UNSET and event.arg.inst_id != name:
        return ()
    return (Acknowledged(),)


def _levels(levels: Iterable[_Change]) -> tuple[Level, ...]:
    return tuple([(level.price, level.size) for level in levels])


def _snapshot_of(snapshot: _Snapshot) -> VenueSnapshot:
    return VenueSnapshot(
        bids=_levels(snapshot.bids),
        asks=_levels(snapshot.asks),
        sequence=snapshot.seq_id,
        venue_ts=snapshot.ts * NS_PER_MS,
    )


def _delta_of(update: _Update) -> VenueDelta:
    return VenueDelta(
        bids=_levels(update.bids),
        asks=_levels(update.asks),
        first=update.prev_seq_id,
        last=update.seq_id,
        venue_ts=update.ts * NS_PER_MS,
    )


def _trades_of(raw: bytes) -> Sequence[VenueMessage]:
    return [_trade_of(trade) for trade in _trades.decode(raw).data]


def _trade_of(trade: _Trade) -> VenueTrade:
    return VenueTrade(
        trade_id=str(trade.trade_id),
        price=trade.price,
        size=trade.size,
        side=trade.side,
        venue_ts=trade.ts * NS_PER_MS,
    )
