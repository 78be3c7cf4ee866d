"""Bitstamp: REST snapshot, then diffs that carry nothing but their time.

Source: bitstamp.net/websocket/v2 and bitstamp.net/api, 2026-08, and the recording of 2022-01-05.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType, field

from libs.common.time_units import DAY_S, NS_PER_S
from libs.common.venues import venue_of
from services.l2.feeds.feed import Feed, Step
from services.l2.feeds.frames import (
    Changes,
    EpochUs,
    FrameDecoder,
    Id,
    Price,
    Size,
    bad_frame,
    ignored,
    opened,
    spared,
)
from services.l2.feeds.instruments import of_bitstamp
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
    from collections.abc import Sequence

    from libs.common.events import Candle, InstrumentTerms, Interval
    from services.l2.feeds.venue_messages import Unlisted, VenueMessage

_VENUE: Final = "bitstamp"
_NS_PER_US: Final = 1000
_CANDLE_LIMIT: Final = 1000  # the most there is
_STEP_S: Final[dict[Interval, int]] = {"1m": 60, "1d": DAY_S}
_BUY: Final = 0
_OF_CHANNELS: Final = frozenset({"data", "trade"})
_HEARTBEAT: Final = (Heartbeat(),)

_EpochS = Annotated[int, Meta(ge=0, le=9_000_000_000)]


class _Frame(msgspec.Struct, frozen=True):
    event: str
    channel: str = ""
    data: Raw | UnsetType = UNSET


class _Diff(msgspec.Struct, frozen=True, gc=False):
    at_us: EpochUs = field(name="microtimestamp")
    bids: Changes
    asks: Changes


class _Trade(msgspec.Struct, frozen=True, gc=False):
    trade_id: Id = field(name="id")
    price: Price = field(name="price_str")
    size: Size = field(name="amount_str")
    type: Literal[0, 1]
    at_us: EpochUs = field(name="microtimestamp")


class _Error(msgspec.Struct, frozen=True):
    message: str = "without a reason"
    code: int | None = None


class _Snapshot(msgspec.Struct, frozen=True, gc=False):
    at_us: EpochUs = field(name="microtimestamp")
    bids: Changes
    asks: Changes


class _Candle(msgspec.Struct, frozen=True):
    timestamp: _EpochS
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Size


class _Candles(msgspec.Struct, frozen=True):
    ohlc: tuple[_Candle, ...]


class _CandlesReply(msgspec.Struct, frozen=True):
    data: _Candles


_frame: Final = FrameDecoder[_Frame](_VENUE, _Frame)
_diff: Final = FrameDecoder[_Diff](_VENUE, _Diff)
_trade: Final = FrameDecoder[_Trade](_VENUE, _Trade)
_error: Final = FrameDecoder[_Error](_VENUE, _Error)
_snapshot: Final = FrameDecoder[_Snapshot](_VENUE, _Snapshot)
_candles: Final = FrameDecoder[_CandlesReply](_VENUE, _CandlesReply)


class BitstampFeed(Feed):
    """Bitstamp, two channels a symbol."""

    venue = _VENUE
    snapshot_by_rest = True
    # ``bts:heartbeat`` of ours is answered (websocket/v2, "Heartbeat", 2026-08); thrice the time between two.
    silence_s = 30.0
    ping_interval_s: float | None = 10.0
    placed_by_time = True

    def stream_url(self, base: str, symbol: str) -> str:  # noqa: ARG002 -- one address serves all
        """Return the one address."""
        return base

    def subscribe(self, symbol: str) -> tuple[str, ...]:
        """Return one request a channel."""
        name = _spelled(symbol)
        return tuple(
            f'{{"event":"bts:subscribe","data":{{"channel":"{channel}_{name}"}}}}'
            for channel in ("diff_order_book", "live_trades")
        )

    def ping(self) -> str:
        """Return the frame that the venue answers with the same event."""
        return '{"event":"bts:heartbeat"}'

    def parse(self, raw: bytes, symbol: str) -> Sequence[VenueMessage]:
        """Return what a frame says about `symbol`."""
        frame = opened(_frame, raw)
        if frame is None:
            return ignored("a frame that is no object")
        if frame.event.startswith("bts:"):
            return _service_message(frame, raw)
        channel, _, name = frame.channel.rpartition("_")
        if channel not in {"diff_order_book", "live_trades"}:
            if frame.event in _OF_CHANNELS and not channel:
                raise bad_frame(_VENUE, f"{frame.event} without its channel, which may be the book's", raw)
            return ignored("an event", f"{frame.event} of {frame.channel}")
        if name != _spelled(symbol):
            return ()
        data = Raw(b"") if frame.data is UNSET else frame.data
        if channel == "live_trades":
            if frame.event != "trade":
                return ignored("an event", f"{frame.event} of {frame.channel}")
            return spared(raw, lambda: (_trade_of(_trade.decode(data)),), trades=True)
        if frame.event != "data":
            raise bad_frame(_VENUE, "an unknown event of the book's channel", raw)
        return (_delta_of(_diff.decode(data)),)

    def step(self, position: int | None, delta: VenueDelta) -> Step:
        """Place a delta by its time, which is all there is: what was lost before it cannot be seen.

        Notes
        -----
        The venue documents no rule. Diffs not later than the snapshot are dropped, and the rest applied as
        they come; the recording of 2022-01-05 has no two diffs of a pair at one time.

        References
        ----------
        tardis-node, mappers/bitstamp.ts, 2026-08, for want of a rule of the venue's.
        """
        if position is None or delta.last is None:
            return Step.GAP
        return Step.OLD if delta.last <= position else Step.APPLY

    def snapshot_url(self, base: str, symbol: str) -> str:
        """Return the address of the whole book."""
        return f"{base}/api/v2/order_book/{_spelled(symbol)}"

    def parse_snapshot(self, body: bytes) -> VenueSnapshot:
        """Return the snapshot of a REST reply, whose time stands in for an id."""
        reply = _snapshot.decode(body)
        return VenueSnapshot(
            bids=reply.bids,
            asks=reply.asks,
            sequence=reply.at_us,
            venue_ts=reply.at_us * _NS_PER_US,
            verified=False,
        )

    def candles_url(self, base: str, symbol: str, interval: Interval, since_ts: int) -> str | None:
        """Return the address of at most 1000 candles from `since_ts` (ns) on."""
        step_s = _STEP_S[interval]
        start_s = since_ts // NS_PER_S // step_s * step_s
        return (
            f"{base}/api/v2/ohlc/{_spelled(symbol)}/"
            f"?step={step_s}&limit={_CANDLE_LIMIT}&start={start_s}&end={start_s + _CANDLE_LIMIT * step_s}"
        )

    def parse_candles(self, body: bytes, symbol: str, interval: Interval) -> tuple[Candle, ...]:
        """Return the candles of a REST reply, oldest first; the last may still be open.

        The venue does not say how many trades they are made of, so that is 0.
        """
        rows = [(candle.timestamp * NS_PER_S, candle, 0) for candle in _candles.decode(body).data.ohlc]
        return candles_of(_VENUE, symbol, interval, rows)

    def instrument_url(self, base: str, symbol: str) -> str | None:  # noqa: ARG002 -- of all at once
        """Return the address of all markets."""
        return f"{base}/api/v2/markets/"

    def parse_instrument(self, body: bytes, symbol: str, status: int) -> InstrumentTerms | Unlisted:
        """Return what the reply says of the symbol."""
        return of_bitstamp(body, _spelled(symbol), status)


@lru_cache
def _spelled(symbol: str) -> str:
    return venue_of(_VENUE).spell(symbol)


def _delta_of(diff: _Diff) -> VenueDelta:
    return VenueDelta(
        bids=diff.bids,
        asks=diff.asks,
        first=diff.at_us,
        last=diff.at_us,
        venue_ts=diff.at_us * _NS_PER_US,
    )


def _trade_of(trade: _Trade) -> VenueTrade:
    return VenueTrade(
        trade_id=str(trade.trade_id),
        price=trade.price,
        size=trade.size,
        side="buy" if trade.type == _BUY else "sell",
        venue_ts=trade.at_us * _NS_PER_US,
    )


def _service_message(frame: _Frame, raw: bytes) -> Sequence[VenueMessage]:
    """Return what an event of the service itself says.

    Notes
    -----
    "After you receive this request, you will have a few seconds to reconnect. Without doing so, you will
    automatically be disconnected." (``bts:request_reconnect``)

    References
    ----------
    bitstamp.net/websocket/v2, "Forced reconnection", 2026-08.
    """
    match frame.event:
        case "bts:error":
            return spared(raw, lambda: (_refusal(frame, raw),))
        case "bts:subscription_succeeded":
            return (Acknowledged(),)
        case "bts:request_reconnect":
            return (Reconnect(frame.event),)
        case "bts:heartbeat":
            return _HEARTBEAT
        case _:
            return ignored("an event", frame.event)


def _refusal(frame: _Frame, raw: bytes) -> Refused:
    if frame.data is UNSET:
        raise bad_frame(_VENUE, "an error without data", raw)
    error = _error.decode(frame.data)
    return Refused(error.message if error.code is None else f"{error.code} {error.message}")
