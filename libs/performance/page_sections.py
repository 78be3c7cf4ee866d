"""The sections of a report, each of a part of `Performance`; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, get_args, get_type_hints

import msgspec

from libs.common.counted import counted
from libs.common.time_units import NS_PER_MS
from libs.performance.page_charts import Line, bar, interval, line_chart, signed_bar
from libs.performance.page_markup import Html, element, joined, table
from libs.performance.page_text import (
    NONE,
    bare,
    bps,
    figure,
    moment,
    money,
    percent,
    ratio,
    return_bps,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from libs.performance.answer import Performance
    from libs.performance.figures import Answer, Figure

SHORT_ID: Final = 8  # characters of an id that tell it from others


class _Row(NamedTuple):
    """A figure in the table of figures: a field of a part, how it is called and how it is written."""

    part: str
    field: str
    name: str
    shown: Callable[[float], str]


_ROWS: Final = (
    _Row("equity", "profit", "Profit", money),
    _Row("equity", "realized", "realised", money),
    _Row("equity", "unrealized", "unrealised", money),
    _Row("equity", "total_return", "Return", percent),
    _Row("equity", "annual_return", "Return per year", percent),
    _Row("ratios", "volatility", "Volatility", percent),
    _Row("ratios", "sharpe", "Sharpe ratio", ratio),
    _Row("ratios", "sharpe_of_period", "Sharpe ratio of a period", ratio),
    _Row("ratios", "deflated_sharpe", "Deflated Sharpe", ratio),
    _Row("ratios", "sortino", "Sortino ratio", ratio),
    _Row("ratios", "calmar", "Calmar ratio", ratio),
    _Row("ratios", "skewness", "Skewness", ratio),
    _Row("ratios", "kurtosis", "Kurtosis", ratio),
    _Row("ratios", "autocorrelation", "Autocorrelation", ratio),
    _Row("drawdown", "depth", "Deepest drawdown", percent),
    _Row("exposure", "gross_mean", "Gross exposure, mean", percent),
    _Row("exposure", "gross_max", "Gross exposure, most", percent),
    _Row("exposure", "net_mean", "Net exposure, mean", percent),
    _Row("exposure", "net_max", "Net exposure, most", percent),
    _Row("trading", "notional", "Traded", money),
    _Row("trading", "turnover", "Turnover per day", ratio),
    _Row("trading", "fees", "Fees", money),
    _Row("trading", "hit_rate", "Hit rate", percent),
    _Row("trading", "mean_profit", "Profit of a trade, mean", money),
)


def cards(found: Performance) -> Html:
    """Return what everybody looks at first."""
    sharpe = found.ratios.sharpe
    cost = next((term for term in found.costs if term.term == "total"), None)
    shown = (
        ("Equity", bare(found.equity.end, money), f"from {bare(found.equity.start, money)}"),
        ("Return", bare(found.equity.total_return, percent), _beside_hold(found)),
        ("Sharpe ratio", bare(sharpe, ratio), within(sharpe, ratio) or sharpe.why),
        ("Drawdown", bare(found.drawdown.depth, percent), "the deepest"),
        ("Trades", f"{found.counts.trades:,}", f"of {counted(found.counts.executions, 'execution')}"),
        ("Fees", bare(found.trading.fees, money), counted(found.counts.fills, "fill")),
        (
            "Cost, bps",
            bare(cost.realized_bps, bps) if cost else NONE,
            f"{bare(cost.predicted_bps, bps)} predicted" if cost else "",
        ),
    )
    return element(
        "ul",
        [
            element("li", element("span", name), element("b", value), element("small", below))
            for name, value, below in shown
        ],
        class_="cards",
    )


def _beside_hold(found: Performance) -> str:
    hold = next((each for each in found.benchmarks if each.name == "hold"), None)
    return f"buy-and-hold {bare(hold.total_return, percent)}" if hold else ""


def curves(found: Performance) -> Html:
    """Return equity beside buy-and-hold and flat, drawdown, and what could have been done instead."""
    curve = found.equity.curve
    times = [point.ts_ms * NS_PER_MS for point in curve]
    lines = [Line("equity", [(ts, point.equity) for ts, point in zip(times, curve, strict=True)])]
    held = [(ts, point.hold) for ts, point in zip(times, curve, strict=True) if point.hold is not None]
    if held:
        lines.append(Line("buy-and-hold", held))
    if curve and found.equity.start.value is not None:
        lines.append(Line("flat", [(ts, found.equity.start.value) for ts in (times[0], times[-1])]))
    fall = Line("below the highest before", [(ts, p.drawdown) for ts, p in zip(times, curve, strict=True)])
    return joined(
        line_chart("Equity, quote units", lines, money),
        element("div", line_chart("Drawdown", [fall], percent, filled=True, zero=True), class_="low"),
        _drawdown(found),
        _benchmarks(found),
    )


def _drawdown(found: Performance) -> Html:
    fall = found.drawdown
    if fall.peak_ms is None:
        return element("p", fall.depth.why or "Equity never fell.", class_="sub")
    back = "not recovered" if fall.recovered_ms is None else f"recovered {moment(fall.recovered_ms)}"
    return element(
        "p",
        f"Deepest {bare(fall.depth, percent)}: from {moment(fall.peak_ms)} to {moment(fall.trough_ms)}, "
        f"{back}; longest below an earlier peak {fall.under_water_s / 3600:,.1f} hours.",
        class_="sub",
    )


def _benchmarks(found: Performance) -> Html:
    ours = (
        "this",
        found.equity.total_return,
        found.ratios.volatility,
        found.ratios.sharpe,
        found.drawdown.depth,
    )
    others = [
        (
            f"{each.name} ({', '.join(each.symbols)})" if each.symbols else each.name,
            each.total_return,
            each.volatility,
            each.sharpe,
            each.drawdown,
        )
        for each in found.benchmarks
    ]
    return table(
        ("", "return", "volatility per year", "Sharpe ratio", "deepest drawdown"),
        [
            (name, figure(total, percent), figure(vol, percent), figure(sharpe, ratio), figure(fall, percent))
            for name, total, vol, sharpe, fall in [ours, *others]
        ],
        "Beside what could have been done instead, at no cost",
    )


def figures(found: Performance) -> Html:
    """Return every figure with its interval, and what it is or why there is none."""
    rows = []
    for part, field, name, shown in _ROWS:
        of: Answer = getattr(found, part)
        given: Figure = getattr(of, field)
        rows.append(
            (
                name,
                bare(given, shown),
                within(given, shown) or NONE,
                element("span", given.why or _meaning(type(of), field), class_="why"),
            )
        )
    period = (
        f"Ratios are of {counted(found.ratios.periods, 'return')} of {found.ratios.period_s:,.0f} s each."
        if found.ratios.periods
        else "There was no return to make ratios of."
    )
    return joined(
        table(
            ("", "value", "95 % interval", "what it is, or why there is none"),
            rows,
            "Every figure",
            words=(3,),
        ),
        element("p", period, class_="sub"),
    )


def _meaning(kind: type[Answer], field: str) -> str:
    """Return what a field's type says it means."""
    (hint,) = (hint for name, hint in get_type_hints(kind, include_extras=True).items() if name == field)
    return next(note.description for note in get_args(hint) if isinstance(note, msgspec.Meta)) or ""


