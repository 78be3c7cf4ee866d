"""The gates that a size passes: signal, uncertainty, volatility, CVaR, cash and the least order; pure.

The size is made again with what is known now. Where that makes an order, all of them are open. Where it does
not, each is closed that stops it by itself: a factor, if the product of all is less than one order and
another value of this factor alone would make one; a cap, if one order beyond what is held does not fit.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from services.gateway.reading.gate import gate, number
from services.gateway.reading.reach import Reach

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.gateway.reading.gate import Gate
    from services.gateway.reading.present import Present

RETURN: Final = "return"
PER_DAY: Final = "fraction per day"
NO_CHOICE: Final = "no policy is chosen yet"
UNKNOWN: Final = "no size was made yet, so the settings of sizes are not known"
SELLS: Final = "what is held is sold, so it does not matter"


class Sized(NamedTuple):
    """What is known of a size now."""

    present: Present
    reach: Reach | None  # None: see `why`
    why: str = ""
    fault: str = ""  # what is wrong with the width, if that is it

    @property
    def sells(self) -> bool:
        """Whether an order is made, and it reduces what is held."""
        return self.reach is not None and self.reach.made and not self.reach.adds


def sized(present: Present) -> Sized:
    """Return the size that would be made now, or why there is none."""
    inputs = present.inputs
    if inputs is None:
        return Sized(present, None, UNKNOWN if present.chosen else NO_CHOICE)
    try:
        return Sized(present, Reach(inputs))
    except ValueError as error:
        return Sized(present, None, f"no size: {error}", fault=str(error))


def size_gates(of: Sized) -> tuple[Gate, ...]:
    """Return these gates in order."""
    return (_signal(of), _uncertainty(of), _volatility(of), _cvar(of), _cash(of), _size(of))


def _signal(of: Sized) -> Gate:
    told, reach, unit = of.present.signal, of.reach, "signal, -1 to 1"
    if told is None:
        return gate("signal", f"{NO_CHOICE}, so nothing is wanted", unit, is_open=False)
    if told.fault or told.value is None:
        words = f"no signal to use: {told.fault}"
        return gate("signal", words, unit, is_open=False, value=told.value, records=told.ids)
    value, said = told.value, f"{number(told.value)}, {told.words}"
    if reach is None:
        return gate("signal", said, unit, is_open=value != 0, value=value, records=told.ids)
    closed = reach.too_small or (reach.barred and not reach.closes)
    least = reach.signal if closed or reach.adds else None
    if reach.barred:
        what = "flat: nothing is to be held" if value == 0 else "negative, and shorting is off"
        said = f"{said}; {what}{', and what is held is sold' if reach.closes else ''}"
    elif of.sells:
        said = f"{said}; it wants less than is held, which is sold"
    if closed:
        opens = (
            "no signal would make one order now" if least is None else f"{number(least)} would make one order"
        )
        said = f"{said}; {opens}"
    far = None if least is None else (value if reach.barred else abs(value)) - least
    return gate(
        "signal",
        said,
        unit,
        is_open=not closed,
        value=value,
        threshold=least,
        headroom=far,
        records=told.ids,
    )


def _uncertainty(of: Sized) -> Gate:
    told, reach = of.present.width, of.reach
    if told is None:
        return gate("uncertainty", f"{NO_CHOICE}, so there is no width", RETURN, is_open=False)
    said = f"the 90 % width of its expected reward is {number(told.usable)}, {told.words}"
    if reach is None:
        words = f"{said}; {of.fault}" if of.fault else said
        return gate("uncertainty", words, RETURN, is_open=not of.fault, value=told.value, records=told.ids)
    said = f"{said}; that counts {reach.sizing.sigmoid:.3f} of 0.5 at most"
    most = reach.width if reach.too_small or reach.adds else None
    return _at_most("uncertainty", of, said, RETURN, told.usable, most, told.ids)


def _volatility(of: Sized) -> Gate:
    chosen, reach = of.present.chosen, of.reach
    if chosen is None:
        return gate("volatility", f"{NO_CHOICE}, so there is no forecast", PER_DAY, is_open=False)
    value, ids = chosen.choice.forecast_vol, (chosen.choice_id,)
    if value is None:
        words = f"no forecast of the volatility was known at the choice {of.present.ago(chosen.choice.ts)}"
        most = None if reach is None else reach.vol
        return gate(
            "volatility",
            f"{words}: without one there is no size, not even to sell",
            PER_DAY,
            is_open=False,
            threshold=most,
            records=ids,
        )
    said = f"forecast {number(value)}, as of the choice {of.present.ago(chosen.choice.ts)}"
    if reach is None:
        return gate("volatility", said, PER_DAY, is_open=True, value=value, records=ids)
    said = f"{said}; it scales the size by {number(reach.sizing.vol_scale or 0.0)}"
    most = reach.vol if reach.too_small or reach.adds else None
    return _at_most("volatility", of, said, PER_DAY, value, most, ids)


def _at_most(
    name: Literal["uncertainty", "volatility"],
    of: Sized,
    said: str,
    unit: str,
    value: float,
    most: float | None,
    records: Sequence[str],
) -> Gate:
    """Return the gate of a factor that must be small: `most` is the greatest that makes one order."""
    closed = of.reach is not None and of.reach.too_small and most is not None
    if closed and most is not None:
        said = f"{said}; {number(most)} or less would make one order"
    return gate(
        name,
        _or_sells(of, said),
        unit,
        is_open=not closed,
        value=value,
        threshold=most,
        headroom=None if most is None else most - value,
        records=records,
    )


def _or_sells(of: Sized, said: str) -> str:
    """Return the words of a gate, with that it does not matter to a sale, if this is one."""
    return f"{said}; {SELLS}" if of.sells else said


def _cvar(of: Sized) -> Gate:
    present, unit = of.present, "fraction of equity per day"
    budget, own, reach = present.budget, present.own_risk, of.reach
    ids = present.ids(present.views.risks, b"default")
    if budget is None:
        return gate("cvar", "the portfolio has written no risk budget yet", unit, is_open=False)
    left = budget.cvar_budget - present.cvar_of_others
    if own is None:
        words = f"the portfolio knows no CVaR of {present.symbol}: it has too little history there"
        return gate("cvar", words, unit, is_open=False, value=left, records=ids)
    said = (
        f"others use {number(present.cvar_of_others)} of {number(budget.cvar_budget)}, so {number(left)} are"
        f" left for {present.symbol}, of which a position of all equity would use {number(own.cvar)}"
    )
    need = None if reach is None or reach.fraction is None else reach.fraction * own.cvar
    closed = _stops(of, "cvar")
    if closed and need is not None:
        said = f"{said}; one order more needs {number(need)}"
    return gate(
        "cvar",
        _or_sells(of, said),
        unit,
        is_open=not closed,
        value=left,
        threshold=need,
        headroom=None if need is None else left - need,
        records=ids,
    )


def _cash(of: Sized) -> Gate:
    present, reach, unit = of.present, of.reach, of.present.quote
    keys = sorted(present.views.positions.items)
    ids = (*present.ids(present.views.risks, b"default"), *present.ids(present.views.positions, *keys))
    equity = None if present.budget is None else present.budget.equity
    if equity is not None and equity <= 0:
        words = f"the equity is {equity:f} {unit}: there is nothing to trade with"
        return gate(
            "cash",
            words,
            unit,
            is_open=False,
            value=float(equity),
            headroom=float(equity),
            threshold=0.0,
            records=ids,
        )
    if reach is None or equity is None:
        words = of.why or "the portfolio has written no risk budget yet"
        return gate("cash", words, unit, is_open=equity is not None, records=ids)
    inputs = reach.inputs
    spendable = float(inputs.cash) / (1 + inputs.taker_bps / 10_000)
    need = float((reach.beyond - reach.sign * inputs.held) * inputs.price)
    short = inputs.signal < 0 and not reach.barred
    closed = not short and _stops(of, "cash")
    said = (
        f"{number(spendable)} {unit} may be spent, fees apart; orders on their own that rest may reserve some"
    )
    if closed:
        said = f"{said}; one order more costs {number(need)}"
    return gate(
        "cash",
        _or_sells(of, said),
        unit,
        is_open=not closed,
        value=spendable,
        threshold=None if short or of.sells else need,
        headroom=None if short or of.sells else spendable - need,
        records=ids,
    )


def _stops(of: Sized, cap: str) -> bool:
    """Tell whether a cap by itself leaves no room for an order."""
    reach = of.reach
    if reach is None or reach.made or reach.settled:
        return False
    return not reach.holds(reach.caps.get(cap))


def _size(of: Sized) -> Gate:
    present, reach, unit = of.present, of.reach, of.present.base
    if reach is None:
        return gate("size", f"{of.why}, so there is no size", unit, is_open=False)
    sizing, least = reach.sizing, reach.least
    ids = present.ids(present.views.positions, present.symbol.encode())
    if reach.blind:
        words = f"no target can be set without what the gates before say ({sizing.reason})"
        return gate("size", words, unit, is_open=False, threshold=float(least), records=ids)
    if reach.made:
        words = f"{sizing.side} {sizing.qty:f}: {sizing.held:f} are held, the target is {sizing.target:f}"
        if sizing.binding:
            words = f"{words}, cut by the {sizing.binding} cap"
        return gate(
            "size",
            words,
            unit,
            is_open=True,
            value=float(sizing.qty),
            threshold=float(least),
            headroom=float(sizing.qty - least),
            records=ids,
        )
    lacking = sizing.target - sizing.held
    tradable = abs(lacking)
    if lacking < 0 and not reach.inputs.allow_short:
        tradable = min(tradable, max(Decimal(0), sizing.held - reach.inputs.reserved))
    words = (
        f"{sizing.reason}: {sizing.held:f} are held or meant, the target is {sizing.target:f}"
        f"{f', cut by the {sizing.binding} cap' if sizing.binding else ''}; one order is {least:f} at least"
    )
    if reach.inputs.reserved and sizing.target < sizing.held:
        words = f"{words}, and {reach.inputs.reserved:f} are being bought, which is not sold meanwhile"
    return gate(
        "size",
        words,
        unit,
        is_open=False,
        value=float(tradable),
        threshold=float(least),
        headroom=float(tradable - least),
        records=ids,
    )
