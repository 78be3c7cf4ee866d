"""Coinbase Advanced Trade: snapshot in band, and one count of the connection's frames over all channels.

Source: docs.cdp.coinbase.com, Advanced Trade `websocket-overview`, `level2`, `market-trades` and
`get-public-product-candles`, 2026-08. What these leave open was measured on the recording of 2026-08-09.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType, field

from libs.common.time_units import DAY_S, NS_PER_S
from libs.common.venues import venue_of
from services.l2.feeds.feed import Feed, Step
from services.l2.feeds.frames import FrameDecoder, Id, Price, Size, bad_frame, ignored, opened, spared
from services.l2.feeds.instruments import of_coinbase
from services.l2.feeds.moments import Moment, ns_of
from services.l2.feeds.ohlc import candles_of
from services.l2.feeds.venue_messages import (
    Acknowledged,
    FrameNumber,
    Heartbeat,
    Refused,
    VenueDelta,
    VenueSnapshot,
    VenueTrade,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import Candle, InstrumentTerms, Interval, Level
    from services.l2.feeds.venue_messages import Unlisted, VenueMessage

_VENUE: Final = "coinbase"
_CHANNELS: Final = ("level2", "market_trades", "heartbeats")
_COUNTED: Final = frozenset({"market_trades", "heartbeats", "subscriptions"})  # beside the book's l2_data
_BOOK_BEGIN: Final = b'{"channel":"l2_data",'
_GRANULARITY: Final = {"1m": ("ONE_MINUTE", 60), "1d": ("ONE_DAY", DAY_S)}  # name, seconds
_CANDLE_SPAN: Final = 299  # intervals from start to end, which both count; 300 are sure to be served


class _Frame(msgspec.Struct, frozen=True):
    """Any frame: a channel's events, or an error."""

    channel: str | UnsetType = UNSET
    number: Id | UnsetType = field(name="sequence_num", default=UNSET)
    events: Raw | UnsetType = UNSET
    type: str | UnsetType = UNSET


class _Error(msgspec.Struct, frozen=True):
    message: str = ""
    reason: str = ""


class _Change(msgspec.Struct, frozen=True, gc=False):
    side: Literal["bid", "offer"]
    price: Price = field(name="price_level")
    size: Size = field(name="new_quantity")


class _BookEvent(msgspec.Struct, frozen=True, gc=False):
    type: Literal["snapshot", "update"]
    product_id: str
    updates: tuple[_Change, ...]


class _BookFrame(msgspec.Struct, frozen=True, gc=False):
    """The frame that comes most, for one decoding instead of two."""

    channel: Literal["l2_data"]
    timestamp: Moment
    number: Id = field(name="sequence_num")
    events: tuple[_BookEvent, ...]


class _Trade(msgspec.Struct, frozen=True, gc=False):
    product_id: str
    trade_id: Id
    price: Price
    size: Size
    time: Moment
    side: Literal["BUY", "SELL"]  # the maker's


class _TradeEvent(msgspec.Struct, frozen=True, gc=False):
    type: Literal["snapshot", "update"]
    trades: tuple[_Trade, ...]


class _Candle(msgspec.Struct, frozen=True, gc=False):
    start: Annotated[int, Meta(ge=0, le=9_000_000_000)]  # seconds UTC
    low: Price
    high: Price
    open: Price
    close: Price
    volume: Size


class _Candles(msgspec.Struct, frozen=True):
    candles: tuple[_Candle, ...]


_frame: Final = FrameDecoder[_Frame](_VENUE, _Frame)
_error: Final = FrameDecoder[_Error](_VENUE, _Error)
_book_frame: Final = FrameDecoder[_BookFrame](_VENUE, _BookFrame)
_trade_events: Final = FrameDecoder[tuple[_TradeEvent, ...]](_VENUE, tuple[_TradeEvent, ...])
_candles: Final = FrameDecoder[_Candles](_VENUE, _Candles)


