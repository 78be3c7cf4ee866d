"""Kraken WebSocket v1, frozen by the venue and kept for its recordings: array frames, checksums of wire text.

Source: docs.kraken.com, `websockets/` v1 and the guide `book-checksum-v1`, 2026-08.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType, field

from libs.common.venues import venue_of
from services.l2.feeds.digits import digits_of
from services.l2.feeds.feed import Feed
from services.l2.feeds.frames import (
    EpochS,
    FrameDecoder,
    Price,
    Size,
    bad_frame,
    ignored,
    levels_of_text,
    spared,
)
from services.l2.feeds.kraken import Crc32, KrakenFeed, checksum_of, status_of
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

    from services.l2.feeds.venue_messages import VenueMessage

_VENUE: Final = "kraken-v1"
_HEARTBEAT: Final = (Heartbeat(),)
_SHORTEST: Final = 4  # elements of a data frame: channel id, one or two bodies, channel name, pair
_LONGEST: Final = 5


class _Event(msgspec.Struct, frozen=True):
    """Any frame that is an object."""

    event: str
    pair: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    error: str | UnsetType = field(name="errorMessage", default=UNSET)


class _Level(msgspec.Struct, frozen=True, array_like=True):
    """Numbers as text, since the checksum is of it; a fourth element "r" marks a republished level."""

    price: str
    volume: str
    time_s: EpochS


class _Sides(msgspec.Struct, frozen=True):
    snapshot_asks: tuple[_Level, ...] | UnsetType = field(name="as", default=UNSET)
    snapshot_bids: tuple[_Level, ...] | UnsetType = field(name="bs", default=UNSET)
    asks: tuple[_Level, ...] = field(name="a", default=())
    bids: tuple[_Level, ...] = field(name="b", default=())
    checksum: Crc32 | UnsetType = field(name="c", default=UNSET)


class _Trade(msgspec.Struct, frozen=True, array_like=True):
    price: Price
    volume: Size
    time_s: EpochS
    side: Literal["b", "s"]  # the taker's


_event: Final = FrameDecoder[_Event](_VENUE, _Event)
_parts: Final = FrameDecoder[tuple[Raw, ...]](_VENUE, tuple[Raw, ...])
_text: Final = FrameDecoder[str](_VENUE, str)
_sides: Final = FrameDecoder[_Sides](_VENUE, _Sides)
_trades: Final = FrameDecoder[tuple[_Trade, ...]](_VENUE, tuple[_Trade, ...])


class KrakenV1Feed(KrakenFeed):
    """Kraken v1, spot, as it was recorded in 2021; what is not said here is as in v2."""

    venue = _VENUE
    contiguous_trades = False
    instrument_url = Feed.instrument_url  # no order is priced on its books
    parse_instrument = Feed.parse_instrument

    def __init__(self, depth: int = 1000) -> None:
        super().__init__(depth)
        self._channel = f"book-{depth}"

    def stream_url(self, base: str, symbol: str) -> str:  # noqa: ARG002 -- one address for all symbols
        """Return the base itself."""
        return base

    def subscribe(self, symbol: str) -> tuple[str, ...]:
        """Return the subscriptions to book and trades."""
        subscriptions: tuple[dict[str, object], ...] = (
            {"name": "book", "depth": self.depth},
            {"name": "trade"},
        )
        return tuple(
            msgspec.json.encode(
                {"event": "subscribe", "pair": [_spelled(symbol)], "subscription": subscription}
            ).decode()
            for subscription in subscriptions
        )

    def ping(self) -> str:
        """Return the application's ping."""
        return '{"event":"ping"}'

    def parse(self, raw: bytes, symbol: str) -> Sequence[VenueMessage]:
        """Return what a frame says about `symbol`."""
        if raw.lstrip()[:1] == b"{":
            return spared(raw, lambda: _answer(_event.decode(raw), symbol))
        parts = _parts.decode(raw)
        if not _SHORTEST <= len(parts) <= _LONGEST:
            raise bad_frame(_VENUE, f"{len(parts)} elements, not 4 or 5", raw)
        _, *bodies, channel, pair = parts
        if _text.decode(pair) != _spelled(symbol):
            return ()
        name = _text.decode(channel)
        if name == "trade":
            return spared(raw, lambda: _trades_of(bodies[0]), trades=True)
        if name != self._channel:
            return () if name.startswith("book-") else ignored("a channel", name)
        return (_book_message(tuple(map(_sides.decode, bodies)), raw),)

    def checksum(self, bids: Sequence[str], asks: Sequence[str]) -> int:
        """Return the CRC32 of the ten best levels, by v2's rule applied to v1's text.

        Notes
        -----
        The wire's five decimals count, ``"56218.30000"``, although the pair has one.

        References
        ----------
        docs.kraken.com/exchange/guides/websockets/book-checksum-v1, 2026-08.
        """
        return checksum_of(bids, asks)


