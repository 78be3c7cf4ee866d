"""The standing watch: limits are looked at whenever risk, positions, controls or counts change; pure.

`watch_due` is the look, cheap and without a change of the state; what it finds is done by the tick that it
names. So a breach halts even while nothing runs. What is counted is told, once a second and symbol at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from libs.common.events import Event, LimitsUsed
from libs.common.handling import WakeAt
from libs.common.time_units import NS_PER_S
from libs.common.topics import limits_used_key
from services.execution.limits.breaches import any_breach, breaches, seen_of
from services.execution.limits.counters import Watch, counted, used

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.common.handling import State
    from services.execution.limits.counters import LimitCounts
    from services.execution.market_data import MarketData

WATCH: Final = b"limits/watch"  # the tick's name, and the state's key of who watches
EVERY_NS: Final = 3_600_000_000_000  # should nothing change meanwhile
TOLD_NS: Final = NS_PER_S  # between two tellings of a symbol's counts


class LimitWatch(Event, frozen=True, kw_only=True):
    """A tick of the watch is pending; state."""

    asked_ts: int


def ensure_watch(state: State[Any], now: int) -> list[WakeAt]:
    """Return the wish for the first tick of the watch, once a partition and not before it keeps anything."""
    if WATCH in state or not state:
        return []
    state.put(WATCH, LimitWatch(asked_ts=now))
    return [WakeAt(now + EVERY_NS, WATCH)]


def watch_due(state: State[Any], market: MarketData, now: int) -> bool:
    """Tell whether the watch has something to do at `now` (ns UTC); looks only at what has changed.

    It says so at every look until `on_watch` has done it: one look ends the wait, another names the tick.
    """
    watch = _watch_of(state)
    if any(_untold(state, market, watch, now)):
        return True
    seen = seen_of(market)
    if seen == watch.seen:  # of what is the very same nothing is compared
        return False
    if any_breach(state, market, now):
        return True
    watch.seen = seen
    return False


def on_watch(state: State[Any], market: MarketData, now: int) -> list[Event | WakeAt]:
    """Return the halts that limits ask for, what is told of counts, and the wish for the next tick."""
    watch, told = _watch_of(state), []
    watch.seen = seen_of(market)
    for symbol, counts in _untold(state, market, watch, now):
        watch.told[symbol] = counts, now
        told.append(used(symbol, counts, now))
    return [*breaches(state, market, now), *told, WakeAt(now + EVERY_NS, WATCH)]


def _untold(
    state: State[Any], market: MarketData, watch: Watch, now: int
) -> Iterator[tuple[str, LimitCounts]]:
    """Yield what is counted of symbols, where it changed since it was told and that is long enough ago."""
    for symbol, counts in counted(state):
        before, told_ts = watch.told.get(symbol, (None, now - TOLD_NS))
        if before is counts or 0 <= now - told_ts < TOLD_NS:
            continue
        if before is None and _stands(market, symbol, counts):  # told by the process before
            watch.told[symbol] = counts, now - TOLD_NS
        elif before != counts:
            yield symbol, counts


def _stands(market: MarketData, symbol: str, counts: LimitCounts) -> bool:
    """Tell whether the topic has these counts."""
    told = market.controls.items.get(limits_used_key(symbol))
    return isinstance(told, LimitsUsed) and told == used(symbol, counts, told.ts)


def _watch_of(state: State[Any]) -> Watch:
    found = getattr(state, "watch", None)
    return found if isinstance(found, Watch) else Watch()
