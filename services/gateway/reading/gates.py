"""For a symbol, the chain of gates from a signal to an order as it stands now, in the order it is told; pure.

Whatever the execution service would look at is looked at here by the same rules and, for the size, by its own
function. Each gate is judged by itself, so several may be closed; the first of them is named. What only that
service knows (fills that the portfolio has not seen, orders on their own that rest) is not counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct

from libs.common import limit_uses as uses
from libs.common.events import BookTop, ExecutionStatus, LimitName, PolicyState, TradingHalted
from libs.common.live_books import PATIENCE, proven_ts, usable
from libs.common.time_units import NS_PER_MS
from libs.common.told import first_line
from libs.common.topics import book_key, limits_key, limits_used_key
from libs.common.trading_limits import ALL, SETTINGS, halt_of, limits_of, limits_set, symbol_scope
from services.gateway.reading.gate import Gate, gate, number
from services.gateway.reading.limit_uses import use_of
from services.gateway.reading.size_gates import size_gates, sized

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from libs.common.events import ExecutionRecord
    from libs.common.venues.venue import Instrument
    from services.gateway.reading.present import Present
    from services.gateway.reading.size_gates import Sized

RATE_SPENT: Final = 0.0  # as the execution service has it


class DecisionAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """The execution of the symbol that began last."""

    execution_id: Annotated[str, Meta(description="UUID of the execution")]
    ts: Annotated[int, Meta(description="when it began, ms since 1970 UTC")]
    status: Annotated[ExecutionStatus, Meta(description="how far it is")]
    reason: Annotated[str, Meta(description="why it ended so, in words; empty before that")]
    policy_id: Annotated[str | None, Meta(description="name of its policy; null: before it was chosen")]
    id: Annotated[str | None, Meta(description="topic:partition:offset of its record; null: not known")]


class SymbolWhy(Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether a decision about a symbol would send an order now, and if not, why not."""

    symbol: Annotated[str, Meta(description="canonical, BASE-QUOTE")]
    open: Annotated[bool, Meta(description="every gate is open: an execution asked for now sends an order")]
    first: Annotated[str | None, Meta(description="name of the first gate that is closed; null: none is")]
    decision: Annotated[DecisionAnswer | None, Meta(description="the last one; null: there was none")]
    gates: Annotated[tuple[Gate, ...], Meta(description="all, in order")]


class WhyAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """The gates of every symbol."""

    ts: Annotated[int, Meta(description="as of when, ms since 1970 UTC")]
    symbols: Annotated[tuple[SymbolWhy, ...], Meta(description="those that have a book, by name")]


def why_of(present: Present, newest: ExecutionRecord | None) -> SymbolWhy:
    """Return the gates of a symbol, and the execution of it that began last."""
    of = sized(present)
    gates = (_halt(present), _limits(of), _book(present), _policy(present), *size_gates(of), _venue(of))
    first = next((each.gate for each in gates if not each.open), None)
    return SymbolWhy(
        symbol=present.symbol,
        open=first is None,
        first=first,
        decision=None if newest is None else _decision(present, newest),
        gates=gates,
    )


def _decision(present: Present, record: ExecutionRecord) -> DecisionAnswer:
    key = record.execution_id.encode()
    return DecisionAnswer(
        execution_id=record.execution_id,
        ts=record.created_ts // NS_PER_MS,
        status=record.status,
        reason=record.reason,
        policy_id=record.policy_id,
        id=next(iter(present.ids(present.views.records, key)), None),
    )


def _halt(present: Present) -> Gate:
    controls, unit = present.views.controls, "halts"
    found = halt_of(controls.items, present.symbol)
    keys = (ALL.encode(), symbol_scope(present.symbol).encode())
    if found is None:
        words = f"trading of {present.symbol} is not halted"
        ids = present.ids(controls, *keys)
        return gate("halt", words, unit, is_open=True, value=0, threshold=0, headroom=0, records=ids)
    ids = present.ids(controls, found.scope.encode())
    return gate("halt", _halted(found), unit, is_open=False, value=1, threshold=0, headroom=-1, records=ids)


def _halted(halt: TradingHalted) -> str:
    resume = f"`bookrunner resume {halt.scope}` or POST /api/exec/resume ends that"
    return f"trading of {halt.scope} is halted by {halt.by}: {halt.reason}; {resume}"


