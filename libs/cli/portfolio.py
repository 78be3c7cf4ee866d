"""`bookrunner portfolio`: positions and risk, as Kafka has them now."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from rich.table import Table

from libs.cli.errors import CommandError
from libs.cli.reader import TopicReader
from libs.cli.screen import Text
from libs.cli.starts import Beginning
from libs.common.codec import decode
from libs.common.events import Event, Position, RiskBudget
from libs.common.topics import PORTFOLIO_POSITIONS, PORTFOLIO_RISK

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from libs.cli.screen import Screen
    from libs.common.events import SymbolRisk
    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic

E = TypeVar("E", bound=Event)


async def show_portfolio(settings: ServiceSettings, console: Screen) -> None:
    """Print what is held, and what it uses of the CVaR budget.

    Raises
    ------
    CommandError
        If Kafka does not answer, or the portfolio has never assessed anything.
    """
    positions = await newest(settings, PORTFOLIO_POSITIONS, Position)
    budgets = await newest(settings, PORTFOLIO_RISK, RiskBudget)
    if not budgets:
        raise CommandError("the portfolio has assessed no risk yet: is it running? start it with `make run`")
    console.print(positions_table(positions))
    for budget in budgets.values():
        console.print(risk_table(budget))


async def newest(settings: ServiceSettings, topic: Topic, kind: type[E]) -> Mapping[bytes, E]:
    """Return the newest message of a kind per key of a compacted topic; keys in order.

    Raises
    ------
    CommandError
        If Kafka does not answer, or has no such topic.
    """
    found: dict[bytes, E] = {}
    async with TopicReader.open(settings) as reader:
        ends = await reader.begin(dict.fromkeys(await reader.partitions(topic), Beginning()))
        while await reader.behind(ends):
            for record in await reader.batch():
                event = decode(topic, record.value)
                if isinstance(event, kind):
                    found[record.key] = event
    return dict(sorted(found.items()))


def positions_table(positions: Mapping[bytes, Position]) -> Table:
    """Return the positions, a row a symbol; amounts in quote units."""
    shown = _table("positions" if positions else "no positions")
    shown.add_column("symbol")
    for name in ("quantity", "avg price", "mark", "unrealized", "realized", "fees", "fills"):
        shown.add_column(name, justify="right")
    for position in positions.values():
        shown.add_row(
            position.symbol,
            f"{position.quantity.normalize():f}",
            "" if position.avg_price is None else f"{position.avg_price:,.2f}",
            "" if position.mark is None else f"{position.mark:,.2f}",
            _signed(position.unrealized_pnl),
            _signed(position.realized_pnl),
            f"{position.fees:,.2f}",
            str(position.fills),
        )
    return shown


def risk_table(budget: RiskBudget) -> Table:
    """Return the risk of a book, a row a symbol; fractions per day in percent."""
    shown = _table(
        f"{budget.book}: equity {budget.equity:,.2f}; CVaR {budget.confidence:g} uses {budget.cvar_used:.3%} "
        f"of {budget.cvar_budget:.3%} a day, {budget.cvar_left:.3%} left"
    )
    shown.add_column("symbol")
    for name in ("CVaR", "vol", "weight", "used", "days"):
        shown.add_column(name, justify="right")
    for symbol, risk in budget.by_symbol.items():
        days = f"{risk.observations} (total loss assumed)" if risk.assumed else _days(risk)
        shown.add_row(
            symbol, f"{risk.cvar:.2%}", f"{risk.vol:.2%}", f"{risk.weight:.2%}", f"{risk.used:.3%}", days
        )
    return shown


def _days(risk: SymbolRisk) -> str:
    weigh = f", weigh as {risk.effective_days:.0f}" if risk.effective_days else ""
    left_out = f", {risk.left_out} left out" if risk.left_out else ""
    return f"{risk.observations}{weigh}{left_out}"


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")


def _signed(amount: Decimal) -> Text:
    return Text(f"{amount:+,.2f}", "green" if amount > 0 else "red" if amount < 0 else "")
