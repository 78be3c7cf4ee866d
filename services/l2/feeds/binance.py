"""Binance spot: REST snapshot, then diffs with ids ``U..u``.

Source: github.com/binance/binance-spot-api-docs, `web-socket-streams.md` and `rest-api.md`, 2026-07-21.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType, field

from libs.common.time_units import NS_PER_MS
from libs.common.venues import venue_of
from services.l2.feeds.feed import BadFrameError, Feed, Step
from services.l2.feeds.frames import (
    Changes,
    Count,
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
from services.l2.feeds.instruments import of_binance
from services.l2.feeds.ohlc import candles_of
from services.l2.feeds.venue_messages import (
    Acknowledged,
    BestQuote,
    Reconnect,
    Refused,
    VenueDelta,
    VenueSnapshot,
    VenueTrade,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import Candle, InstrumentTerms, Interval
    from services.l2.feeds.venue_messages import Unlisted, VenueMessage

_VENUE: Final = "binance"
_CANDLE_LIMIT: Final = 1000  # the most there is
_SHUTDOWN: Final = "serverShutdown"
_SHUTDOWN_WORD: Final = _SHUTDOWN.encode()
_NOTICE_BYTES: Final = 512  # of the longest frame that may be one


class _Error(msgspec.Struct, frozen=True):
    code: int
    msg: str


class _Frame(msgspec.Struct, frozen=True):
    """Any frame: stream and data, or the answer to a request."""

    stream: str | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET
    event: str | UnsetType = field(name="e", default=UNSET)


class _Event(msgspec.Struct, frozen=True):
    name: str = field(name="e", default="")


class _Notice(msgspec.Struct, frozen=True):
    """An event raw, in combined form, or as the WebSocket API wraps it."""

    name: str = field(name="e", default="")
    data: _Event = _Event()
    event: _Event = _Event()


class _Depth(msgspec.Struct, frozen=True, gc=False):
    event: Literal["depthUpdate"] = field(name="e")
    event_ms: EpochMs = field(name="E")
    symbol: str = field(name="s")
    first: Id = field(name="U")
    last: Id = field(name="u")
    bids: Changes = field(name="b")
    asks: Changes = field(name="a")
    previous: Id | None = field(name="pu", default=None)  # futures only


class _DepthFrame(msgspec.Struct, frozen=True, gc=False):
    """The frame that comes most, for one decoding instead of two; its data say what they are and of what."""

    data: _Depth


class _Trade(msgspec.Struct, frozen=True, gc=False):
    event: Literal["trade"] = field(name="e")
    symbol: str = field(name="s")
    trade_id: Id = field(name="t")
    price: Price = field(name="p")
    size: Size = field(name="q")
    trade_ms: EpochMs = field(name="T")
    buyer_is_maker: bool = field(name="m")


class _Prices(msgspec.Struct, frozen=True):
    """The best prices as text, which may be of nothing."""

    bid: str = field(name="b")
    ask: str = field(name="a")


class _BookTicker(msgspec.Struct, frozen=True, gc=False):
    symbol: str = field(name="s")
    update_id: Id = field(name="u")
    bid: Price = field(name="b")
    bid_size: Size = field(name="B")
    ask: Price = field(name="a")
    ask_size: Size = field(name="A")


class _Snapshot(msgspec.Struct, frozen=True, gc=False):
    last_update_id: Id = field(name="lastUpdateId")
    bids: Changes
    asks: Changes


class _Kline(msgspec.Struct, frozen=True, array_like=True):
    open_ms: EpochMs
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Size
    close_ms: EpochMs
    quote_volume: float
    trades: Count


_frame: Final = FrameDecoder[_Frame](_VENUE, _Frame)
_error: Final = FrameDecoder[_Error](_VENUE, _Error)
_notice: Final = FrameDecoder[_Notice](_VENUE, _Notice)
_prices: Final = FrameDecoder[_Prices](_VENUE, _Prices)
_depth_frame: Final = FrameDecoder[_DepthFrame](_VENUE, _DepthFrame)
_depth: Final = FrameDecoder[_Depth](_VENUE, _Depth)
_trade: Final = FrameDecoder[_Trade](_VENUE, _Trade)
_book_ticker: Final = FrameDecoder[_BookTicker](_VENUE, _BookTicker)
_snapshot: Final = FrameDecoder[_Snapshot](_VENUE, _Snapshot)
_klines: Final = FrameDecoder[tuple[_Kline, ...]](_VENUE, tuple[_Kline, ...])


class BinanceFeed(Feed):
    """Binance spot, one combined stream a symbol; the futures say what differs."""

    venue = _VENUE
    rest_path = "/api/v3"
    snapshot_limit = 5000  # levels a side, the most there is; weighs 250 of 6000 a minute
    snapshot_by_rest = True
    # There is no heartbeat but the server's WebSocket ping, every 20 s on spot and 3 min on futures
    # (web-socket-streams.md, 2026-07-21), so ours prove the line: an endpoint must answer each (RFC 6455,
    # 5.5.2). They count among the messages it takes, 5 a second on spot and 10 on futures.
    silence_s = 10.0  # thrice the time between our pings, and some
    pong_interval_s: float | None = 3.0
    contiguous_trades = True  # `t` of the stream `trade`

    def stream_url(self, base: str, symbol: str) -> str:
        """Return the combined stream of diffs, trades and best quotes."""
        name = _spelled(self.venue, symbol).lower()
        return f"{base}/stream?streams={name}@depth@100ms/{name}@trade/{name}@bookTicker"

    def subscribe(self, symbol: str) -> tuple[str, ...]:  # noqa: ARG002 -- the address names the streams
        """Return nothing: the address is the subscription."""
        return ()

    def parse(self, raw: bytes, symbol: str) -> Sequence[VenueMessage]:
        """Return what a frame says about `symbol`."""
        spelled = _spelled(self.venue, symbol)
        if len(raw) < _NOTICE_BYTES and _SHUTDOWN_WORD in raw and _announces_shutdown(raw):
            return (Reconnect(_SHUTDOWN),)
        if raw.startswith(_depth_begin(spelled)):
            return (self.checked(_delta(_depth_frame.decode(raw).data, spelled, raw), raw),)
        frame = opened(_frame, raw)
        if frame is None:
            return ignored("a frame that is no object")
        if frame.stream is UNSET:
            return _without_stream(frame, raw)
        return self._of_stream(frame.stream, Raw(b"") if frame.data is UNSET else frame.data, raw, spelled)

    def _of_stream(self, stream: str, data: Raw, raw: bytes, spelled: str) -> Sequence[VenueMessage]:
        name, _, channel = stream.partition("@")
        if channel.startswith("depth"):
            if name.upper() != spelled:
                return ()
            return (self.checked(_delta(_depth.decode(data), spelled, data), data),)
        if channel not in {"trade", "bookTicker"}:
            return ignored("a stream", stream)
        if name.upper() != spelled:
            return ()
        if channel == "trade":
            return spared(raw, lambda: self.trades(data, spelled), trades=True)
        return spared(raw, lambda: _best_quote(data, spelled))

    def checked(self, delta: VenueDelta, raw: bytes | Raw) -> VenueDelta:  # noqa: ARG002 -- the futures quote it
        """Return the delta if it has all that continuity is judged by."""
        return delta

    def trades(self, data: Raw, spelled: str) -> Sequence[VenueMessage]:
        """Return what the stream of trades says."""
        trade = _trade.decode(data)
        if trade.symbol != spelled:
            raise of_another_symbol(spelled, data)
        return (
            VenueTrade(
                trade_id=str(trade.trade_id),
                price=trade.price,
                size=trade.size,
                side="sell" if trade.buyer_is_maker else "buy",
                venue_ts=trade.trade_ms * NS_PER_MS,
            ),
        )

    def step(self, position: int | None, delta: VenueDelta) -> Step:
        """Place a delta after the book's id.

        Notes
        -----
        "If the event's last update ID (u) is less than the update ID of your local order book, ignore the
        event. If the event's first update ID (U) is greater than your local order book's update ID + 1, you
        have missed some events. Discard your local order book and restart the process." The buffered event
        that contains the snapshot's id straddles it and is applied; u equal to it adds nothing.

        References
        ----------
        web-socket-streams.md, "How to manage a local order book correctly", as corrected on 2025-11-12.
        """
        if position is None or delta.first is None or delta.last is None:
            return Step.GAP
        if delta.last <= position:
            return Step.OLD
        return Step.GAP if delta.first > position + 1 else Step.APPLY

    def snapshot_url(self, base: str, symbol: str) -> str:
        """Return the address of the deepest snapshot."""
        return (
            f"{base}{self.rest_path}/depth?symbol={_spelled(self.venue, symbol)}&limit={self.snapshot_limit}"
        )

    def parse_snapshot(self, body: bytes) -> VenueSnapshot:
        """Return the snapshot of a REST reply."""
        reply = _snapshot.decode(body)
        return VenueSnapshot(
            bids=reply.bids, asks=reply.asks, sequence=reply.last_update_id, limit=self.snapshot_limit
        )

    def candles_url(self, base: str, symbol: str, interval: Interval, since_ts: int) -> str | None:
        """Return the address of at most 1000 candles from `since_ts` (ns) on."""
        return (
            f"{base}{self.rest_path}/klines?symbol={_spelled(self.venue, symbol)}&interval={interval}"
            f"&startTime={since_ts // NS_PER_MS}&limit={_CANDLE_LIMIT}"
        )

    def parse_candles(self, body: bytes, symbol: str, interval: Interval) -> tuple[Candle, ...]:
        """Return the candles of a REST reply, oldest first; the last may still be open."""
        rows = [(kline.open_ms * NS_PER_MS, kline, kline.trades) for kline in _klines.decode(body)]
        return candles_of(self.venue, symbol, interval, rows)

    def instrument_url(self, base: str, symbol: str) -> str | None:
        """Return the address of the symbol's filters and status."""
        return f"{base}{self.rest_path}/exchangeInfo?symbol={_spelled(self.venue, symbol)}"

    def parse_instrument(self, body: bytes, symbol: str, status: int) -> InstrumentTerms | Unlisted:
        """Return what the reply says of the symbol."""
        return of_binance(body, _spelled(self.venue, symbol), status)


