"""Limits that halt by themselves: losses, exposures by the marks, executions that fail; pure.

What the views show halts whichever partition sees it first in a process; another process may halt the same
scope for the same assessment, and then writes the same event. Failed executions are counted, and halt, where
the symbol is worked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from libs.common.events import BOOK, LimitName, Position, TradingHalted, TradingResumed
from libs.common.limit_uses import (
    COUNTED_FROM,
    Unknown,
    daily_loss,
    drawdown,
    exceeded,
    failed_share,
    gross_exposure,
    limit_use,
    scope_of,
    symbol_exposure,
)
from libs.common.trading_limits import ALL, BY_LIMIT, MAX_REASON, limits_of, symbol_scope
from services.execution.limits.counters import count_anew, counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from libs.common.events import Event, LimitUse
    from libs.common.handling import State
    from services.execution.market_data import MarketData


def breaches(state: State[Any], market: MarketData, now: int) -> list[TradingHalted]:
    """Return the halts that limits ask for at `now` (ns UTC), one a scope; none of what is halted already.

    Executions that ended before their symbol was resumed count no more, and are forgotten here.
    """
    for symbol, resumed_ts in _resumed(state, market):
        count_anew(state, symbol, resumed_ts)
    found: dict[str, TradingHalted] = {}
    for use, news_ts in _exceeded(state, market, now):
        if use.scope in found or _is_halted(market, use.scope):
            continue
        ts = _halted_ts(market, use.scope, news_ts)
        if use.limit is not LimitName.FAILED_SHARE:
            if market.halting.get(use.scope) == ts:
                continue  # another partition of this process does it
            market.halting[use.scope] = ts
        reason = use.text if len(use.text) <= MAX_REASON else f"{use.text[: MAX_REASON - 1]}…"
        found[use.scope] = TradingHalted(scope=use.scope, reason=reason, by=BY_LIMIT, limit=use, ts=ts)
    return list(found.values())


def any_breach(state: State[Any], market: MarketData, now: int) -> bool:
    """Tell whether `breaches` would do something at `now`; changes nothing."""
    if any(True for _ in _resumed(state, market)):
        return True
    return any(
        not _is_halted(market, use.scope)
        and (
            use.limit is LimitName.FAILED_SHARE
            or market.halting.get(use.scope) != _halted_ts(market, use.scope, ts)
        )
        for use, ts in _exceeded(state, market, now)
    )


def still_exceeded(
    market: MarketData, controls: Mapping[bytes, Event], scope: str, now: int
) -> LimitUse | None:
    """Return the limit that would halt a scope again at once, by the views and these controls, or None."""
    return next((use for use, _ in _by_views(market, controls, now) if use.scope == scope), None)


def _is_halted(market: MarketData, scope: str) -> bool:
    items = market.controls.items
    return any(isinstance(items.get(each.encode()), TradingHalted) for each in (ALL, scope))


def _halted_ts(market: MarketData, scope: str, ts: int) -> int:
    """Return when news of `ts` halts a scope, ns: after the end of the halt before, if that came later."""
    before = market.controls.items.get(scope.encode())
    return max(ts, before.ts + 1) if isinstance(before, TradingResumed) else ts


def _exceeded(state: State[Any], market: MarketData, now: int) -> Iterator[tuple[LimitUse, int]]:
    """Yield each limit that is exceeded, and the time of the news of it, ns."""
    yield from _by_views_now(market, now)
    name = LimitName.FAILED_SHARE
    for symbol, counts in counted(state):
        if counts.ended < COUNTED_FROM:
            continue
        value, use = market.limits(symbol).failed_share, failed_share(counts.ended, counts.failed)
        if value and not isinstance(use, Unknown) and exceeded(name, value, use):
            yield limit_use(name, scope_of(name, symbol), value, use), now


def _by_views_now(market: MarketData, now: int) -> Sequence[tuple[LimitUse, int]]:
    """Return what the views exceed; of one instant it is the same for all partitions, and looked for once."""
    seen = (now, *seen_of(market))
    last = market.exceeded
    if last.seen != seen:
        last.seen, last.uses = seen, tuple(_by_views(market, market.controls.items, now))
    return last.uses


def seen_of(market: MarketData) -> tuple[object, ...]:
    """Return what limits are looked at against."""
    return (market.controls.version, *market.risk.items.values(), *market.positions.items.values())


def _by_views(
    market: MarketData, controls: Mapping[bytes, Event], now: int
) -> Iterator[tuple[LimitUse, int]]:
    budget = market.risk.items.get(BOOK.encode())
    if budget is None:
        return
    positions = [each for each in market.positions.items.values() if isinstance(each, Position)]
    settings = market.settings.limits()
    limits = limits_of(controls, None, settings)
    uses = {
        LimitName.DAILY_LOSS: daily_loss(budget, now),
        LimitName.DRAWDOWN: drawdown(budget, now),
        LimitName.GROSS_EXPOSURE: gross_exposure(positions, budget),
    }
    for name, use in uses.items():
        value = getattr(limits, name)
        if value and not isinstance(use, Unknown) and exceeded(name, value, use):
            yield limit_use(name, ALL, value, use), budget.ts
    name = LimitName.SYMBOL_EXPOSURE
    for position in positions:
        use = symbol_exposure(position, budget)
        if isinstance(use, Unknown) or not use:
            continue
        value = limits_of(controls, position.symbol, settings).symbol_exposure
        if value and exceeded(name, value, use):
            yield limit_use(name, scope_of(name, position.symbol), value, use), budget.ts


def _resumed(state: State[Any], market: MarketData) -> Iterator[tuple[str, int]]:
    """Yield the counted symbols whose halt ended since their executions were counted, and when it did."""
    items = market.controls.items
    for symbol, counts in list(counted(state)):
        found = items.get(symbol_scope(symbol).encode())
        if isinstance(found, TradingResumed) and found.ts > counts.resumed_ts:
            yield symbol, found.ts
