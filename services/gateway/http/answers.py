"""The JSON of the gateway's answers, and how it is built from events.

Here, and in ``sse.py``, snake case becomes camel case and nanoseconds become milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from libs.common.asked_instruments import instrument_in
from libs.common.events import BookState, Level
from libs.common.live_books import usable
from libs.common.time_units import NS_PER_MS

if TYPE_CHECKING:
    from libs.common.events import BookHealth, BookTop, Features
    from libs.common.live_books import Patience
    from services.gateway.reading.fleet import Heard

MAX_DEPTH: Final = 50  # levels a side that book tops carry
DEFAULT_DEPTH: Final = 20

encode = msgspec.json.Encoder().encode


class _Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Field names in camel case on the wire."""


class InstrumentAnswer(_Answer, frozen=True, kw_only=True):
    """What the venue demands of an order; decimal text."""

    tick: Annotated[str, Meta(description="least step of a price, quote units")]
    lot: Annotated[str, Meta(description="least step of a size, base units")]
    min_qty: Annotated[str, Meta(description="least size, base units")]
    min_notional: Annotated[str, Meta(description="least value, quote units")]
    source: Annotated[
        Literal["venue", "table"], Meta(description="venue: as it said last; table: as this version has it")
    ]


class BookFeatures(_Answer, frozen=True, kw_only=True):
    """What the top of a two-sided book says."""

    mid: Annotated[float, Meta(description="(best bid + best ask) / 2, quote units")]
    microprice: Annotated[float, Meta(description="size-weighted mid, quote units")]
    spread_bps: Annotated[float, Meta(description="best ask minus best bid, bps of mid")]
    obi: Annotated[float, Meta(description="order-book imbalance of the top 5 sizes, -1 to 1")]
    depth_bid: Annotated[float, Meta(description="base units within 10 bps below mid")]
    depth_ask: Annotated[float, Meta(description="base units within 10 bps above mid")]
    depth_truncated: Annotated[
        bool, Meta(description="the known book ends inside the 10 bps: a depth is a lower bound")
    ]
    trade_imbalance: Annotated[
        float | None, Meta(description="decayed aggressor volume, -1 to 1; null below 10 trades")
    ]


class BookAnswer(_Answer, frozen=True, kw_only=True):
    """The top of one book; `state` says whether it may be trusted now."""

    venue: str
    symbol: Annotated[str, Meta(description="canonical BASE-QUOTE")]
    bids: Annotated[tuple[Level, ...], Meta(description="[price, size], descending price")]
    asks: Annotated[tuple[Level, ...], Meta(description="[price, size], ascending price")]
    seq: Annotated[int, Meta(description="our counter, +1 per message within an epoch")]
    ts: Annotated[int, Meta(description="the venue's time in ms since 1970 UTC; where it has none, ours")]
    state: Annotated[
        BookState,
        Meta(description="LIVE: proven consistent up to seq. Otherwise the last proven top is shown"),
    ]
    epoch: Annotated[int, Meta(description="start of the last resync, ms since 1970 UTC; rises")]
    venue_seq: Annotated[int | None, Meta(description="the venue's sequence number, where it has one")]
    features: Annotated[BookFeatures | None, Meta(description="null while a side is empty")]
    received_ts: Annotated[int, Meta(description="when the last message arrived here, ms since 1970 UTC")]
    reason: Annotated[str, Meta(description="why this state, in words")]
    instrument: Annotated[InstrumentAnswer | None, Meta(description="null where nobody knows")]


class BookSummary(_Answer, frozen=True, kw_only=True):
    """One book among all; numbers of a book that never synchronised are null."""

    venue: str
    symbol: str
    state: BookState
    epoch: int
    seq: int
    ts: Annotated[int | None, Meta(description="the venue's time, else ours, ms since 1970 UTC")]
    best_bid: Annotated[float | None, Meta(description="price, quote units")]
    best_ask: Annotated[float | None, Meta(description="price, quote units")]
    gaps: Annotated[int, Meta(description="holes in the venue's sequence since l2 started")]
    resyncs: int
    checksum_failures: int
    age_ms: Annotated[float | None, Meta(description="since the last message arrived, ms")]
    reason: Annotated[str, Meta(description="why this state, in words")]
    instrument: Annotated[InstrumentAnswer | None, Meta(description="null where nobody knows")]


class SubscriptionAnswer(_Answer, frozen=True, kw_only=True):
    """What became of a wish for a book, or of its end."""

    venue: str
    symbol: Annotated[str, Meta(description="canonical BASE-QUOTE")]
    state: Annotated[str, Meta(description="the book's state, or UNSUBSCRIBED")]


class ViewLag(_Answer, frozen=True, kw_only=True):
    """How far one materialised topic is behind its log."""

    topic: Annotated[str, Meta(description="name of the topic")]
    ready: Annotated[bool, Meta(description="caught up with the log as it was at the start")]
    lag: Annotated[int | None, Meta(description="messages behind the log's end; null before Kafka answered")]
    keys: Annotated[int, Meta(description="that it holds")]