@lru_cache
def _spelled(venue: str, symbol: str) -> str:
    return venue_of(venue).spell(symbol)


@lru_cache
def _depth_begin(spelled: str) -> bytes:
    return f'{{"stream":"{spelled.lower()}@depth'.encode()


def of_another_symbol(spelled: str, raw: bytes | Raw) -> BadFrameError:
    """Return the error of a stream that carries another symbol's data."""
    return bad_frame(_VENUE, f"the stream is of {spelled}, its data of another symbol", raw)


def _announces_shutdown(raw: bytes) -> bool:
    """Return whether a frame is the event ``serverShutdown``.

    Notes
    -----
    "A serverShutdown event will be sent when the server is about to shutdown, resulting in disconnection.
    Please establish a new connection as soon as possible to prevent interruption."

    References
    ----------
    web-socket-streams.md, 2026-07-21.
    """
    try:
        notice = _notice.decode(raw)
    except BadFrameError:
        return False  # it is read as what else it may be
    return _SHUTDOWN in {notice.name, notice.data.name, notice.event.name}


def _without_stream(frame: _Frame, raw: bytes) -> Sequence[VenueMessage]:
    if frame.data is not UNSET or frame.event == "depthUpdate":
        raise bad_frame(_VENUE, "data without their stream, which may be the book's", raw)
    if (error := frame.error) is not UNSET:
        return spared(raw, lambda: (_refusal(error),))
    if frame.result is not UNSET:
        return (Acknowledged(),)
    if frame.event is not UNSET:
        return ignored("an event", frame.event)
    return ignored("neither a stream's data nor an answer or event")


