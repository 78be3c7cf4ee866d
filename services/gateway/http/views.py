"""The answers of HTTP: each is its event but for what is declared here; pure.

Those of the router stand in `router_views`, those of policies, signals and contexts in `policy_views`.
"""

from __future__ import annotations

from decimal import Context
from types import GenericAlias
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from libs.common import events
from libs.common.asked_instruments import instrument_in
from libs.common.time_units import NS_PER_MS
from services.gateway.http.view import Computed, View, camel

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DEPTH: Final = 50  # levels a side that book tops carry
DEFAULT_DEPTH: Final = 20


def _all_but(kind: type[Struct], *kept: str) -> set[str]:
    return set(kind.__struct_fields__) - set(kept)


# --- books ---


def _instrument(book: events.BookTop | events.BookHealth, health: events.BookHealth | None) -> Struct | None:
    found = instrument_in(book.venue, book.symbol, health)
    table = instrument_in(book.venue, book.symbol, None)
    return None if found is None else INSTRUMENT.make(found, source="table" if found is table else "venue")


def _venue_ts(top: events.BookTop) -> int:
    return top.received_ts if top.venue_ts is None else top.venue_ts


def _best(levels: tuple[events.Level, ...] | None) -> float | None:
    return levels[0][0] if levels else None


def _age_ms(ts: int, now: int) -> float:
    return max(0, now - ts) / NS_PER_MS


_SOURCE: Final = "venue: as it said last; table: as this version has it"
INSTRUMENT: Final = View(
    "InstrumentAnswer",
    events.InstrumentTerms,
    "What the venue demands of an order; decimal text.",
    computed={"source": Computed(Literal["venue", "table"], _SOURCE, lambda _, source: source)},
    decimals="plain text",
)
FEATURES: Final = View("BookFeatures", events.Features)
_STATE: Final = Computed(
    events.BookState,
    "LIVE: proven consistent up to seq. Otherwise the last proven top is shown",
    lambda _, status: status.state,
)
_REASON: Final = Computed(str, "why this state, in words", lambda _, status: status.reason)
_TS: Final = "the venue's time in ms since 1970 UTC; where it has none, ours"
_AGE: Final = "since the last message arrived, ms"
_KNOWN: Final = (INSTRUMENT.struct | None, "null where nobody knows")
_OF_A_BOOK: Final = {"state": _STATE, "reason": _REASON, "ts": Computed(int, _TS, _venue_ts)}
BOOK: Final = View(
    "BookAnswer",
    events.BookTop,
    "The top of one book; `state` says whether it may be trusted now.",
    drop=("venue_ts",),
    change={"bids": lambda top, depth: top.bids[:depth], "asks": lambda top, depth: top.asks[:depth]},
    computed={**_OF_A_BOOK, "instrument": Computed(*_KNOWN, _instrument)},
    parts=(FEATURES,),
)
_AT: Final = "the moment asked for, ms since 1970 UTC by the clock of receivedTs"
_NOT_KEPT: Final = "always null: nothing of it is kept of the past"
AS_OF: Final = View(
    "BookAsOf",
    events.BookTop,
    "The top of one book as it was; `features` and `instrument` are null, for l2 keeps none of the past.",
    drop=("venue_ts", "features"),
    computed={
        **_OF_A_BOOK,
        "features": Computed(FEATURES.struct | None, _NOT_KEPT, lambda _: None),
        "instrument": Computed(INSTRUMENT.struct | None, _NOT_KEPT, lambda _: None),
        "at": Computed(int, _AT, lambda _, at: at),
    },
)
_NO_TOP: Final = "; null before it synchronised"
_PRICE: Final = "price, quote units; null before it synchronised, or while the side is empty"
_SUMMARY: Final = ("venue", "symbol", "epoch", "seq", "gaps", "resyncs", "checksum_failures")
BOOK_SUMMARY: Final = View(
    "BookSummary",
    events.BookHealth,
    "One book among all; numbers of a book that never synchronised are null.",
    drop=_all_but(events.BookHealth, *_SUMMARY),
    change={"epoch": lambda said, top: (top or said).epoch, "seq": lambda said, top: (top or said).seq},
    computed={
        "state": _STATE,
        "reason": _REASON,
        "ts": Computed(int | None, _TS + _NO_TOP, lambda _, top: top and _venue_ts(top)),
        "best_bid": Computed(float | None, _PRICE, lambda _, top: _best(top and top.bids)),
        "best_ask": Computed(float | None, _PRICE, lambda _, top: _best(top and top.asks)),
        "age_ms": Computed(
            float | None, _AGE + _NO_TOP, lambda _, top, now: top and _age_ms(top.received_ts, now)
        ),
        "instrument": Computed(*_KNOWN, lambda health: _instrument(health, health)),
    },
)

# --- venues ---