def policies(found: Performance) -> Html:
    """Return what each policy was chosen for, earned and is worth."""
    means = [each.mean_reward for each in found.policies]
    ends = [end for mean in means for end in (mean.low, mean.value, mean.high) if end is not None]
    scale = (min([*ends, 0.0]), max([*ends, 0.0]))
    rows = [
        (
            each.policy_id,
            f"{each.choices:,}",
            _beside(bar(each.share.value or 0.0), bare(each.share, percent)),
            f"{each.rewards:,}",
            joined(_on_scale(each.mean_reward, scale), " ", figure(each.mean_reward, return_bps)),
            figure(each.value, return_bps),
            figure(each.router_value, return_bps),
            f"{each.trades:,}",
            figure(each.profit, money),
        )
        for each in found.policies
    ]
    regret = found.regret
    best = f" against always {regret.best}" if regret.best else ""
    return joined(
        table(
            (
                "",
                "choices",
                "share",
                "rewards",
                "mean reward, bps",
                "value, bps",
                "the router's, bps",
                "trades",
                "profit",
            ),
            rows,
            "What each was chosen for, earned and is worth",
            empty="No policy was chosen.",
        ),
        element(
            "p",
            f"Regret in hindsight{best}, bps a decision: ",
            figure(regret.per_decision, return_bps),
            f" ({counted(regret.decisions, 'decision')}; {regret.method})",
            class_="sub",
        ),
    )


