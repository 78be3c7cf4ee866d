"""What the views show to be due before its time: orders that a book has come to, and what waits for a book.

Only what would change something is named, and is then handled as its tick; pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.execution.broker.reached import reached
from services.execution.halted import halted_work
from services.execution.kept import kept_of
from services.execution.limits.watch import WATCH, watch_due
from services.execution.saga import rewarding, working
from services.execution.saga.phases import Working, saga_key, window_key
from services.execution.timers import LimitsWatched, RewardDue, SliceDue, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.common.handling import State
    from services.execution.market_data import MarketData
    from services.execution.timers import Timer


def early(state: State[Any], now: int, market: MarketData) -> Iterator[bytes]:
    """Yield the names of ticks whose handling would change something at `now`, though they are not due."""
    return (name_of(timer) for timer in _early(state, now, market))


def _early(state: State[Any], now: int, market: MarketData) -> Iterator[Timer]:
    if market.controls.halts:
        yield from halted_work(state, market)
    if WATCH in state and watch_due(state, market, now):
        yield LimitsWatched()
    yield from reached(state, now, market)
    sagas = kept_of(state).sagas
    for horizon_ts, execution_id in sagas.closing:
        if horizon_ts > now:
            break
        if rewarding.is_due(state[window_key(execution_id)], market, now):
            yield RewardDue(execution_id)
    for execution_id in sagas.waiting:
        saga = state[saga_key(execution_id)]
        course = sagas.courses[execution_id]
        if isinstance(saga, Working) and working.goes_on(saga, course, market, now):
            yield SliceDue(execution_id)
