"""Messages and watches of one book, with what a test does not care about filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from libs.cli.names import BookId
from libs.cli.watch import BookWatch
from libs.common.events import BookDelta, BookHealth, BookSnapshot, BookState

if TYPE_CHECKING:
    from libs.common.events import Level

NOW = 1_788_000_000_123_000_000  # 2026-08-29 10:40:00.123 UTC
EPOCH = 1_787_999_000_000
BIDS: tuple[Level, ...] = ((100.0, 1.0), (99.5, 2.0), (99.0, 3.0))
ASKS: tuple[Level, ...] = ((100.5, 1.0), (101.0, 1.0))


def a_keyframe(
    seq: int = 1,
    *,
    epoch: int = EPOCH,
    bids: tuple[Level, ...] = BIDS,
    asks: tuple[Level, ...] = ASKS,
    received_ts: int = NOW,
    reason: Literal["resync", "keyframe"] = "keyframe",
    venue: str = "binance",
) -> BookSnapshot:
    return BookSnapshot(
        venue=venue,
        symbol="BTC-USDT",
        epoch=epoch,
        seq=seq,
        venue_seq=1000 + seq,
        bids=bids,
        asks=asks,
        venue_ts=received_ts,
        received_ts=received_ts,
        reason=reason,
    )


def a_delta(
    seq: int,
    *,
    epoch: int = EPOCH,
    bids: tuple[Level, ...] = (),
    asks: tuple[Level, ...] = (),
    received_ts: int = NOW,
    venue: str = "binance",
) -> BookDelta:
    return BookDelta(
        venue=venue,
        symbol="BTC-USDT",
        epoch=epoch,
        seq=seq,
        venue_seq=1000 + seq,
        bids=bids,
        asks=asks,
        venue_ts=received_ts,
        received_ts=received_ts,
    )


def a_health(
    state: BookState = BookState.LIVE, *, ts: int = NOW, reason: str = "consistent", venue: str = "binance"
) -> BookHealth:
    return BookHealth(
        venue=venue, symbol="BTC-USDT", state=state, epoch=EPOCH, seq=1, reason=reason, since_ts=ts, ts=ts
    )


def a_watch(*, bids: tuple[Level, ...] = BIDS, asks: tuple[Level, ...] = ASKS) -> BookWatch:
    """Return the watch of a LIVE book."""
    watch = BookWatch(BookId("binance", "BTC-USDT"))
    watch.on_message(a_keyframe(bids=bids, asks=asks, reason="resync"))
    watch.on_health(a_health())
    return watch