def _beside(drawn: Html, text: str) -> Html:
    """Return a number behind its bar, so that the bars of a column begin below each other."""
    return joined(drawn, element("span", text, class_="behind"))


def _on_scale(given: Figure, scale: tuple[float, float]) -> Html:
    if given.value is None or given.low is None or given.high is None:
        return Html("")
    return interval(given.low, given.value, given.high, scale)


def costs(found: Performance) -> Html:
    """Return what executions were to cost, and did, by term."""
    said = [
        value
        for term in found.costs
        for value in (term.predicted_bps.value, term.realized_bps.value)
        if value
    ]
    most = max(map(abs, said), default=0.0)
    rows = [
        (
            term.term,
            figure(term.predicted_bps, bps),
            figure(term.realized_bps, bps),
            joined(
                signed_bar(term.predicted_bps.value or 0.0, most, "s2"),
                element("br"),
                signed_bar(term.realized_bps.value or 0.0, most),
            ),
            figure(term.realized, money),
        )
        for term in found.costs
    ]
    return table(
        ("", "predicted, bps", "realised, bps", "predicted above realised", "realised, quote units"),
        rows,
        "Cost of executions against the mid at the decision",
        empty="Nothing was executed.",
    )


def venues(found: Performance) -> Html:
    """Return what each venue filled, and at what cost."""
    whole = sum(each.notional for each in found.venues)
    rows = [
        (
            each.venue,
            f"{each.fills:,}",
            _beside(bar(each.notional / whole if whole else 0.0), money(each.notional)),
            money(each.fees),
            figure(each.fee_bps, bps),
            figure(each.against_mid_bps, bps),
            figure(each.slippage_bps, bps),
        )
        for each in found.venues
    ]
    return table(
        ("", "fills", "traded", "fees", "fee, bps", "against mid, bps", "slippage, bps"),
        rows,
        "What each filled",
        empty="No venue filled anything.",
    )


def worst(found: Performance, audit: str) -> Html:
    """Return the trades that lost most, each with the way to its audit.

    Parameters
    ----------
    audit
        An address or a command, in which `{id}` stands for the execution.
    """
    rows = [
        (
            element("code", each.execution_id[:SHORT_ID]),
            moment(each.ts_ms),
            each.symbol,
            each.policy_id or NONE,
            money(each.notional),
            money(each.profit),
            NONE if each.cost_bps is None else bps(each.cost_bps),
            _audit(audit.replace("{id}", each.execution_id)),
        )
        for each in found.worst
    ]
    return table(
        ("execution", "began", "symbol", "policy", "traded", "profit", "cost, bps", "audit"),
        rows,
        "The ten that lost most",
        words=(1, 2, 3, 7),
        empty="No trade has a known result.",
    )


def _audit(way: str) -> Html:
    if way.startswith(("http://", "https://", "/")):
        return element("a", "audit", href=way)
    return element("code", way)
