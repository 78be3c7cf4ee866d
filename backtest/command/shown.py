"""What a run says on the terminal when it is over: a short table, warnings, and where the report is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from backtest.command.folder import REPORT
from libs.cli.screen import Text
from libs.common.counted import counted
from libs.performance.page_text import bare, bps, moment, money, percent, ratio, return_bps, within

if TYPE_CHECKING:
    from pathlib import Path

    from backtest.command.summary import Summary
    from libs.cli.screen import Screen
    from libs.performance.answer import Performance
    from libs.performance.sweep import Sweep


def show(summary: Summary, out: Path, console: Screen) -> None:
    """Print it."""
    market = summary.market
    console.print(
        Text.assemble(
            (f"{', '.join(summary.run.symbols)}  ", "bold"),
            f"{moment(market.begin_ms)} to {moment(summary.until_ms)} UTC, {market.fidelity}",
            ("  synthetic market" if market.synthetic else "", "bold yellow"),
            ("  partial: ended early" if summary.partial else "", "bold red"),
        ),
        soft_wrap=True,
    )
    console.print(_figures(summary.performance))
    if summary.performance.policies:
        console.print(_policies(summary.performance))
    if summary.sweep is not None:
        console.print(_sweep(summary.sweep))
    for warning in summary.performance.warnings:
        console.print(Text(f"! {warning}", "yellow"), soft_wrap=True)
    console.print(f"report: {out / REPORT}", soft_wrap=True)


def _figures(found: Performance) -> Table:
    table = Table(show_header=False, box=None)
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column(style="dim")
    total = next((term for term in found.costs if term.term == "total"), None)
    hold = next((each for each in found.benchmarks if each.name == "hold"), None)
    sharpe, equity = found.ratios.sharpe, found.equity
    table.add_row("equity", bare(equity.end, money), f"from {bare(equity.start, money)}")
    beside = f"buy-and-hold {bare(hold.total_return, percent)}" if hold else ""
    table.add_row("return", bare(equity.total_return, percent), beside)
    table.add_row("Sharpe ratio", bare(sharpe, ratio), within(sharpe, ratio) or sharpe.why)
    table.add_row("drawdown", bare(found.drawdown.depth, percent), "the deepest")
    table.add_row("trades", f"{found.counts.trades:,}", f"of {counted(found.counts.decisions, 'decision')}")
    table.add_row("fees", bare(found.trading.fees, money), counted(found.counts.fills, "fill"))
    if total is not None:
        predicted = f"{bare(total.predicted_bps, bps)} predicted"
        table.add_row("cost, bps", bare(total.realized_bps, bps), predicted)
    return table


def _policies(found: Performance) -> Table:
    table = Table("policy", box=None)
    for name in ("choices", "share", "mean reward, bps", "trades", "profit"):
        table.add_column(name, justify="right")
    for each in found.policies:
        table.add_row(
            each.policy_id,
            f"{each.choices:,}",
            bare(each.share, percent),
            bare(each.mean_reward, return_bps),
            f"{each.trades:,}",
            bare(each.profit, money),
        )
    return table


def _sweep(sweep: Sweep) -> Table:
    table = Table("run", box=None)
    for name in ("return", "Sharpe ratio", "of a period", "drawdown", "trades"):
        table.add_column(name, justify="right")
    for point in sweep.points:
        table.add_row(
            Text(point.name, "bold" if point.name == sweep.best else ""),
            bare(point.total_return, percent),
            bare(point.sharpe, ratio),
            bare(point.sharpe_of_period, ratio),
            bare(point.drawdown, percent),
            f"{point.trades:,}",
        )
    table.add_row("deflated Sharpe ratio of the best", "", bare(sweep.deflated_sharpe, percent))
    for fold in sweep.folds:
        table.add_row(
            f"{moment(fold.begin_ms)}: {fold.chosen}",
            bare(fold.total_return, percent),
            bare(fold.sharpe, ratio),
        )
    if sweep.folds:
        table.add_row("all folds", bare(sweep.folds_return, percent))
    return table
