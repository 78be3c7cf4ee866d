"""What our orders have taken of a book, and what it offers them beyond that; pure.

A taker is not offered what our orders have taken of that side of the book, whatever its price,
until it has come back: `depletion`. An order that rests is filled by what others bring to its price, so it
finds no more than that either, and of a level no more than what was added since we took of it. Of a level
that shrinks, no more is left than it shows. One that is back within `GONE_NS`, or that a book synchronised
anew (a new epoch) shows, is new only in its size above what was taken.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from libs.common.events import Event, TakerSide
from libs.common.time_units import MINUTE_NS
from services.execution.broker.depletion import Depleted, beyond, deplete, taken_of
from services.execution.broker.exact_amounts import EXACT, exact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.common.events import BookTop, Level

GONE_NS: Final = MINUTE_NS  # how long a level that disappeared is remembered


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one level our orders have taken."""

    side: TakerSide  # of the orders that took it
    price: Decimal
    shown: Decimal  # the level's size in the feed when last looked at
    taken: Decimal
    gone_ts: int | None = None  # when the feed no longer showed it


class SelfImpact(Event, frozen=True, kw_only=True):
    """What our orders have taken of a book; state."""

    epoch: int  # of the book when last looked at
    levels: tuple[Taken, ...] = ()  # as resting orders find them
    depleted: tuple[Depleted, ...] = ()  # as takers find it, by side


def offered(
    top: BookTop, side: TakerSide, impact: SelfImpact | None, now: int
) -> Iterator[tuple[Decimal, Decimal]]:
    """Yield (price, size) of what a taker of `side` is offered at `now`, best first: beyond what we took."""
    taken = Decimal(0) if impact is None else taken_of(impact.depleted, side, now)
    return beyond(_levels(top, side), taken)


def offered_to_resting(
    top: BookTop, side: TakerSide, impact: SelfImpact | None, now: int
) -> Iterator[tuple[Decimal, Decimal]]:
    """Yield (price, size) of what a resting order of `side` finds at `now`, best first.

    Of each level it is what a taker is offered, but no more than it shows without what we took of it.
    """
    taken = {level.price: level.taken for level in _standing(top, impact) if level.side == side}
    shown = dict(_levels(top, side)) if taken else {}
    for price, size in offered(top, side, impact, now):
        left = min(size, shown[price] - taken[price]) if price in taken else size
        if left > 0:
            yield price, left


def seen(impact: SelfImpact, top: BookTop) -> SelfImpact:
    """Return what is taken of a book that shows this now."""
    return replace(impact, epoch=top.epoch, levels=tuple(_standing(top, impact)))


def _levels(top: BookTop, side: TakerSide) -> Iterator[tuple[Decimal, Decimal]]:
    levels: tuple[Level, ...] = top.asks if side == "buy" else top.bids
    return ((exact(price), exact(size)) for price, size in levels)


def _standing(top: BookTop, impact: SelfImpact | None) -> list[Taken]:
    """Return what is still taken of each level, as the feed shows it now."""
    if impact is None or not impact.levels:
        return []
    anew = impact.epoch != top.epoch
    shown = {side: dict(_levels(top, side)) for side in {level.side for level in impact.levels}}
    seen = (
        _seen(level, shown[level.side].get(level.price), top.received_ts, anew=anew)
        for level in impact.levels
    )
    return [level for level in seen if level is not None]


def _seen(level: Taken, shown: Decimal | None, ts: int, *, anew: bool) -> Taken | None:
    """Return what is taken of a level that now shows so much; None where there is nothing to remember.

    Of a book synchronised `anew` nobody knows what went and came in between: its levels are as if back.
    """
    gone_ts = level.gone_ts
    if not shown:
        if gone_ts is None:
            return replace(level, gone_ts=ts)
        return level if ts - gone_ts < GONE_NS else None
    if gone_ts is not None and ts - gone_ts >= GONE_NS:
        return None
    if gone_ts is not None or anew:  # it is back
        return replace(level, shown=shown, taken=min(level.taken, shown), gone_ts=None)
    if shown == level.shown and level.taken:
        return level
    removed = max(Decimal(0), level.shown - shown)  # of what we took first: what is left fits what is shown
    taken = max(Decimal(0), level.taken - removed)
    return replace(level, shown=shown, taken=taken) if taken else None


def after_taking(
    top: BookTop,
    side: TakerSide,
    impact: SelfImpact | None,
    took: list[tuple[Decimal, Decimal]],
    now: int,
    half_life_ns: int,
) -> SelfImpact:
    """Return what is taken of a book once these (price, quantity) were taken of a side."""
    standing = _standing(top, impact)
    depleted = () if impact is None else impact.depleted
    if not took:
        return SelfImpact(epoch=top.epoch, levels=tuple(standing), depleted=depleted)
    levels = {(level.side, level.price): level for level in standing}
    shown = dict(_levels(top, side))
    for price, qty in took:
        before = levels.get((side, price))
        taken = qty if before is None else min(before.taken + qty, shown[price])  # what came back is there
        levels[side, price] = Taken(side=side, price=price, shown=shown[price], taken=taken)
    with localcontext(EXACT):
        total = sum((qty for _, qty in took), Decimal(0))
    return SelfImpact(
        epoch=top.epoch,
        levels=tuple(levels.values()),
        depleted=deplete(depleted, side, total, now, half_life_ns),
    )