def _limits(of: Sized) -> Gate:
    """Return the limit that is exceeded, or would be by one order more; else the one that is used most."""
    present = of.present
    controls = present.views.controls
    nearest: tuple[float, LimitName, float, float] | None = None
    for name, value, use in _uses(of):
        share = uses.headroom(name, value, use) / value
        if nearest is None or share < nearest[0]:
            nearest = share, name, value, use
    keys = (limits_key(ALL), limits_key(symbol_scope(present.symbol)), limits_key(SETTINGS))
    ids = present.ids(controls, *keys, limits_used_key(present.symbol))
    if nearest is None:
        words = (
            "no limit is near: execution has told none yet, all are off, or the order reduces what is held"
        )
        return gate("limits", words, "limits", is_open=True, records=ids)
    _, name, value, use = nearest
    closed = uses.exceeded(name, value, use)
    scope = uses.scope_of(name, present.symbol)
    words = f"{name} is the nearest: {number(use)} of {number(value)} with an order of {present.symbol}"
    return gate(
        "limits",
        uses.limit_use(name, scope, value, use).text if closed else words,
        uses.KINDS[name].unit,
        is_open=not closed,
        value=use,
        threshold=value,
        headroom=uses.headroom(name, value, use),
        records=ids,
    )


def _uses(of: Sized) -> Iterator[tuple[LimitName, float, float]]:
    """Yield each limit that is on and can be judged before orders are made, and its use with one order more.

    What one order may be worth is judged child by child, when each is sent.
    """
    present, views = of.present, of.present.views
    added = _added(of)
    for name in LimitName:
        symbol = present.symbol if uses.KINDS[name].of_symbol else None
        value = getattr(
            limits_of(views.controls.items, symbol, limits_set(views.controls.items, SETTINGS)), name
        )
        use = use_of(views, name, symbol, present.now)
        if not value or isinstance(use, uses.Unknown):
            continue
        if name is LimitName.MIN_LIVE_VENUES:
            use = float(sum(not book.fault for book in present.books.values()))
        elif name is LimitName.ORDERS_PER_MINUTE:
            use += 1
        elif name in (LimitName.SYMBOL_EXPOSURE, LimitName.GROSS_EXPOSURE):
            if added is not None and added <= 0.0:
                continue  # no limit of exposure refuses an order that reduces it
            use += added or 0.0
        yield name, value, use


def _added(of: Sized) -> float | None:
    """Return what the order that would be made adds to the exposure, fraction of equity; None without one."""
    if of.reach is None or not of.reach.made:
        return None
    sizing = of.reach.sizing
    signed = sizing.qty if sizing.side == "buy" else -sizing.qty
    more = abs(sizing.held + signed) - abs(sizing.held)
    return float(more * sizing.price / sizing.equity)


def _book(present: Present) -> Gate:
    views, unit, patience = present.views, "ms", PATIENCE["trading"]
    if present.book is None:
        said = "; ".join(book.fault for book in present.books.values() if book.top) or next(
            (book.fault for book in present.books.values()), f"no venue lists {present.symbol}"
        )
        keys = [book_key(venue, present.symbol) for venue in present.books]
        words = f"no book of {present.symbol} is LIVE, so nothing is decided or filled: {said}"
        return gate("book", words, unit, is_open=False, records=present.ids(views.healths, *keys))
    venue, book = present.book
    key = book_key(venue, present.symbol)
    health = views.healths.items.get(key)
    assert isinstance(book.top, BookTop)  # noqa: S101 -- of a usable book
    assert health is not None  # noqa: S101 -- likewise
    age_ms = max(0.0, (present.now - proven_ts(book.top, health)) / NS_PER_MS)
    most_ms = patience.unproven_ns / NS_PER_MS
    live = sum(not each.fault for each in present.books.values())
    words = (
        f"{venue} is LIVE at seq {book.top.seq} of epoch {book.top.epoch}, proven {age_ms:.0f} ms ago;"
        f" {live} of {len(present.books)} venues have a book that may be used"
    )
    return gate(
        "book",
        words,
        unit,
        is_open=True,
        value=age_ms,
        threshold=most_ms,
        headroom=most_ms - age_ms,
        records=(*present.ids(views.tops, key), *present.ids(views.healths, key)),
    )


