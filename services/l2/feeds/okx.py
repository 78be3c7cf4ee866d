"""OKX v5: snapshot in band, then updates chained by ``prevSeqId`` and ``seqId``.

Source: okx.com/docs-v5/en, WS order book channel, WS trades channel and GET candlesticks history, 2026-07-07.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from libs.common.venues import venue_of
from services.l2.feeds.feed import (
    Acknowledged,
    Heartbeat,
    Refused,
    Step,
    VenueDelta,
    VenueSnapshot,
    VenueTrade,
)
from services.l2.feeds.frames import NS_PER_MS, EpochMs, FrameDecoder, Id, Price, Quantity, Size, bad_frame
from services.l2.feeds.ohlc import OhlcRow, candles_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from libs.common.events import Candle, Level
    from services.l2.feeds.digits import DigitBook
    from services.l2.feeds.feed import Interval, VenueMessage

_VENUE: Final = "okx"
_BOOKS: Final = b'{"arg":{"channel":"books",'  # how the frame that comes most begins
_CANDLE_LIMIT: Final = 300  # the most there is
_BARS: Final = {"1m": ("1m", 60_000), "1d": ("1Dutc", 86_400_000)}  # spelling, ms; plain 1D opens at UTC+8
_HEARTBEAT: Final = (Heartbeat(),)


class Arg(msgspec.Struct, frozen=True, gc=False):
    """Which channel of which instrument a frame is of."""

    channel: str
    inst_id: str = field(name="instId", default="")


class _Frame(msgspec.Struct, frozen=True):
    """Any frame: a channel's data, or an event."""

    arg: Arg | UnsetType = UNSET
    event: str | UnsetType = UNSET
    code: str = ""
    msg: str = ""


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
    size: Quantity = field(name="sz")
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
_book_frame: Final = FrameDecoder[_UpdateFrame | _SnapshotFrame](_VENUE, _UpdateFrame | _SnapshotFrame)
_trades: Final = FrameDecoder[_Trades](_VENUE, _Trades)
_candles: Final = FrameDecoder[_CandleReply](_VENUE, _CandleReply)


class OkxFeed:
    """OKX spot, the public channel ``books`` of 400 levels every 100 ms.

    Notes
    -----
    Before a pair opens for trading its book may be crossed, and is then not LIVE.
    """

    venue = _VENUE
    snapshot_by_rest = False
    depth: int | None = 400  # the server itself deletes what leaves the window
    silence_s = 15.0  # a pong comes at least every 10 s
    ping_interval_s: float | None = 10.0  # the server drops who was silent for 30 s
    pong_interval_s: float | None = None
    contiguous_trades = False  # a message may stand for several trades
    placed_by_time = False

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
        frame = _frame.decode(raw)
        if frame.event is not UNSET:
            return _answer(frame, name)
        if frame.arg is UNSET:
            raise bad_frame(_VENUE, "neither a channel's data nor an event", raw)
        if frame.arg.channel == "books":
            return self.book_messages(raw, name)
        if frame.arg.inst_id != name:
            return ()
        if frame.arg.channel == "trades":
            return [_trade_of(trade) for trade in _trades.decode(raw).data]
        return _HEARTBEAT

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

    def new_digit_book(self) -> DigitBook | None:
        """Return nothing: there is no checksum to keep digits for."""
        return None

    def snapshot_url(self, base: str, symbol: str) -> str:
        """Refuse: the REST book has no id that joins it to the stream."""
        raise NotImplementedError("okx sends its snapshot in band")

    def parse_snapshot(self, body: bytes) -> VenueSnapshot:
        """Refuse, as `snapshot_url` does."""
        raise NotImplementedError("okx sends its snapshot in band")

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
            OhlcRow(
                open_ts=row.open_ms * NS_PER_MS,
                open=row.open,
                high=row.high,
                low=row.low,
                close=row.close,
                volume=row.volume,
                trades=int(row.volume > 0),  # the venue counts none: 1 stands for some
            )
            for row in reversed(reply.data)
        ]
        candles = candles_of(self.venue, symbol, interval, rows)
        return tuple(
            msgspec.structs.replace(candle, closed=row.confirm == "1")
            for candle, row in zip(candles, reversed(reply.data), strict=True)
        )


def spelled(symbol: str) -> str:
    """Return OKX's instrument id of a canonical symbol."""
    return venue_of(_VENUE).spell(symbol)


def _answer(frame: _Frame, name: str) -> Sequence[VenueMessage]:
    if frame.event == "error":
        return (Refused(f"{frame.code} {frame.msg}".strip() or "without a reason"),)
    if frame.event != "subscribe":
        return _HEARTBEAT  # a notice, say, that the server will close this connection soon
    if frame.arg is not UNSET and frame.arg.inst_id != name:
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


def _trade_of(trade: _Trade) -> VenueTrade:
    return VenueTrade(
        trade_id=str(trade.trade_id),
        price=trade.price,
        size=trade.size,
        side=trade.side,
        venue_ts=trade.ts * NS_PER_MS,
    )
