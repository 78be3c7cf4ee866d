"""From OptimizePortfolio to its answer: check, gather history, optimise, report."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

import numpy as np
from msgspec import structs

from libs.common.command_rules import NEEDED_DAYS, rejected
from libs.common.events import Fault, PortfolioOptimized, Refusal, SuspectDay
from libs.common.instruments import INSTRUMENTS
from libs.common.time_units import DAY_NS, NS_PER_S
from services.portfolio.bad_prints import LEAST_PRICE, MOST_PRICE
from services.portfolio.caution import caution
from services.portfolio.certificate import Limits
from services.portfolio.estimates import estimated, solved, table_of
from services.portfolio.kelly import kelly_lite
from services.portfolio.measures import cvar, day_weights, effective_days, volatility
from services.portfolio.returns import scenarios

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from libs.common.events import CommandRejected, OptimizePortfolio
    from services.portfolio.measures import Vector
    from services.portfolio.optimizer import Solution
    from services.portfolio.returns import History, Returns, Scenarios
    from services.portfolio.rules import Rules

LEAST_SHADOW: Final = 1e-12  # price of a limit that binds; below is rounding
_SHOWN: Final = 20  # symbols listed in a refusal
MOST_SUSPECTS: Final = 20  # of a symbol, so that the answer is not too large to be told

Status: TypeAlias = Literal["optimal", "all_cash", "tolerance_not_met", "insufficient_history"]


def answer(
    command: OptimizePortfolio, history: History, rules: Rules, now: int
) -> PortfolioOptimized | CommandRejected:
    """Return the best weights, or why there is no answer; it exists for every budget and ceiling."""
    unknown = [symbol for symbol in command.symbols if not _known(symbol, history)]
    if unknown:
        listed = {symbol for venue, symbol in INSTRUMENTS if venue == history.venue}
        known = ", ".join(sorted(listed.union(history.symbols))[:_SHOWN])
        detail = f"{history.venue} has no daily candles of {', '.join(unknown[:_SHOWN])}; it has: {known}."
        fault = Fault(field="symbols", message=detail.rstrip("."))
        return rejected(command, command.book, Refusal.UNKNOWN, now, fault, detail=detail)
    series = {symbol: history.returns(symbol).last(command.lookback) for symbol in command.symbols}
    unpriced = [f"{s} closed at {close:g} on {_date(day)}" for s in series for day, close in series[s].wrong]
    if unpriced:
        said = "; ".join(unpriced[:_SHOWN])
        message = f"{said}: no price between {LEAST_PRICE:g} and {MOST_PRICE:g}; a lookback may leave it out"
        return rejected(command, command.book, Refusal.INVALID, now, Fault(field="symbols", message=message))
    ended = {s: day for s in command.symbols if (day := history.ended(s, now)) is not None}
    going_on = tuple(symbol for symbol in command.symbols if symbol not in ended)
    said = "; ".join(f"{symbol} ended on {_date(day)}" for symbol, day in ended.items())
    asked = going_on or command.symbols
    found = scenarios(asked, [series[symbol] for symbol in asked], NEEDED_DAYS)
    data = _Data(found, rules, series)
    if not going_on or int(found.observations.max(initial=0)) < NEEDED_DAYS:
        return _all_cash(command, data, now, said if not going_on else "")
    found = replace(found, dropped=tuple(s for s in command.symbols if s in (*ended, *found.dropped)))
    return _optimized(command, data._replace(found=found), now, said)


class _Data(NamedTuple):
    """What an answer is made from."""

    found: Scenarios
    rules: Rules
    series: Mapping[str, Returns]


def _known(symbol: str, history: History) -> bool:
    return symbol in history.symbols or (history.venue, symbol) in INSTRUMENTS


def _all_cash(command: OptimizePortfolio, data: _Data, now: int, ended: str) -> PortfolioOptimized:
    """Return the answer without weights, which is that of too little history."""
    found, rules = data.found, data.rules
    has = {symbol: len(data.series[symbol].days) for symbol in command.symbols}
    most = max(has.values(), default=0)
    names = " and ".join(command.symbols) if len(command.symbols) <= 2 else "these symbols"  # noqa: PLR2004 -- two fit a sentence
    reason = f"{names} have at most {most} days of returns at {rules.venue}; {NEEDED_DAYS} are needed"
    nothing = dict.fromkeys(command.symbols, 0.0)
    return PortfolioOptimized(
        command_id=command.command_id,
        book=command.book,
        mode=command.mode,
        status="insufficient_history",
        reason=ended or reason,
        symbols=command.symbols,
        weights=nothing,
        cash=1.0,
        vol=0.0,
        vol_historical=0.0,
        cvar_sum=0.0,
        cvar_portfolio=0.0,
        cvar_by_symbol={},
        cvar_limits={},
        expected_return=0.0,
        utility=0.0,
        gap=0.0,
        kelly=nothing,
        binding=(),
        shadow_prices={},
        observations=most,
        observations_by_symbol=has,
        suspect_days=tuple(_suspects(data.series)),
        half_life_days=rules.half_life_days,
        needed=NEEDED_DAYS,
        first_day_ts=_ts(found, 0),
        last_day_ts=_ts(found, -1),
        confidence=command.confidence,
        cvar_budget=command.cvar_budget,
        vol_target=command.vol_target,
        lookback=command.lookback,
        mean={},
        covariance=(),
        risk_aversion=rules.risk_aversion,
        venue=rules.venue,
        ts=now,
    )


def _optimized(command: OptimizePortfolio, data: _Data, now: int, ended: str) -> PortfolioOptimized:
    found, rules, beta, mode = data.found, data.rules, command.confidence, command.mode
    table = table_of(found.days, found.R, day_weights(found.days, rules.half_life_days))
    mu, Sigma, plain, c = known = estimated(table, beta)
    limits = Limits(command.cvar_budget, command.vol_target, rules.risk_aversion)
    kappa, why = caution(mode, table, beta, limits)
    solution = solved(mode, known, table, beta, limits._replace(budget=limits.budget / kappa))
    w, proof = solution.w, solution.certificate
    prices = {
        "cvar_budget": proof.kappa / kappa,
        "vol_target": proof.nu * command.vol_target,
        "invested": proof.theta,
    }
    status, reason = _status(mu, solution)
    advice = kelly_lite(mu, np.diag(Sigma), rules.kelly_fraction, rules.kelly_clip)
    mixed = (table.F @ w)[:, None]
    lacking = len(found.days) - found.observations
    return structs.replace(
        _all_cash(command, data, now, ended),
        status=status,
        reason=f"{reason}; {ended}" if ended else reason,
        dropped=found.dropped,
        weights=dict.fromkeys(command.symbols, 0.0) | _by_symbol(found, w),
        cash=max(0.0, 1.0 - float(w.sum())),
        vol=float(np.sqrt(w @ Sigma @ w)),
        vol_historical=float(volatility(mixed, table.p)[0]),
        cvar_sum=float(plain @ w),
        cvar_portfolio=float(cvar(mixed, table.p, beta)[0]),
        cvar_by_symbol=_by_symbol(found, plain),
        cvar_limits=_by_symbol(found, kappa * c),
        caution=kappa,
        caution_reason=why,
        expected_return=float(mu @ w),
        utility=solution.utility,
        gap=proof.gap,
        kelly=dict.fromkeys(command.symbols, 0.0) | _by_symbol(found, advice),
        binding=tuple(name for name, price in prices.items() if price > LEAST_SHADOW),
        shadow_prices=prices,
        observations=int(found.observations.min()),
        filled_days={s: n for s, n in zip(found.symbols, lacking.tolist(), strict=True) if n},
        effective_days=effective_days(table.p),
        mean=_by_symbol(found, mu),
        covariance=tuple(tuple(row) for row in Sigma.tolist()),
    )


def _status(mu: Vector, solution: Solution) -> tuple[Status, str]:
    if not (mu > 0.0).any():
        return "all_cash", "no symbol has a positive expected return"
    if solution.optimal:
        return "optimal", "no weights within the limits are better by more than `gap`"
    return "tolerance_not_met", "within the limits, but better weights may exist: `gap` says by how much"


def _suspects(series: Mapping[str, Returns]) -> Iterator[SuspectDay]:
    for symbol, found in series.items():
        for day, change, kept, why, _ in found.suspects[-MOST_SUSPECTS:]:
            yield SuspectDay(symbol=symbol, day_ts=day * DAY_NS, change=change, kept=kept, why=why)


def _date(day: int) -> str:
    return f"{datetime.fromtimestamp(day * DAY_NS // NS_PER_S, UTC):%Y-%m-%d}"


def _by_symbol(found: Scenarios, values: Vector) -> dict[str, float]:
    return dict(zip(found.symbols, values.tolist(), strict=True))


def _ts(found: Scenarios, at: int) -> int | None:
    return int(found.days[at]) * DAY_NS if len(found.days) else None
