"""From OptimizePortfolio to its answer: check, gather history, optimise, report."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
from msgspec import structs

from libs.common.command_rules import NEEDED_DAYS, rejected
from libs.common.events import Fault, PortfolioOptimized, Refusal
from libs.common.instruments import INSTRUMENTS
from libs.common.time_units import DAY_NS, NS_PER_S
from services.portfolio.certificate import Limits
from services.portfolio.cutting_planes import optimize_portfolio_cvar
from services.portfolio.kelly import kelly_lite
from services.portfolio.measures import (
    cautious_cvar,
    cvar,
    shrunk_covariance,
    shrunk_mean,
    unit_cvar,
    volatility,
)
from services.portfolio.optimizer import optimize
from services.portfolio.returns import scenarios

if TYPE_CHECKING:
    from libs.common.events import CommandRejected, OptimizePortfolio
    from services.portfolio.measures import Vector
    from services.portfolio.optimizer import Solution
    from services.portfolio.returns import History, Scenarios
    from services.portfolio.rules import Rules

LEAST_PRICE: Final = 1e-12  # of a limit that binds; below is rounding
_SHOWN: Final = 20  # symbols listed in a refusal

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
    ended = {s: day for s in command.symbols if (day := history.ended(s, now)) is not None}
    going_on = tuple(symbol for symbol in command.symbols if symbol not in ended)
    said = "; ".join(f"{symbol} ended on {_date(day)}" for symbol, day in ended.items())
    asked = going_on or command.symbols
    series = [history.returns(symbol) for symbol in asked]
    found = scenarios(asked, series, command.lookback, NEEDED_DAYS)
    if not going_on or len(found.days) < NEEDED_DAYS:
        whole = scenarios(asked, series, command.lookback, 0)
        return _all_cash(command, whole, rules, now, said if not going_on else "")
    found = replace(found, dropped=tuple(s for s in command.symbols if s in (*ended, *found.dropped)))
    return _optimized(command, found, rules, now, said)


def _known(symbol: str, history: History) -> bool:
    return symbol in history.symbols or (history.venue, symbol) in INSTRUMENTS


def _all_cash(
    command: OptimizePortfolio, found: Scenarios, rules: Rules, now: int, ended: str
) -> PortfolioOptimized:
    """Return the answer without weights, which is that of too little history."""
    names = " and ".join(command.symbols) if len(command.symbols) <= 2 else "these symbols"  # noqa: PLR2004 -- two fit a sentence
    reason = (
        f"{names} have {len(found.days)} days of returns in common at {rules.venue}; {NEEDED_DAYS} are needed"
    )
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
        observations=len(found.days),
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


def _optimized(
    command: OptimizePortfolio, found: Scenarios, rules: Rules, now: int, ended: str
) -> PortfolioOptimized:
    R, beta = found.R, command.confidence
    mu, Sigma = shrunk_mean(R), shrunk_covariance(R)
    c, plain = cautious_cvar(R, beta), unit_cvar(R, beta)
    limits = Limits(command.cvar_budget, command.vol_target, rules.risk_aversion)
    if command.mode == "sum_cvar":
        solution = optimize(mu, Sigma, c, limits)
    else:
        solution = optimize_portfolio_cvar(mu, Sigma, R, beta, c, limits)
    w, proof = solution.w, solution.certificate
    prices = {
        "cvar_budget": proof.kappa,
        "vol_target": proof.nu * command.vol_target,
        "invested": proof.theta,
    }
    status, reason = _status(mu, solution)
    advice = kelly_lite(mu, np.diag(Sigma), rules.kelly_fraction, rules.kelly_clip)
    mixed = (R @ w)[:, None]
    return structs.replace(
        _all_cash(command, found, rules, now, ended),
        status=status,
        reason=f"{reason}; {ended}" if ended else reason,
        dropped=found.dropped,
        weights=dict.fromkeys(command.symbols, 0.0) | _by_symbol(found, w),
        cash=max(0.0, 1.0 - float(w.sum())),
        vol=float(np.sqrt(w @ Sigma @ w)),
        vol_historical=float(volatility(mixed)[0]),
        cvar_sum=float(plain @ w),
        cvar_portfolio=float(cvar(mixed, beta)[0]),
        cvar_by_symbol=_by_symbol(found, plain),
        cvar_limits=_by_symbol(found, c),
        expected_return=float(mu @ w),
        utility=solution.utility,
        gap=proof.gap,
        kelly=dict.fromkeys(command.symbols, 0.0) | _by_symbol(found, advice),
        binding=tuple(name for name, price in prices.items() if price > LEAST_PRICE),
        shadow_prices=prices,
        mean=_by_symbol(found, mu),
        covariance=tuple(tuple(row) for row in Sigma.tolist()),
    )


def _status(mu: Vector, solution: Solution) -> tuple[Status, str]:
    if not (mu > 0.0).any():
        return "all_cash", "no symbol has a positive expected return"
    if solution.optimal:
        return "optimal", "no weights within the limits are better by more than `gap`"
    return "tolerance_not_met", "within the limits, but better weights may exist: `gap` says by how much"


def _date(day: int) -> str:
    return f"{datetime.fromtimestamp(day * DAY_NS // NS_PER_S, UTC):%Y-%m-%d}"


def _by_symbol(found: Scenarios, values: Vector) -> dict[str, float]:
    return dict(zip(found.symbols, values.tolist(), strict=True))


def _ts(found: Scenarios, at: int) -> int | None:
    return int(found.days[at]) * DAY_NS if len(found.days) else None
