"""Every trading limit with its value and use, and the halts that stand, as callers read them; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct

from libs.common import limit_uses as uses
from libs.common.events import BOOK, BookState, LimitName, LimitsUsed
from libs.common.topics import limits_used_key
from libs.common.trading_limits import ALL, SETTINGS, halts_in, limits_of, limits_set, symbol_scope
from services.gateway.http.view import camel
from services.gateway.http.views import HALT

if TYPE_CHECKING:
    from services.gateway.reading.topic_views import GatewayViews

HREF: Final = "/api/exec/resume"
NO_ORDER: Final = "it is judged order by order, when each is sent"


class LimitAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """A trading limit of a scope, and how far it is used."""

    limit: Annotated[str, Meta(description="its name, as PUT takes it")]
    scope: Annotated[str, Meta(description="whose: all, or symbol:BTC-USDT")]
    value: Annotated[
        float | None, Meta(description="of the limit, in `unit`; 0: off; null: execution has told none yet")
    ]
    use: Annotated[float | None, Meta(description="in `unit`; null where `unknown` says why")]
    headroom: Annotated[
        float | None,
        Meta(description="from use to value, in `unit`; below 0: beyond it; null without one of them"),
    ]
    unknown: Annotated[str, Meta(description="why the use is not known; empty: it is")]
    unit: Annotated[str, Meta(description="of value, use and headroom")]
    breach: Annotated[str, Meta(description="what happens when it is exceeded")]
    set_by: Annotated[str, Meta(description="where it is set: settings, all, or symbol:BTC-USDT")]


class LimitsAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """All trading limits, and the halts that stand."""

    limits: Annotated[tuple[LimitAnswer, ...], Meta(description="of the book, then by symbol")]
    halts: Annotated[tuple[HALT.struct, ...], Meta(description="that stand, by scope")]  # type: ignore[name-defined]  # made at import
    href: Annotated[str, Meta(description="where a halt is ended: POST its scope there")]


def limits_answer(views: GatewayViews, now: int) -> LimitsAnswer:
    """Return all limits at `now` (ns UTC), those of the symbols that are traded, held or subscribed."""
    rows = [_row(views, name, ALL, None, now) for name in LimitName if not uses.KINDS[name].of_symbol]
    for symbol in _symbols(views):
        scope = symbol_scope(symbol)
        rows += [_row(views, name, scope, symbol, now) for name in LimitName if uses.KINDS[name].of_symbol]
    halts = tuple(HALT(each) for each in halts_in(views.controls.items))
    return LimitsAnswer(limits=tuple(rows), halts=halts, href=HREF)


def _symbols(views: GatewayViews) -> list[str]:
    names = {key.decode(errors="replace").rpartition(":")[2] for key in views.subscribed()}
    names |= {each.symbol for each in views.positions.items.values()}
    names |= {each.symbol for each in views.controls.items.values() if isinstance(each, LimitsUsed)}
    return sorted(names)


def _row(views: GatewayViews, name: LimitName, scope: str, symbol: str | None, now: int) -> LimitAnswer:
    controls = views.controls.items
    value = getattr(limits_of(controls, symbol, limits_set(controls, SETTINGS)), name)
    use = use_of(views, name, symbol, now)
    known = None if isinstance(use, uses.Unknown) else use
    return LimitAnswer(
        limit=camel(name),
        scope=scope,
        value=value,
        use=known,
        headroom=None if known is None or not value else uses.headroom(name, value, known),
        unknown=use.reason if isinstance(use, uses.Unknown) else "",
        unit=uses.KINDS[name].unit,
        breach=uses.KINDS[name].breach,
        set_by=_set_by(views, name, symbol),
    )


def _set_by(views: GatewayViews, name: LimitName, symbol: str | None) -> str:
    controls = views.controls.items
    scopes: list[str] = [ALL] if symbol is None else [symbol_scope(symbol), ALL]
    for scope in scopes:
        if getattr(limits_set(controls, scope), name) is not None:
            return scope
    return SETTINGS


def use_of(views: GatewayViews, name: LimitName, symbol: str | None, now: int) -> float | uses.Unknown:
    """Return how far a limit is used at `now` (ns UTC), of a symbol, None: of the book."""
    budget = views.risks.items.get(BOOK.encode())
    if symbol is None:
        if name is LimitName.GROSS_EXPOSURE:
            return uses.gross_exposure(views.positions.items.values(), budget)
        return uses.daily_loss(budget, now) if name is LimitName.DAILY_LOSS else uses.drawdown(budget, now)
    told = views.controls.items.get(limits_used_key(symbol))
    counts = told if isinstance(told, LimitsUsed) else None
    match name:
        case LimitName.SYMBOL_EXPOSURE:
            return uses.symbol_exposure(views.positions.items.get(symbol.encode()), budget)
        case LimitName.ORDERS_PER_MINUTE:
            return uses.orders_in_a_minute(counts, now)
        case LimitName.FAILED_SHARE:
            return (
                uses.failed_share(0, 0) if counts is None else uses.failed_share(counts.ended, counts.failed)
            )
        case LimitName.MIN_LIVE_VENUES:
            keys = [key for key in views.subscribed() if key.rpartition(b":")[2] == symbol.encode()]
            return float(sum(views.shown(key, now).state is BookState.LIVE for key in keys))
        case _:
            return uses.Unknown(NO_ORDER)
