"""`Performance`: every number of a stretch of time, as it is told; fields say their meaning and unit.

Money is in quote units. Rates are fractions, so 0.01 is 1 %; costs are positive.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from libs.common.meanings import Bps, Count, EpochMs, QuoteUnits, Returns, Seconds, meaning
from libs.performance.figures import Answer, Figure

PolicyName: TypeAlias = Annotated[str, meaning("name of the policy")]


class Counts(Answer, frozen=True, kw_only=True):
    """What the numbers rest on."""

    marks: Annotated[Count, meaning("of equity")]
    fills: Annotated[Count, meaning("of all orders, those that no execution sent included")]
    executions: Annotated[Count, meaning("that began in the time")]
    trades: Annotated[Count, meaning("executions with a fill")]
    orders_alone: Annotated[
        Count, meaning("fills of orders that no execution sent: they are in equity, but in no cost")
    ]
    decisions: Annotated[Count, meaning("choices of a policy")]
    rewards: Annotated[Count, meaning("counted rewards of those choices")]


class CurvePoint(Answer, frozen=True, kw_only=True):
    """A stretch of the equity's curve, as many marks as the curve's step holds."""

    ts_ms: Annotated[EpochMs, meaning("when its last mark was taken")]
    equity: Annotated[QuoteUnits, meaning("then")]
    low: Annotated[QuoteUnits, meaning("the least of the stretch")]
    high: Annotated[QuoteUnits, meaning("the most of the stretch")]
    drawdown: Annotated[Returns, meaning("the deepest of the stretch below the highest equity before, <= 0")]
    hold: Annotated[
        QuoteUnits | None,
        meaning("what buy-and-hold was worth at `tsMs`", null="while nothing traded had a mark"),
    ] = None


class Equity(Answer, frozen=True, kw_only=True):
    """What the book was worth."""

    start: Annotated[Figure, meaning("at the first mark, quote units")]
    end: Annotated[Figure, meaning("at the last mark, quote units")]
    profit: Annotated[Figure, meaning("the end less the start, quote units")]
    realized: Annotated[Figure, meaning("of that, what closed positions earned before fees, quote units")]
    unrealized: Annotated[Figure, meaning("of that, the change of what held ones would, quote units")]
    total_return: Annotated[Figure, meaning("profit by start, fraction")]
    annual_return: Annotated[Figure, meaning("compounded to 365 days, fraction")]
    curve: Annotated[tuple[CurvePoint, ...], meaning("in time, at most 1024 points")]
    curve_step_s: Annotated[
        Seconds, meaning("of a point of the curve: 60 doubled until all fit; extremes are kept")
    ]


class PeriodReturn(Answer, frozen=True, kw_only=True):
    """A UTC day or month."""

    begin_ms: Annotated[EpochMs, meaning("its begin")]
    value: Annotated[Returns, meaning("equity at its end by that at its begin, less 1")]
    partial: Annotated[bool, meaning("it was not all marked: the run began or ended in it, or had a hole")]


class Ratios(Answer, frozen=True, kw_only=True):
    """Return by risk, of simple returns of whole periods; a year has 365 days, and cash earns nothing."""

    period_s: Annotated[Seconds, meaning("of a return: a day, else an hour, else a minute; 0: none")]
    periods: Annotated[Count, meaning("returns")]
    volatility: Annotated[Figure, meaning("standard deviation, per year; none of minutes")]
    sharpe: Annotated[Figure, meaning("mean by standard deviation, per year; none of minutes")]
    sharpe_of_period: Annotated[Figure, meaning("the same of one period, whatever its length")] = Figure(
        why="a former version did not tell it"
    )
    deflated_sharpe: Annotated[
        Figure, meaning("probability that the Sharpe ratio is above the best of as many useless trials, 0-1")
    ]
    sortino: Annotated[Figure, meaning("mean by downside deviation, per year; none of minutes")]
    calmar: Annotated[Figure, meaning("annual return by the deepest drawdown")]
    skewness: Annotated[Figure, meaning("of the returns")]
    kurtosis: Annotated[Figure, meaning("of the returns; 3 of a normal")]
    autocorrelation: Annotated[Figure, meaning("of neighbouring returns, -1 to 1")]


class Drawdown(Answer, frozen=True, kw_only=True):
    """The deepest fall below the highest equity before it, of all marks."""

    depth: Annotated[Figure, meaning("fraction of the peak, <= 0")]
    peak_ms: Annotated[EpochMs | None, meaning("when it began", null="equity never fell")] = None
    trough_ms: Annotated[EpochMs | None, meaning("when it was deepest", null="equity never fell")] = None
    recovered_ms: Annotated[
        EpochMs | None, meaning("when the peak was reached again", null="it was not, or never fell")
    ] = None
    under_water_s: Annotated[Seconds, meaning("the longest stretch below an earlier peak")] = 0.0


class Exposure(Answer, frozen=True, kw_only=True):
    """What was held, as a fraction of equity; means are over time."""

    gross_mean: Annotated[Figure, meaning("mean of the positions' sizes together")]
    gross_max: Annotated[Figure, meaning("the most of that")]
    net_mean: Annotated[Figure, meaning("mean of longs less shorts")]
    net_max: Annotated[Figure, meaning("the net furthest from 0, signed")]


class Trading(Answer, frozen=True, kw_only=True):
    """What was traded."""

    notional: Annotated[Figure, meaning("quantity times price of the executions' fills, quote units")]
    turnover: Annotated[Figure, meaning("notional by mean equity, per day")]
    fees: Annotated[Figure, meaning("of all fills, quote units")]
    hit_rate: Annotated[
        Figure, meaning("of trades with a known result, those that earned more than they cost, 0-1")
    ]
    mean_profit: Annotated[Figure, meaning("of those trades, quote units")]


class CostTerm(Answer, frozen=True, kw_only=True):
    """A part of what executions cost against the mid at the decision, of what they were worth then."""

    term: Annotated[
        str,
        meaning(
            "delay, impact, opportunity and fees make up total; timing, spread and walk make up impact; "
            "as in the shortfall of a record"
        ),
    ]
    predicted_bps: Annotated[Figure, meaning("by the plans, bps")]
    realized_bps: Annotated[Figure, meaning("bps")]
    realized: Annotated[Figure, meaning("the same, quote units")]


class PolicyNumbers(Answer, frozen=True, kw_only=True):
    """A policy among those that were chosen from."""

    policy_id: PolicyName
    choices: Annotated[Count, meaning("of it")]
    share: Annotated[Figure, meaning("of all choices, 0-1")]
    rewards: Annotated[Count, meaning("counted")]
    mean_reward: Annotated[Figure, meaning("of its counted rewards, return units a decision")]
    value: Annotated[
        Figure, meaning("doubly robust value of always this policy in the time, return units a decision")
    ]
    router_value: Annotated[
        Figure, meaning("the same by the router's newest snapshot, since its scope began")
    ]
    trades: Annotated[Count, meaning("executions with a fill that it decided")]
    profit: Annotated[Figure, meaning("of those with a known result, quote units")]


class VenueNumbers(Answer, frozen=True, kw_only=True):
    """A venue at which executions were filled."""

    venue: Annotated[str, meaning("id of the exchange")]
    fills: Annotated[Count, meaning("of executions")]
    notional: Annotated[QuoteUnits, meaning("quantity times price")]
    fees: Annotated[QuoteUnits, meaning("paid")]
    fee_bps: Annotated[Figure, meaning("of the notional, bps")]
    against_mid_bps: Annotated[
        Figure, meaning("paid against the mid at submission, fees apart, of the notional, bps")
    ]
    slippage_bps: Annotated[
        Figure, meaning("paid against what the order was expected to, of the notional, bps")
    ]


class Regret(Answer, frozen=True, kw_only=True):
    """What always the best single policy would have earned more than what was chosen, in hindsight."""

    best: Annotated[str | None, meaning("name of that policy", null="see `perDecision`")] = None
    per_decision: Annotated[Figure, meaning("return units; below 0: choosing was better than any one policy")]
    total: Annotated[Figure, meaning("of all rewarded decisions, return units")]
    decisions: Annotated[Count, meaning("rewarded ones that tell of the best policy")] = 0
    method: Annotated[str, meaning("how it is estimated, in words")]


class Benchmark(Answer, frozen=True, kw_only=True):
    """What could have been done instead, at no cost; in the periods of `ratios`."""

    name: Annotated[str, meaning("hold: equal weights of what was traded, bought at the first marks; flat")]
    total_return: Annotated[Figure, meaning("fraction")]
    volatility: Annotated[Figure, meaning("per year")]
    sharpe: Annotated[Figure, meaning("per year")]
    drawdown: Annotated[Figure, meaning("the deepest at the curve's points, <= 0")]
    symbols: Annotated[tuple[str, ...], meaning("what is held")] = ()


class TradeNumbers(Answer, frozen=True, kw_only=True):
    """An execution with a fill and a known result."""

    execution_id: Annotated[str, meaning("as in GET /api/exec/{execution_id} and /api/audit/{execution_id}")]
    symbol: Annotated[str, meaning("canonical BASE-QUOTE")]
    policy_id: Annotated[str | None, meaning("that decided it", null="none was chosen")]
    ts_ms: Annotated[EpochMs, meaning("when it began")]
    profit: Annotated[
        QuoteUnits, meaning("what the position earned in the decision's window, less what its fills cost")
    ]
    notional: Annotated[QuoteUnits, meaning("filled")]
    cost_bps: Annotated[Bps | None, meaning("implementation shortfall", null="it is not known")] = None


class Performance(Answer, frozen=True, kw_only=True):
    """What trading earned and cost in a stretch of time."""

    begin_ms: Annotated[EpochMs | None, meaning("of the first mark", null="there was none")]
    end_ms: Annotated[EpochMs | None, meaning("of the last mark", null="there was none")]
    warnings: Annotated[tuple[str, ...], meaning("what the numbers do not rest on, in sentences")]
    counts: Annotated[Counts, meaning("what the numbers rest on")]
    equity: Annotated[Equity, meaning("what the book was worth")]
    days: Annotated[tuple[PeriodReturn, ...], meaning("returns by UTC day")]
    months: Annotated[tuple[PeriodReturn, ...], meaning("returns by UTC month")]
    ratios: Annotated[Ratios, meaning("return by risk")]
    drawdown: Annotated[Drawdown, meaning("the deepest one")]
    exposure: Annotated[Exposure, meaning("what was held")]
    trading: Annotated[Trading, meaning("what was traded")]
    costs: Annotated[tuple[CostTerm, ...], meaning("predicted and realised, by term")]
    policies: Annotated[tuple[PolicyNumbers, ...], meaning("by name")]
    venues: Annotated[tuple[VenueNumbers, ...], meaning("by id")]
    regret: Annotated[Regret, meaning("against the best single policy")]
    benchmarks: Annotated[tuple[Benchmark, ...], meaning("hold and flat")]
    worst: Annotated[tuple[TradeNumbers, ...], meaning("the ten that lost most, the worst first")]