def _policy(present: Present) -> Gate:
    """Judge the policy that was chosen last: the next execution draws again, most likely from the same."""
    unit, views = "probability of being chosen", present.views
    if present.chosen is None:
        words = f"nobody asked for an execution of {present.symbol} yet: POST /api/exec/plan-and-execute"
        return gate("policy", words, unit, is_open=False)
    choice = present.chosen.choice
    key = choice.policy_id.encode()
    registered, summary = views.policies.items.get(key), present.summary
    halt = halt_of(views.controls.items, present.symbol, policy_id=choice.policy_id)
    snapshot = views.router_snapshots.items.get(choice.scope.encode())
    said = (
        f"{choice.policy_id} was chosen {present.ago(choice.ts)}, with a probability of"
        f" {choice.propensity:.3g}; the router draws anew for each execution"
    )
    fault = ""
    if halt is not None and halt.scope.startswith("policy:"):
        fault = _halted(halt)
    elif registered is None:
        fault = "it is not registered"
    elif registered.state is PolicyState.QUARANTINED:
        fault = f"it is quarantined: {first_line(registered.fault)}"
    elif snapshot is not None and choice.policy_id in snapshot.retired:
        fault = f"it is retired in the scope {choice.scope}, so another one is chosen next"
    if summary is not None and summary.updates:
        said = f"{said}; {summary.updates} rewards have taught it"
    return gate(
        "policy",
        f"{said}; {fault}" if fault else said,
        unit,
        is_open=not fault,
        value=choice.propensity,
        records=(present.chosen.choice_id, *present.ids(views.policies, key)),
    )


def _venue(of: Sized) -> Gate:
    """Judge where the order could go: the venues service scores it when there is one."""
    present, unit = of.present, "venues"
    sizing = None if of.reach is None else of.reach.sizing
    wanted = None if of.reach is None else (of.reach.sizing.qty or of.reach.least)
    why: dict[str, str] = {}
    for venue, instrument in present.instruments.items():
        why[venue] = _shut(present, venue) or (
            "" if sizing is None or wanted is None else _too_small(instrument, wanted, sizing.price)
        )
    takers = [venue for venue, fault in why.items() if not fault]
    keys = [book_key(venue, present.symbol) for venue in present.instruments]
    ids = present.ids(present.views.venues, *keys)
    told = [f"{venue}: {fault}" for venue, fault in why.items() if fault and present.books[venue].top]
    if takers:
        words = f"{', '.join(takers)} may take an order, as the venues service scores them when it is made"
        words = "; not ".join((words, *told))
    else:
        words = "; ".join(told) or f"no venue has a book of {present.symbol}"
    return gate(
        "venue",
        words,
        unit,
        is_open=bool(takers),
        value=len(takers),
        threshold=1,
        headroom=len(takers) - 1,
        records=ids,
    )


def _shut(present: Present, venue: str) -> str:
    """Return why nothing is sent to a venue now; "" where something is."""
    controls = present.views.controls.items
    policy_id = None if present.chosen is None else present.chosen.choice.policy_id
    halt = halt_of(controls, present.symbol, venue=venue, policy_id=policy_id)
    if halt is not None:
        return _halted(halt)
    if present.books[venue].fault:
        return present.books[venue].fault
    key = book_key(venue, present.symbol)
    stale = usable(
        present.books[venue].top, present.views.healths.items.get(key), present.now, PATIENCE["scoring"]
    )
    if stale is not None:
        return f"it is not scored: {stale}"
    metrics = present.views.venues.items.get(key)
    if metrics is None:
        return ""
    if metrics.rate_remaining <= RATE_SPENT:
        return "the venue's rate is spent"
    return "; ".join(metrics.reasons) if metrics.reference_cost_bps is None else ""


def _too_small(instrument: Instrument, qty: Decimal, price: Decimal) -> str:
    """Return why an order is less than the venue takes; "" where it is not."""
    qty = qty // instrument.lot * instrument.lot
    if qty < instrument.min_qty or qty <= 0:
        return f"{qty:f} is under its minimum of {instrument.min_qty:f}"
    if qty * price < instrument.min_notional:
        return f"{qty:f} is worth less than its minimum of {instrument.min_notional:f}"
    return ""