def _spelled(symbol: str) -> str:
    return venue_of(_VENUE).spell(symbol)


def _answer(event: _Event, symbol: str) -> Sequence[VenueMessage]:
    if event.event == "error":
        return (Refused(event.error or "without a reason"),)
    if event.event == "systemStatus" and event.status is not UNSET:
        return (status_of(event.status),)
    if event.event in {"heartbeat", "pong"}:
        return _HEARTBEAT
    if event.event != "subscriptionStatus":
        return ignored("an event", event.event)
    if event.pair is not UNSET and event.pair != _spelled(symbol):
        return ()
    if event.status == "error":
        return (Refused(event.error or "without a reason"),)
    return (Acknowledged(),) if event.status == "subscribed" else _HEARTBEAT


def _book_message(bodies: tuple[_Sides, ...], raw: bytes) -> VenueSnapshot | VenueDelta:
    """Join the bodies of one frame: one per side when both sides change, the checksum in the last."""
    first = bodies[0]
    if first.snapshot_asks is not UNSET and first.snapshot_bids is not UNSET:
        return _snapshot_of(first.snapshot_bids, first.snapshot_asks)
    checksum = bodies[-1].checksum
    if checksum is UNSET:
        raise bad_frame(_VENUE, "a book update without its checksum", raw)
    bids = tuple(level for body in bodies for level in body.bids)
    asks = tuple(level for body in bodies for level in body.asks)
    return VenueDelta(
        bids=levels_of_text(_VENUE, _texts(bids)),
        asks=levels_of_text(_VENUE, _texts(asks)),
        checksum=checksum,
        bid_digits=_digits(bids),
        ask_digits=_digits(asks),
        venue_ts=_latest(bids + asks),
    )


def _snapshot_of(bids: tuple[_Level, ...], asks: tuple[_Level, ...]) -> VenueSnapshot:
    return VenueSnapshot(
        bids=levels_of_text(_VENUE, _texts(bids)),
        asks=levels_of_text(_VENUE, _texts(asks)),
        bid_digits=_digits(bids),
        ask_digits=_digits(asks),
        venue_ts=_latest(bids + asks),
    )


def _trades_of(body: Raw) -> Sequence[VenueMessage]:
    # v1 trades have no id; time (us) and place in the frame tell them apart, and stay so in every replay.
    return [
        VenueTrade(
            trade_id=f"{_ns(trade.time_s) // 1000}-{place}",
            price=trade.price,
            size=trade.volume,
            side="buy" if trade.side == "b" else "sell",
            venue_ts=_ns(trade.time_s),
        )
        for place, trade in enumerate(_trades.decode(body))
    ]


def _texts(levels: tuple[_Level, ...]) -> list[tuple[str, str]]:
    return [(level.price, level.volume) for level in levels]


def _digits(levels: tuple[_Level, ...]) -> tuple[str, ...]:
    return tuple(digits_of(level.price) + digits_of(level.volume) for level in levels)


def _latest(levels: tuple[_Level, ...]) -> int | None:
    return _ns(max(level.time_s for level in levels)) if levels else None


def _ns(time_s: float) -> int:
    return round(time_s * 1e6) * 1000  # the wire has microseconds, which float64 holds until the year 2255