def _refusal(raw: Raw) -> Refused:
    error = _error.decode(raw)
    return Refused(f"{error.code} {error.msg}")


def _delta(depth: _Depth, spelled: str, raw: bytes | Raw) -> VenueDelta:
    if depth.symbol != spelled:
        raise of_another_symbol(spelled, raw)
    if depth.first > depth.last:
        raise bad_frame(_VENUE, "U is after u", raw)
    return VenueDelta(
        bids=depth.bids,
        asks=depth.asks,
        first=depth.first,
        last=depth.last,
        previous=depth.previous,
        venue_ts=depth.event_ms * NS_PER_MS,
    )


def _best_quote(data: Raw, spelled: str) -> Sequence[VenueMessage]:
    """Return the best quote; one with an empty side, whose price is 0 or no text, says nothing comparable."""
    try:
        ticker = _book_ticker.decode(data)
    except BadFrameError:
        prices = _prices.decode(data)
        if not all(price.strip("0.") for price in (prices.bid, prices.ask)):
            return ignored("a best quote with an empty side")
        raise
    if ticker.symbol != spelled:
        raise of_another_symbol(spelled, data)
    return (
        BestQuote(
            sequence=ticker.update_id,
            bid=(ticker.bid, ticker.bid_size),
            ask=(ticker.ask, ticker.ask_size),
        ),
    )
