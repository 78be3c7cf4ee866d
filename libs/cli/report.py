"""`bookrunner report`: what trading earned and cost, as the gateway tells it: a table, JSON, or a page."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 -- typer resolves annotations at run time
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlencode

import msgspec
import typer
from rich.table import Table

from libs.cli.ask import ask
from libs.cli.errors import CommandError, UsageError
from libs.cli.screen import Text, screen
from libs.cli.starts import At, Beginning, End, parse_start
from libs.cli.tail import now_ms
from libs.cli.work import settings_here
from libs.common.counted import counted
from libs.common.printable import printable_json
from libs.common.time_units import DAY_NS, NS_PER_MS
from libs.performance.answer import Performance
from libs.performance.page_text import bare, bps, moment, money, percent, ratio, return_bps, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from libs.cli.screen import Screen
    from libs.cli.settings import CliSettings
    from libs.performance.figures import Figure

KEPT_DAYS: Final = 3 * 365 - 1  # of equity, as its topic keeps it
MADE_UP: Final = "The market is the simulator's: seeded, and made up."


def report_command(
    *,
    begin: Annotated[str, typer.Option("--from", help="beginning, -7d, or an ISO time (UTC).")] = "-1d",
    end: Annotated[str, typer.Option("--to", help="now, -1d, or an ISO time (UTC).")] = "now",
    as_json: Annotated[bool, typer.Option("--json", help="As the gateway answers it.")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="A page, in this file.")] = None,
) -> None:
    """Tell what trading earned and cost: equity, risk, costs, policies, venues."""
    if as_json and html is not None:
        raise UsageError("--json prints, and --html writes a file: name one of them")
    settings = settings_here()
    route = route_of(begin, end, now_ms())
    told = ask(settings, route, None)
    if as_json:
        sys.stdout.write(f"{printable_json(told)}\n")
        return
    found = performance_in(told)
    if html is None:
        show(screen(), found, made_up=settings.feed == "simulator")
        return
    write_page(settings, found, html, route)
    screen().print(f"written: {html}")


def route_of(begin: str, end: str, now: int) -> str:
    """Return what to ask the gateway for a stretch of time, as a person writes it.

    Raises
    ------
    UsageError
        If a moment is none.
    """
    asked = {"from": _moment("--from", begin, now), "to": _moment("--to", end, now)}
    return f"performance?{urlencode({name: ms for name, ms in asked.items() if ms is not None})}"


def _moment(option: str, text: str, now: int) -> int | None:
    """Return a moment in ms since 1970 UTC, None for now."""
    match parse_start(text, now, option):
        case At(timestamp_ms):
            return timestamp_ms
        case Beginning():
            return now - KEPT_DAYS * DAY_NS // NS_PER_MS
        case End():
            return None
        case _:
            raise UsageError(f"{option} {text!r} is no moment: an ISO time or -7d is")


def performance_in(answer: str) -> Performance:
    """Return the numbers that the gateway answered.

    Raises
    ------
    CommandError
        If they are none.
    """
    try:
        return msgspec.json.decode(answer, type=Performance)
    except msgspec.DecodeError as error:
        raise CommandError(
            f"what the gateway answered is no performance ({error}): is it of this version?"
        ) from error


def write_page(settings: CliSettings, found: Performance, path: Path, route: str) -> None:
    """Write the numbers as a page.

    Raises
    ------
    CommandError
        If the file cannot be written.
    """
    from libs.performance.page import Head, page  # noqa: PLC0415 -- for those who ask for a page

    loud = (MADE_UP,) if settings.feed == "simulator" else ()
    gateway = f"http://{settings.gateway_host}:{settings.gateway_port}"
    head = Head(
        title="Performance",
        loud=loud,
        about=f"{moment(found.begin_ms)} to {moment(found.end_ms)}, as the running system tells it.",
        facts=(("asked", f"{gateway}/api/{route}"),),
        audit=f"{gateway}/api/audit/{{id}}",
    )
    try:
        path.write_bytes(page(head, found))
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error


def show(console: Screen, found: Performance, *, made_up: bool) -> None:
    """Print the numbers as tables, and what they do not rest on."""
    counts = found.counts
    console.print(
        f"{moment(found.begin_ms)} to {moment(found.end_ms)}: {counted(counts.trades, 'trade')}, "
        f"{counted(counts.executions, 'execution')}, {counted(counts.fills, 'fill')}, "
        f"{counted(counts.decisions, 'decision')}, {counted(counts.marks, 'mark')}"
    )
    for warning in (*((MADE_UP,) if made_up else ()), *found.warnings):
        console.print(Text(warning, "yellow"), soft_wrap=True)
    for table in (_figures(found), _costs(found), _policies(found), _venues(found), _worst(found)):
        console.print(table)


def _figures(found: Performance) -> Table:
    equity, ratios, exposure, trading = found.equity, found.ratios, found.exposure, found.trading
    shown = _table("figures", "", "value", "95 %", "why not")
    rows: Iterable[tuple[str, Figure, Callable[[float], str]]] = (
        ("equity", equity.end, money),
        ("profit", equity.profit, money),
        ("return", equity.total_return, percent),
        ("a year", equity.annual_return, percent),
        *((f"{each.name} return", each.total_return, percent) for each in found.benchmarks),
        ("volatility a year", ratios.volatility, percent),
        ("Sharpe ratio", ratios.sharpe, ratio),
        ("Sharpe ratio of a period", ratios.sharpe_of_period, ratio),
        ("Sortino ratio", ratios.sortino, ratio),
        ("Calmar ratio", ratios.calmar, ratio),
        ("deepest drawdown", found.drawdown.depth, percent),
        ("gross exposure, mean", exposure.gross_mean, percent),
        ("gross exposure, most", exposure.gross_max, percent),
        ("traded", trading.notional, money),
        ("turnover a day", trading.turnover, percent),
        ("fees", trading.fees, money),
        ("hit rate", trading.hit_rate, percent),
        ("regret a decision, bps", found.regret.per_decision, return_bps),
    )
    for name, figure, text in rows:
        shown.add_row(name, bare(figure, text), within(figure, text), figure.why)
    return shown


def _costs(found: Performance) -> Table:
    shown = _table("costs", "term", "predicted bps", "realized bps", "95 %", "amount")
    for cost in found.costs:
        realized = cost.realized_bps
        figures = (bare(cost.predicted_bps, bps), bare(realized, bps), within(realized, bps))
        shown.add_row(cost.term, *figures, bare(cost.realized, money))
    return shown


def _policies(found: Performance) -> Table:
    shown = _table("policies", "policy", "share", "mean reward bps", "95 %", "value bps", "95 %", "profit")
    for each in found.policies:
        reward, value = each.mean_reward, each.value
        shown.add_row(
            each.policy_id,
            bare(each.share, percent),
            *(
                text
                for figure in (reward, value)
                for text in (bare(figure, return_bps), within(figure, return_bps))
            ),
            bare(each.profit, money),
        )
    return shown


def _venues(found: Performance) -> Table:
    shown = _table("venues", "venue", "fills", "traded", "fees", "fee bps", "against mid bps", "slippage bps")
    for each in found.venues:
        rates = (bare(rate, bps) for rate in (each.fee_bps, each.against_mid_bps, each.slippage_bps))
        shown.add_row(each.venue, str(each.fills), money(each.notional), money(each.fees), *rates)
    return shown


def _worst(found: Performance) -> Table:
    shown = _table("worst trades", "execution", "symbol", "policy", "began", "profit", "cost bps")
    for each in found.worst:
        cost = "" if each.cost_bps is None else bps(each.cost_bps)
        shown.add_row(
            each.execution_id,
            each.symbol,
            each.policy_id or "",
            moment(each.ts_ms),
            money(each.profit),
            cost,
        )
    return shown


def _table(title: str, first: str, *others: str) -> Table:
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    shown.add_column(first)
    for name in others:
        shown.add_column(name, justify="left" if name == "why not" else "right")
    return shown
