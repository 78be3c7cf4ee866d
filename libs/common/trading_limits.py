"""Trading limits and halts, as execution and the gateway both read them from execution.controls.v1; pure.

A halt holds for its scope: ``all``, ``symbol:BTC-USDT``, ``policy:p_sma`` or ``venue:okx``. It stands under
the scope as key, so the newest of a halt and its end is what compaction keeps. Limits stand under
``limits:`` and their scope: under the scope alone they would push out its halt. What is set of a symbol comes
before what is set of all, field by field, and that before the settings.

Limits of three kinds: before an order (order_notional, orders_per_minute, exposures) one that would exceed
them is refused and nothing is halted; losses and what the marks make of exposures (daily_loss, drawdown,
gross_exposure, symbol_exposure, failed_share) halt; min_live_venues waits until the books are back.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import TYPE_CHECKING, Final

from libs.common.events import LimitName, Limits, LimitsSet, TradingHalted
from libs.common.topics import limits_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from libs.common.events import Event

ALL: Final = "all"
SETTINGS: Final = "settings"  # scope of the limits that execution was started with, which it announces
BY_LIMIT: Final = "limit"  # who halts when a limit is exceeded
MAX_REASON: Final = 200  # characters
MAX_BY: Final = 64  # likewise
MOST: Final[Mapping[str, float]] = {
    LimitName.GROSS_EXPOSURE: 1_000,
    LimitName.SYMBOL_EXPOSURE: 1_000,
    LimitName.ORDER_NOTIONAL: 1_000,
    LimitName.ORDERS_PER_MINUTE: 1_000_000,
    LimitName.DAILY_LOSS: 1,
    LimitName.DRAWDOWN: 1,
    LimitName.FAILED_SHARE: 1,
    LimitName.MIN_LIVE_VENUES: 100,
}
"""What each limit may be at most; 0 is the least."""
SCOPE_RULE: Final = "must be all, symbol:BASE-QUOTE, policy:NAME or venue:ID, as symbol:BTC-USDT"
LIMIT_SCOPE_RULE: Final = "must be all or symbol:BASE-QUOTE, as symbol:BTC-USDT"
_SCOPE: Final = re.compile(
    r"all|symbol:[A-Z0-9]{1,20}-[A-Z0-9]{1,20}|(?:policy|venue):[A-Za-z0-9._-]{1,64}", re.ASCII
)


def symbol_scope(symbol: str) -> str:
    """Return the scope of a symbol."""
    return f"symbol:{symbol}"


def scope_fault(scope: str) -> str | None:
    """Return what is wrong with the words of a halt's scope; None if nothing is."""
    return None if _SCOPE.fullmatch(scope) else SCOPE_RULE


def limit_scope_fault(scope: str) -> str | None:
    """Return what is wrong with the words of the scope of limits; None if nothing is."""
    fits = _SCOPE.fullmatch(scope) and scope.partition(":")[0] in (ALL, "symbol")
    return None if fits else LIMIT_SCOPE_RULE


def limits_fault(limits: Limits) -> str | None:
    """Return what is wrong with limits that are to be set, naming the first that is; None if nothing is."""
    given = {name: getattr(limits, name) for name in limits.__struct_fields__}
    for name, value in given.items():
        if value is not None and not (isfinite(value) and 0 <= value <= MOST[name]):
            return f"{name} is {value:g}; from 0, which is off, to {MOST[name]:g} is right"
    if all(value is None for value in given.values()):
        return f"names none; there are: {', '.join(given)}"
    return None


def halt_of(
    controls: Mapping[bytes, Event], symbol: str, *, venue: str | None = None, policy_id: str | None = None
) -> TradingHalted | None:
    """Return the halt that an order of this symbol, venue and policy is under, the widest first; else None.

    Parameters
    ----------
    controls
        The items of a view of execution.controls.v1.
    """
    scopes = [ALL, symbol_scope(symbol)]
    if venue is not None:
        scopes.append(f"venue:{venue}")
    if policy_id is not None:
        scopes.append(f"policy:{policy_id}")
    for scope in scopes:
        found = controls.get(scope.encode())
        if isinstance(found, TradingHalted):
            return found
    return None


def halts_in(controls: Mapping[bytes, Event]) -> tuple[TradingHalted, ...]:
    """Return all halts that stand, by scope."""
    found = [each for each in controls.values() if isinstance(each, TradingHalted)]
    return tuple(sorted(found, key=lambda each: each.scope))


def limits_set(controls: Mapping[bytes, Event], scope: str) -> Limits:
    """Return what is set of this very scope; null where nothing is."""
    found = controls.get(limits_key(scope))
    return found.limits if isinstance(found, LimitsSet) else Limits()


def limits_of(controls: Mapping[bytes, Event], symbol: str | None, settings: Limits) -> Limits:
    """Return the limits that hold for a symbol, None: for the book: none is null but what no layer names."""
    layers = [limits_set(controls, ALL), settings]
    if symbol is not None:
        layers.insert(0, limits_set(controls, symbol_scope(symbol)))
    return over(layers)


def over(layers: Iterable[Limits]) -> Limits:
    """Return limits of which each is that of the first layer that sets it."""
    found: dict[str, float | int] = {}
    for limits in layers:
        for name in limits.__struct_fields__:
            value = getattr(limits, name)
            if value is not None:
                found.setdefault(name, value)
    return Limits(**found)  # type: ignore[arg-type]  # each under its own name
