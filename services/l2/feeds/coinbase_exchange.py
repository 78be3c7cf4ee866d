"""Coinbase Exchange, the protocol before Advanced Trade: snapshot in band, then updates that prove nothing.

Source: docs.cdp.coinbase.com, Exchange `websocket-feed/channels` and `get-product-candles`, 2026-11, and the
recording of 2021-04-17.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from libs.common.time_units import DAY_S, NS_PER_S
from libs.common.venues import venue_of
from services.l2.feeds.feed import Feed, Step
from services.l2.feeds.frames import (
    Changes,
    FrameDecoder,
    Id,
    Price,
    Size,
    bad_frame,
    ignored,
    opened,
    spared,
)
from services.l2.feeds.moments import Moment, ns_of
from services.l2.feeds.ohlc import candles_of
from services.l2.feeds.venue_messages import (
    Acknowledged,
    Heartbeat,
    Refused,
    VenueDelta,
    VenueSnapshot,
    VenueTrade,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import Candle, Interval, Level
    from services.l2.feeds.venue_messages import VenueMessage

_VENUE: Final = "coinbase-exchange"
_CHANNELS: Final = ("level2_batch", "matches", "heartbeat")  # level2 itself needs a key since 2023-08
_STEP_S: Final[dict[Interval, int]] = {"1m": 60, "1d": DAY_S}
_CANDLE_SPAN: Final = 299  # intervals from start to end, which both count; 300 are the most there is
_NO_TIME: Final = 1  # the year of 0001-01-01T00:00:00Z
_HEARTBEAT: Final = (Heartbeat(),)


class _Frame(msgspec.Struct, frozen=True):
    """Any frame."""

    type: str
    product_id: str | UnsetType = UNSET
    changes: Raw | UnsetType = UNSET


class _Error(msgspec.Struct, frozen=True):
    message: str = ""
    reason: str = ""


class _Snapshot(msgspec.Struct, frozen=True, gc=False):
    bids: Changes
    asks: Changes


class _Change(msgspec.Struct, frozen=True, array_like=True, gc=False):
    side: Literal["buy", "sell"]
    price: Price
    size: Size


class _Update(msgspec.Struct, frozen=True, gc=False):
    time: Moment
    changes: tuple[_Change, ...]


class _Match(msgspec.Struct, frozen=True, gc=False):
    trade_id: Id
    price: Price
    size: Size
    time: Moment
    side: Literal["buy", "sell"]  # the maker's


class _Candle(msgspec.Struct, frozen=True, array_like=True):
    start: Annotated[int, Meta(ge=0, le=9_000_000_000)]  # seconds UTC
    low: Price
    high: Price
    open: Price
    close: Price
    volume: Size


_frame: Final = FrameDecoder[_Frame](_VENUE, _Frame)
_error: Final = FrameDecoder[_Error](_VENUE, _Error)
_snapshot: Final = FrameDecoder[_Snapshot](_VENUE, _Snapshot)
_update: Final = FrameDecoder[_Update](_VENUE, _Update)
_match: Final = FrameDecoder[_Match](_VENUE, _Match)
_candles: Final = FrameDecoder[tuple[_Candle, ...]](_VENUE, tuple[_Candle, ...])


class CoinbaseExchangeFeed(Feed):
    """Coinbase Exchange, spot, without a key."""

    venue = _VENUE
    # The snapshot comes in band: the REST book's sequence is not in the stream.
    silence_s = 5.0  # the channel heartbeat has one message a second (websocket-feed/channels, 2026-11)
    # the channel heartbeat keeps the connection open
    contiguous_trades = True

    def stream_url(self, base: str, symbol: str) -> str:  # noqa: ARG002 -- one address for all symbols
        """Return the base itself."""
        return base

    def subscribe(self, symbol: str) -> tuple[str, ...]:
        """Return the one message that subscribes to all channels."""
        request = {"type": "subscribe", "product_ids": [_spelled(symbol)], "channels": _CHANNELS}
        return (msgspec.json.encode(request).decode(),)

    def parse(self, raw: bytes, symbol: str) -> Sequence[VenueMessage]:
        """Return what a frame says about `symbol`; a `last_match` was before we came."""
        frame = opened(_frame, raw)
        if frame is None:
            return ignored("a frame that is no object")
        spelled = _spelled(symbol)
        match frame.type:
            case "error":
                return spared(raw, lambda: (_refusal(raw),))
            case "subscriptions":
                return (Acknowledged(),)
            case "heartbeat" | "last_match":
                return _HEARTBEAT
            case "match":
                return spared(raw, lambda: _trades(frame, raw, spelled), trades=True)
            case "snapshot" | "l2update":
                return _book_messages(frame, raw, spelled)
            case _:
                if frame.changes is not UNSET:
                    raise bad_frame(_VENUE, f"changes of the unknown type {frame.type[:40]!r}", raw)
                return ignored("a type", frame.type)

    def step(self, position: int | None, delta: VenueDelta) -> Step:  # noqa: ARG002 -- there are no ids
        """Accept every delta: the channel has neither sequence nor checksum, so a loss cannot be seen."""
        return Step.APPLY

    def candles_url(self, base: str, symbol: str, interval: Interval, since_ts: int) -> str | None:
        """Return the address of the 300 intervals from `since_ts` (ns) on; quiet ones have no candle."""
        step_s = _STEP_S[interval]
        start_s = since_ts // NS_PER_S // step_s * step_s
        start, end = (
            datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            for at_s in (start_s, start_s + _CANDLE_SPAN * step_s)
        )
        return f"{base}/products/{_spelled(symbol)}/candles?granularity={step_s}&start={start}&end={end}"

    def parse_candles(self, body: bytes, symbol: str, interval: Interval) -> tuple[Candle, ...]:
        """Return the candles of a REST reply, oldest first; the last may still be open.

        The venue does not say how many trades they are made of, so that is 0.
        """
        rows = [
            (candle.start * NS_PER_S, candle, 0)
            for candle in reversed(_candles.decode(body))  # the newest comes first
        ]
        return candles_of(_VENUE, symbol, interval, rows)


@lru_cache
def _spelled(symbol: str) -> str:
    return venue_of(_VENUE).spell(symbol)


def _refusal(raw: bytes) -> Refused:
    error = _error.decode(raw)
    return Refused(": ".join(filter(None, (error.message, error.reason))) or "without a reason")


def _is_of(frame: _Frame, raw: bytes, spelled: str) -> bool:
    if frame.product_id is UNSET:
        raise bad_frame(_VENUE, f"{frame.type} without product_id", raw)
    return frame.product_id == spelled


def _trades(frame: _Frame, raw: bytes, spelled: str) -> Sequence[VenueMessage]:
    return (_trade_of(_match.decode(raw)),) if _is_of(frame, raw, spelled) else ()


def _book_messages(frame: _Frame, raw: bytes, spelled: str) -> Sequence[VenueMessage]:
    if not _is_of(frame, raw, spelled):
        return ()
    if frame.type == "l2update":
        return (_delta_of(_update.decode(raw)),)
    book = _snapshot.decode(raw)
    return (VenueSnapshot(bids=book.bids, asks=book.asks, verified=False),)


def _delta_of(update: _Update) -> VenueDelta:
    """Split the changes by side.

    A size of 0 removes the level. It is compared as a number: the recording spells zero in five ways. Rarely
    `time` is the zero time; the update is valid all the same (tardis-node, mappers/coinbase.ts, 2026-08).
    """
    bids: list[Level] = []
    asks: list[Level] = []
    for change in update.changes:
        (bids if change.side == "buy" else asks).append((change.price, change.size))
    venue_ts = None if update.time.year == _NO_TIME else ns_of(update.time)
    return VenueDelta(bids=tuple(bids), asks=tuple(asks), venue_ts=venue_ts)


def _trade_of(match: _Match) -> VenueTrade:
    """Turn the side, which is the maker's: 94 of 97 recorded trades sell near the ask or buy near the bid."""
    return VenueTrade(
        trade_id=str(match.trade_id),
        price=match.price,
        size=match.size,
        side="sell" if match.side == "buy" else "buy",
        venue_ts=ns_of(match.time),
    )
