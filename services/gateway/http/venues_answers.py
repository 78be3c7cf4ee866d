"""The JSON of the venues' routes, and how it is built from events."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from libs.common.events import BookState, CostBps, VenueShare
from libs.common.time_units import NS_PER_MS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.common.events import VenueMetrics, VenueScored
    from services.gateway.http.answers import Shown

Milliseconds = Annotated[float | None, Meta(description="ms; null while nothing was measured")]
Bands = Annotated[
    tuple[float, float, float] | None,
    Meta(description="base units within 5, 10 and 25 bps of mid, of the best 50 levels at most"),
]


class Fees(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Of the venue's lowest tier."""

    taker_bps: Annotated[float, Meta(description="for taking, bps")]
    maker_bps: Annotated[float, Meta(description="for resting, bps")]


class SymbolMetrics(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is known of one symbol at one venue."""

    symbol: str
    state: BookState
    reason: Annotated[str, Meta(description="why this state, in words")]
    latency_p50_ms: Milliseconds
    latency_p99_ms: Milliseconds
    request_p50_ms: Annotated[Milliseconds, Meta(description="round trip of a REST request")]
    clock_offset_ms: Annotated[
        Milliseconds,
        Meta(description="the least received minus venue time: corrects latencies, ms"),
    ]
    spread_bps: float | None
    top_depth: Annotated[
        float | None, Meta(description="base units on the best 5 levels of the thinner side")
    ]
    depth_bid: Bands
    depth_ask: Bands
    reliability: Annotated[float, Meta(description="posterior mean of the venue being well, 0 to 1")]
    gaps: Annotated[int, Meta(description="since first seen, over restarts")]
    checksum_failures: int
    disconnects: int
    rate_remaining: Annotated[float, Meta(description="share of the venue's rate limit left, 0 to 1")]
    volatility: Annotated[float | None, Meta(description="of the mid, fraction per day")]
    slippage_bps: Annotated[
        float | None, Meta(description="own fills against their expectation, bps; null: none")
    ]
    fills: int
    reference_cost_bps: Annotated[
        float | None,
        Meta(description="all-in cost of the reference order, mean of buy and sell, bps; null: not eligible"),
    ]
    reference_notional: Annotated[float, Meta(description="the reference order, quote units")]
    reasons: Annotated[tuple[str, ...], Meta(description="why there is no reference cost")]
    age_ms: Annotated[float, Meta(description="since this was measured, ms")]


class VenueEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One venue; its scalars are those of `symbol`, all its books are in `symbols`. Best first."""

    venue: str
    symbol: Annotated[
        str, Meta(description="the one asked for, else the one most venues have, or the venue's first")
    ]
    score: Annotated[float | None, Meta(description="minus the reference cost, bps; null: not eligible")]
    latency: Annotated[float | None, Meta(description="p50 of venue time to receipt, clocks corrected, ms")]
    latency_p99: Annotated[float | None, Meta(description="its p99, ms")] = msgspec.field(name="latencyP99")
    spread_bps: Annotated[float | None, Meta(description="best ask minus best bid, bps of mid")]
    top_depth: Annotated[
        float | None, Meta(description="base units on the best 5 levels of the thinner side")
    ] = msgspec.field(name="topDepth")
    fee_bps: Annotated[float, Meta(description="taker fee, bps")] = msgspec.field(name="feeBps")
    fees: Annotated[Fees, Meta(description="both, bps")]
    reliability: float
    rate_remaining: float = msgspec.field(name="rateRemaining")
    state: BookState
    symbols: Annotated[tuple[SymbolMetrics, ...], Meta(description="all its books, by symbol")]


class Candidate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One venue as it was judged."""

    venue: str
    score: Annotated[float | None, Meta(description="minus the expected all-in cost, bps")]
    eligible: bool
    cost_bps: Annotated[CostBps | None, Meta(description="its parts, bps of the venue's own mid")]
    reasons: Annotated[tuple[str, ...], Meta(description="what it costs, or why it is not eligible")]
    mid: float | None
    basis_bps: Annotated[float | None, Meta(description="gap of its mid to the venues' median, bps")]
    epoch: int | None
    seq: int | None


class ScoreAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The venue to take, and the best split."""

    venue: str
    score: Annotated[float, Meta(description="minus the expected all-in cost, bps")]
    reasons: tuple[str, ...]
    candidates: Annotated[tuple[Candidate, ...], Meta(description="best first, then those not eligible")]
    allocation: Annotated[tuple[VenueShare, ...], Meta(description="base units; sums to the size")]
    saving_bps: Annotated[float, Meta(description="of the allocation against the best venue alone, bps")]
    symbol: str
    side: str
    size: float
    command_id: Annotated[str, Meta(description="UUID of the ScoreVenues that was asked")]
    ts: Annotated[int, Meta(description="ms since 1970 UTC")]


def registry_answer(
    found: Iterable[tuple[VenueMetrics, Shown]], symbol: str | None, now: int
) -> tuple[VenueEntry, ...]:
    """Return the registry, best first: by the cost of the reference order, then by venue id."""
    by_venue: defaultdict[str, list[tuple[VenueMetrics, Shown]]] = defaultdict(list)
    for metrics, shown in found:
        by_venue[metrics.venue].append((metrics, shown))
    if symbol is None:
        symbol = _commonest(metrics.symbol for books in by_venue.values() for metrics, _ in books)
    entries = (_entry(venue, books, symbol, now) for venue, books in by_venue.items())
    return tuple(sorted(entries, key=_rank))


def _commonest(symbols: Iterable[str]) -> str:
    counts = Counter(symbols)
    return min(counts, key=lambda symbol: (-counts[symbol], symbol), default="")


def _rank(entry: VenueEntry) -> tuple[bool, float, str]:
    return entry.score is None, -(entry.score or 0.0), entry.venue


def _entry(venue: str, books: list[tuple[VenueMetrics, Shown]], symbol: str, now: int) -> VenueEntry:
    books.sort(key=lambda book: book[0].symbol)
    main, shown = next((book for book in books if book[0].symbol == symbol), books[0])
    usable = shown.state is BookState.LIVE and main.reference_cost_bps is not None
    return VenueEntry(
        venue=venue,
        symbol=main.symbol,
        score=-main.reference_cost_bps if usable and main.reference_cost_bps is not None else None,
        latency=main.latency_p50_ms,
        latency_p99=main.latency_p99_ms,
        spread_bps=main.spread_bps,
        top_depth=main.top_depth,
        fee_bps=main.taker_bps,
        fees=Fees(taker_bps=main.taker_bps, maker_bps=main.maker_bps),
        reliability=main.reliability,
        rate_remaining=main.rate_remaining,
        state=shown.state,
        symbols=tuple(_symbol(metrics, state, now) for metrics, state in books),
    )


_SAME: Final = tuple(
    name for name in SymbolMetrics.__struct_fields__ if name not in {"state", "reason", "age_ms"}
)


def _symbol(metrics: VenueMetrics, shown: Shown, now: int) -> SymbolMetrics:
    return SymbolMetrics(
        state=shown.state,
        reason=shown.reason,
        age_ms=max(0, now - metrics.ts) / NS_PER_MS,
        **{name: getattr(metrics, name) for name in _SAME},
    )


def score_answer(scored: VenueScored) -> ScoreAnswer:
    """Return what a caller is told of a score."""
    return ScoreAnswer(
        venue=scored.venue,
        score=scored.score,
        reasons=scored.reasons,
        candidates=tuple(
            Candidate(**{name: getattr(each, name) for name in Candidate.__struct_fields__})
            for each in scored.candidates
        ),
        allocation=scored.allocation,
        saving_bps=scored.saving_bps,
        symbol=scored.symbol,
        side=scored.side,
        size=scored.size,
        command_id=scored.command_id,
        ts=scored.ts // NS_PER_MS,
    )