SYMBOL_METRICS: Final = View(
    "SymbolMetrics",
    events.VenueMetrics,
    "What is known of one symbol at one venue.",
    drop=("venue", "state", "taker_bps", "maker_bps", "alpha", "beta", "epoch", "seq", "ts"),
    computed={
        "state": _STATE,
        "reason": _REASON,
        "age_ms": Computed(float, "since this was measured, ms", lambda said, now: _age_ms(said.ts, now)),
    },
)
FEES: Final = View(
    "Fees",
    events.VenueMetrics,
    "Of the venue's lowest tier.",
    drop=_all_but(events.VenueMetrics, "taker_bps", "maker_bps"),
)
_SCALARS: Final = {"latency_p50_ms": "latency", "latency_p99_ms": "latencyP99", "taker_bps": "feeBps"}
_ENTRY: Final = ("venue", "symbol", "spread_bps", "top_depth", "reliability", "rate_remaining")
_COST: Final = "minus the reference cost, bps; null: not eligible"
_METRICS: Final = GenericAlias(tuple, (SYMBOL_METRICS.struct, ...))
VENUE_ENTRY: Final = View(
    "VenueEntry",
    events.VenueMetrics,
    "One venue; its scalars are those of `symbol`, all its books are in `symbols`. Best first.",
    drop=_all_but(events.VenueMetrics, *_SCALARS, *_ENTRY),
    rename={**_SCALARS, "spread_bps": "spread_bps"},
    computed={
        "score": Computed(float | None, _COST, lambda _, score: score),
        "fees": Computed(FEES.struct, "both, bps", FEES.make),
        "state": _STATE,
        "symbols": Computed(_METRICS, "all its books, by symbol", lambda _, symbols: symbols),
    },
)
SCORE: Final = View(
    "ScoreAnswer",
    events.VenueScored,
    "The venue to take, and the best split.",
    parts=(View("Candidate", events.VenueCandidate),),
)

# --- portfolio ---


def _keyed(field: str) -> Callable[..., object]:
    """Return what gives a field by symbol under the caller's spellings of them."""
    return lambda event, spelt: {spelt[symbol]: each for symbol, each in getattr(event, field).items()}


# Limits by the names that callers use for them.
LIMITS: Final = {"cvar_budget": "cvarBudget", "vol_target": "volTarget", "invested": "invested"}
_CVAR: Final = {f"cvar_{name}": camel(name) for name in ("sum", "portfolio", "by_symbol", "limits")}
_LOSS: Final = "expected loss on the worst days, fraction per day"
CVAR: Final = View(
    "CvarAnswer",
    events.PortfolioOptimized,
    "Expected loss on the worst days.",
    drop=_all_but(events.PortfolioOptimized, *_CVAR),
    rename=_CVAR,
    change={field: _keyed(field) for field in ("cvar_by_symbol", "cvar_limits")},
)
PORTFOLIO: Final = View(
    "PortfolioAnswer",
    events.PortfolioOptimized,
    "The weights of greatest utility within the limits; fractions are per day of 24 h UTC.",
    drop=("book", *_CVAR),
    rename={"first_day_ts": "firstDay", "last_day_ts": "lastDay"},
    change={
        **{field: _keyed(field) for field in ("weights", "kelly", "mean")},
        **{field: _keyed(field) for field in ("observations_by_symbol", "filled_days")},
        "suspect_days": lambda event, spelt: tuple(
            msgspec.structs.replace(each, symbol=spelt[each.symbol]) for each in event.suspect_days
        ),
        "binding": lambda event: tuple(LIMITS[name] for name in event.binding),
        "shadow_prices": lambda event: {LIMITS[name]: each for name, each in event.shadow_prices.items()},
        "dropped": lambda event, spelt: tuple(spelt[symbol] for symbol in event.dropped),
        "symbols": lambda event, spelt: tuple(spelt[symbol] for symbol in event.mean),
    },
    computed={"cvar": Computed(CVAR.struct, _LOSS, CVAR.make)},
)
_QUIET: Final = Context(traps=[])  # whatever strangers write as a price
POSITION: Final = View(
    "PositionAnswer",
    events.Position,
    "What is held of a symbol; exact decimals are JSON strings, amounts in quote units.",
    drop=("basis",),
    change={"avg_price": lambda held: None if held.avg_price is None else held.avg_price.normalize(_QUIET)},
    decimals="plain text",
)
RISK: Final = View(
    "RiskAnswer",
    events.RiskBudget,
    "How much of the CVaR budget the positions use.",
    parts=(View("SymbolRiskAnswer", events.SymbolRisk),),
    decimals="plain text",
)

# --- execution ---