class ServiceAnswer(_Answer, frozen=True, kw_only=True):
    """A process, as it tells of itself."""

    service: Annotated[str, Meta(description="its name: `router`")]
    instance: Annotated[str, Meta(description="unique per replica of the service")]
    version: Annotated[str, Meta(description="of Bookrunner")]
    state: Annotated[str, Meta(description="`starting`, `ready`, `degraded`, or `silent` after 5 s unheard")]
    partitions_owned: Annotated[tuple[int, ...], Meta(description="that it works on")]
    partitions_stopped: Annotated[tuple[int, ...], Meta(description="that it cannot go on with")]
    since_ts: Annotated[int, Meta(description="when the state began, ms since 1970 UTC")]
    age_ms: Annotated[float, Meta(description="since it was heard, ms")]
    detail: Annotated[str, Meta(description="what it waits for, or what has stopped, in words")]


class ReadyAnswer(_Answer, frozen=True, kw_only=True):
    """Every route would do its work now."""

    status: Annotated[str, Meta(description="`ready`; `degraded`: so are all routes, but not all books")]
    degraded: Annotated[tuple[str, ...], Meta(description="what is not as it should be, in words")]
    services: Annotated[tuple[ServiceAnswer, ...], Meta(description="each process that was heard")]
    views: Annotated[tuple[ViewLag, ...], Meta(description="each materialised topic")]


class HealthAnswer(_Answer, frozen=True, kw_only=True):
    """The process is alive."""

    status: Annotated[str, Meta(description="`alive`")]


def service_answer(heard: Heard) -> ServiceAnswer:
    """Return a process as callers see it."""
    status = heard.status
    return ServiceAnswer(
        service=status.service,
        instance=status.instance,
        version=status.version,
        state="silent" if heard.silent else status.state,
        partitions_owned=status.partitions_owned,
        partitions_stopped=status.partitions_stopped,
        since_ts=status.since_ts // NS_PER_MS,
        age_ms=heard.age_ns / NS_PER_MS,
        detail=status.detail,
    )


class Shown(NamedTuple):
    """A book's state as callers see it."""

    state: BookState
    reason: str


def shown_state(top: BookTop | None, health: BookHealth | None, now: int, patience: Patience) -> Shown:
    """Return the state of a subscribed book: LIVE only where it is usable."""
    if top is None and health is None:
        return _WAITING
    fault = usable(top, health, now, patience)
    if fault is None and health is not None:
        return Shown(health.state, health.reason)
    assert fault is not None  # noqa: S101 -- without a health no book is usable
    return Shown(fault.state, fault.reason)


_WAITING: Final = Shown(BookState.SYNCING, "waiting for the l2 process to take the subscription up")


def book_answer(top: BookTop, health: BookHealth | None, shown: Shown, depth: int) -> BookAnswer:
    """Return the best `depth` levels a side of a book."""
    return BookAnswer(
        venue=top.venue,
        symbol=top.symbol,
        bids=top.bids[:depth],
        asks=top.asks[:depth],
        seq=top.seq,
        ts=_event_ms(top),
        state=shown.state,
        epoch=top.epoch,
        venue_seq=top.venue_seq,
        features=None if top.features is None else _features(top.features),
        received_ts=top.received_ts // NS_PER_MS,
        reason=shown.reason,
        instrument=_instrument(top.venue, top.symbol, health),
    )


def book_summary(
    venue: str, symbol: str, health: BookHealth | None, top: BookTop | None, shown: Shown, now: int
) -> BookSummary:
    """Return one line of the list of books."""
    newest = top or health
    return BookSummary(
        venue=venue,
        symbol=symbol,
        state=shown.state,
        epoch=newest.epoch if newest else 0,
        seq=newest.seq if newest else 0,
        ts=None if top is None else _event_ms(top),
        best_bid=top.bids[0][0] if top and top.bids else None,
        best_ask=top.asks[0][0] if top and top.asks else None,
        gaps=health.gaps if health else 0,
        resyncs=health.resyncs if health else 0,
        checksum_failures=health.checksum_failures if health else 0,
        age_ms=None if top is None else max(0, now - top.received_ts) / NS_PER_MS,
        reason=shown.reason,
        instrument=_instrument(venue, symbol, health),
    )


def _instrument(venue: str, symbol: str, health: BookHealth | None) -> InstrumentAnswer | None:
    found = instrument_in(venue, symbol, health)
    if found is None:
        return None
    return InstrumentAnswer(
        tick=f"{found.tick:f}",
        lot=f"{found.lot:f}",
        min_qty=f"{found.min_qty:f}",
        min_notional=f"{found.min_notional:f}",
        source="table" if found is instrument_in(venue, symbol, None) else "venue",
    )


def _event_ms(top: BookTop) -> int:
    return (top.received_ts if top.venue_ts is None else top.venue_ts) // NS_PER_MS


def _features(features: Features) -> BookFeatures:
    return BookFeatures(
        mid=features.mid,
        microprice=features.microprice,
        spread_bps=features.spread_bps,
        obi=features.obi,
        depth_bid=features.depth_bid,
        depth_ask=features.depth_ask,
        depth_truncated=features.depth_truncated,
        trade_imbalance=features.trade_imbalance,
    )