class CoinbaseFeed(Feed):
    """Coinbase Advanced Trade, spot, without a key."""

    venue = _VENUE
    # The snapshot comes in band: the REST book shares no number with the stream.
    silence_s = 5.0  # a heartbeat comes every second (websocket-channels, 2026-08)
    # the channel heartbeats keeps the connection open
    contiguous_trades = True

    def stream_url(self, base: str, symbol: str) -> str:  # noqa: ARG002 -- one address for all symbols
        """Return the root of the base."""
        return f"{base}/"

    def subscribe(self, symbol: str) -> tuple[str, ...]:
        """Return the subscriptions: a message of each channel, as the venue demands (websocket-overview)."""
        products = [_spelled(symbol)]
        return tuple(
            msgspec.json.encode({"type": "subscribe", "product_ids": products, "channel": channel}).decode()
            for channel in _CHANNELS
        )

    def parse(self, raw: bytes, symbol: str) -> Sequence[VenueMessage]:
        """Return the frame's number, then what it says about `symbol`.

        Notes
        -----
        `sequence_num` rises by exactly one from frame to frame; a larger step means that frames were lost.
        It counts the frames of the connection from 0, whatever their channel and product, so all of them must
        be looked at, and a hole concerns every book of the connection. A frame with a number that came before
        may be ignored.

        References
        ----------
        websocket-overview, "Sequence Numbers", 2026-08, which leaves open whose frames are counted: 1030 of
        six channels and two products, recorded on 2026-08-09, have no hole.
        """
        spelled = _spelled(symbol)
        if raw.startswith(_BOOK_BEGIN):
            return _book_messages(_book_frame.decode(raw), spelled)
        frame = opened(_frame, raw)
        if frame is None:
            return ignored("a frame that is no object")
        if frame.channel == "l2_data":
            return _book_messages(_book_frame.decode(raw), spelled)
        number = () if frame.number is UNSET else (FrameNumber(frame.number),)
        if frame.channel is UNSET:
            return *number, *_without_channel(frame, raw)
        if frame.channel not in _COUNTED:
            return *number, *ignored("a channel", frame.channel)
        return *number, *spared(
            raw, lambda: _channel_messages(frame, raw, spelled), trades=frame.channel == "market_trades"
        )

    def step(self, position: int | None, delta: VenueDelta) -> Step:
        """Accept what is not older than the book; that nothing is missing, the frames' numbers prove."""
        if position is None or delta.last is None or delta.last < position:
            return Step.GAP
        return Step.APPLY

    def candles_url(self, base: str, symbol: str, interval: Interval, since_ts: int) -> str | None:
        """Return the address of the 300 intervals from `since_ts` (ns) on; quiet ones have no candle."""
        name, length_s = _GRANULARITY[interval]
        start_s = since_ts // NS_PER_S // length_s * length_s
        return (
            f"{base}/api/v3/brokerage/market/products/{_spelled(symbol)}/candles"
            f"?start={start_s}&end={start_s + _CANDLE_SPAN * length_s}&granularity={name}"
        )

    def parse_candles(self, body: bytes, symbol: str, interval: Interval) -> tuple[Candle, ...]:
        """Return the candles of a REST reply, oldest first; the last may still be open.

        The venue does not say how many trades they are made of, so that is 0.
        """
        rows = [
            (candle.start * NS_PER_S, candle, 0)
            for candle in reversed(_candles.decode(body).candles)  # the newest comes first
        ]
        return candles_of(_VENUE, symbol, interval, rows)

    def instrument_url(self, base: str, symbol: str) -> str | None:
        """Return the address of the product."""
        return f"{base}/api/v3/brokerage/market/products/{_spelled(symbol)}"

    def parse_instrument(self, body: bytes, symbol: str, status: int) -> InstrumentTerms | Unlisted:
        """Return what the reply says of the symbol."""
        return of_coinbase(body, _spelled(symbol), status)


@lru_cache
def _spelled(symbol: str) -> str:
    return venue_of(_VENUE).spell(symbol)


def _without_channel(frame: _Frame, raw: bytes) -> Sequence[VenueMessage]:
    """Return what a frame without a channel says; unknown types are to be ignored (websocket-overview)."""
    if frame.events is not UNSET:
        raise bad_frame(_VENUE, "events without their channel, which may be the book's", raw)
    if frame.type == "error":
        return spared(raw, lambda: (_refusal(raw),))
    if frame.type is not UNSET:
        return ignored("a type", frame.type)
    return ignored("neither a channel's events nor a type")


def _refusal(raw: bytes) -> Refused:
    error = _error.decode(raw)
    return Refused(": ".join(filter(None, (error.message, error.reason))) or "without a reason")


def _channel_messages(frame: _Frame, raw: bytes, spelled: str) -> Sequence[VenueMessage]:
    if frame.number is UNSET or frame.events is UNSET:
        raise bad_frame(_VENUE, f"{frame.channel} without sequence_num or events", raw)
    if frame.channel == "market_trades":
        return _trades(frame.events, spelled)
    return (Acknowledged() if frame.channel == "subscriptions" else Heartbeat(),)


def _book_messages(frame: _BookFrame, spelled: str) -> Sequence[VenueMessage]:
    ts = ns_of(frame.timestamp)
    ours = (event for event in frame.events if event.product_id == spelled)
    return FrameNumber(frame.number), *(_book_message(event, frame.number, ts) for event in ours)


def _book_message(event: _BookEvent, number: int, ts: int) -> VenueSnapshot | VenueDelta:
    """Split the changes by side.

    A `new_quantity` of 0 removes the level (level2, 2026-08). It is compared as a number, since the venue has
    spelled zero in six ways; in a snapshot it is no level.
    """
    bids: list[Level] = []
    asks: list[Level] = []
    for change in event.updates:
        (bids if change.side == "bid" else asks).append((change.price, change.size))
    if event.type == "snapshot":
        return VenueSnapshot(bids=tuple(bids), asks=tuple(asks), sequence=number, venue_ts=ts)
    return VenueDelta(bids=tuple(bids), asks=tuple(asks), first=number, last=number, venue_ts=ts)


def _trades(events: Raw, spelled: str) -> list[VenueTrade]:
    """Return the trades of updates, oldest first; those of a snapshot were before we came.

    Within an update the newest comes first, and `side` is the maker's: of 78 recorded trades 73 are SELL near
    the best ask or BUY near the best bid, and the others moved the book.
    """
    return [
        VenueTrade(
            trade_id=str(trade.trade_id),
            price=trade.price,
            size=trade.size,
            side="sell" if trade.side == "BUY" else "buy",
            venue_ts=ns_of(trade.time),
        )
        for event in _trade_events.decode(events)
        if event.type == "update"
        for trade in reversed(event.trades)
        if trade.product_id == spelled
    ]