def _payload(entry: events.AuditEntry) -> dict[str, Any]:
    """Return a payload; one that is no JSON object, so was altered, comes as text."""
    try:
        return msgspec.json.decode(entry.payload, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return {"altered": entry.payload}


def _fills_total(event: events.ExecutionRecord | events.PaperOrderPlaced) -> int:
    return len(event.fills) if event.fills_total is None else event.fills_total


def _audit(record: events.ExecutionRecord) -> Struct:
    return AUDIT_HEAD(record.audit, name=record.execution_id)


def _detail(cost: events.ShortfallBps) -> dict[str, float | str]:
    return {camel(name) if name in _IN_BPS else name: each for name, each in cost.detail.items()}


def _alternatives(
    event: events.ExecutionRecord | events.ExecutionSimulated,
) -> tuple[events.PlanAlternative, ...]:
    return () if event.plan is None else event.plan.alternatives


FILLS_TOTAL: Final = Computed(int, "so far; each is on execution.fills.v1", _fills_total)
ALTERNATIVES: Final = Computed(tuple[events.PlanAlternative, ...], "every way that was judged", _alternatives)
_IN_BPS: Final = ("timing_bps", "spread_bps", "walk_bps")
_CAP: Final = "cap by the CVaR budget, fraction of equity; null: it cannot bind"
SIZING: Final = View(
    "SizingAnswer",
    events.SizingSnapshot,
    rename={"qty": "quantity"},
    computed={"cvar_cap": Computed(float | None, _CAP, lambda sizing: sizing.caps.get("cvar"))},
)
ORDER: Final = View(
    "OrderAnswer",
    events.PaperOrder,
    drop=("cum_quote", "fills", "arrives_ts", "mid", "best_px", "expected_px", "epoch", "seq"),
    rename={"cl_ord_id": "orderId", "order_qty": "size", "price": "limit", "submitted_ts": "ts"},
    decimals="text",
)
FILL: Final = View("FillAnswer", events.RecordFill, drop=("mid", "best_px"), decimals="text")
SLICE: Final = View("SliceAnswer", events.PlannedSlice, rename={"at_ts": "at"})
PLAN: Final = View("PlanAnswer", events.ExecutionPlan, drop=("alternatives",), parts=(SLICE,))
ALTERNATIVE: Final = View("AlternativeAnswer", events.PlanAlternative)
SIMULATION: Final = View(
    "SimulationAnswer",
    events.ExecutionSimulated,
    "How an order would be worked.",
    drop=("command_id",),
    computed={"alternatives": ALTERNATIVES},
    parts=(PLAN, ALTERNATIVE, View("CostAnswer", events.PlanCost)),
)
PAPER_ORDER: Final = View(
    "PaperOrderAnswer",
    events.PaperOrderPlaced,
    "An order on its own, and its fills.",
    drop=("command_id", "fills_total", "ts"),
    computed={"fills_total": FILLS_TOTAL},
    parts=(ORDER, FILL),
)
_PARTS: Final = "timingBps, spreadBps and walkBps sum to impact, bps; amounts in quote units as text"
SHORTFALL: Final = View(
    "ShortfallAnswer",
    events.ShortfallBps,
    drop=("detail",),
    computed={"detail": Computed(dict[str, float | str], _PARTS, _detail)},
)
LEG: Final = View("LegAnswer", events.ExecutionLeg, parts=(SHORTFALL,), decimals="text")
AUDIT_HEAD: Final = View(
    "AuditHeadAnswer",
    events.AuditHead,
    computed={"href": Computed(str, "where to have it verified", lambda _, name: f"/api/audit/{name}")},
)
EXECUTION: Final = View(
    "ExecutionAnswer",
    events.ExecutionRecord,
    drop=("scope", "fills_total", "audit"),
    rename={"score": "policyScore"},
    computed={
        "alternatives": ALTERNATIVES,
        "fills_total": FILLS_TOTAL,
        "audit": Computed(AUDIT_HEAD.struct, "where its audit chain stands", _audit),
    },
    parts=(
        View("SignalAnswer", events.PolicySignal),
        View("TaughtAnswer", events.RewardOutcome, "What the policy was taught."),
        *(SIZING, PLAN, ALTERNATIVE, LEG, ORDER, FILL, SHORTFALL),
    ),
)
HALT: Final = View(
    "HaltAnswer",
    events.TradingHalted,
    "A halt that stands.",
    drop=("ts",),
    computed={"since_ts": Computed(int, "when it was halted, ms since 1970 UTC", lambda halt: halt.ts)},
    parts=(View("BreachAnswer", events.LimitUse),),
)
CONTROLS: Final = View(
    "ControlsAnswer",
    events.TradingControlled,
    "What is halted, and the limits that hold for the scope.",
    drop=("command_id",),
    parts=(HALT, View("LimitValues", events.Limits)),
)
_DECIDED: Final = "what was decided, and all it was made of; names, ns and Decimals as on Kafka"
AUDIT_ENTRY: Final = View(
    "AuditEntryAnswer",
    events.AuditEntry,
    "One link of the chain.",
    drop=("execution_id", "payload"),
    computed={"payload": Computed(dict[str, Any], _DECIDED, _payload)},
)


class AuditAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """The audit chain of an execution."""

    execution_id: Annotated[str, Meta(description="UUID of the execution")]
    verified: Annotated[
        bool, Meta(description="the chain is whole, and every decision made again came out the same")
    ]
    problems: Annotated[
        tuple[str, ...], Meta(description="what is altered or came out differently, in words; empty: nothing")
    ]
    decisions: Annotated[int, Meta(description="made again from their logged inputs")]
    other_versions: Annotated[
        tuple[str, ...],
        Meta(description="decisions of another version's model, which are not made again, in words"),
    ]
    entries: Annotated[tuple[AUDIT_ENTRY.struct, ...], Meta(description="the chain, in order")]  # type: ignore[name-defined]  # made at import
