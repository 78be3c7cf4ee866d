"""Two runs beside each other: the figures of both, and what they were made with differently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from rich.table import Table

from backtest.command.summary import SCHEMA, Summary
from libs.cli.errors import CommandError
from libs.cli.screen import Text
from libs.performance.page_text import NONE, bps, money, percent, ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from libs.performance.answer import Performance
    from libs.performance.figures import Figure

Row = tuple[str, "float | None", "Callable[[float], str]"]
_PLAIN: Final = ("symbols", "policies", "versions", "interval_s", "urgency", "seed", "capital", "settings")


class _Form(msgspec.Struct, frozen=True):
    """What a summary of any version begins with."""

    schema: int


def read_summary(file: Path) -> Summary:
    """Return the summary of another run.

    Raises
    ------
    CommandError
        If the file cannot be read, or is none.
    """
    try:
        text = file.read_bytes()
    except OSError as error:
        raise CommandError(f"--compare {file} cannot be read: {error.strerror}") from error
    try:
        schema = msgspec.json.decode(text, type=_Form).schema  # first: other forms have other fields
        if schema != SCHEMA:
            raise CommandError(f"--compare {file} has schema {schema}; this version reads {SCHEMA}")
        return msgspec.json.decode(text, type=Summary)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CommandError(f"--compare {file} is no summary.json of a backtest: {error}") from error


def compared(this: Summary, other: Summary) -> Table:
    """Return the figures of two runs and their differences."""
    table = Table(title="Compared", title_justify="left")
    for name in ("", "this", "the other", "difference"):
        table.add_column(name, justify="left" if not name else "right")
    for (name, here, shown), (_, there, _) in zip(
        rows_of(this.performance), rows_of(other.performance), strict=True
    ):
        table.add_row(
            name,
            NONE if here is None else shown(here),
            NONE if there is None else shown(there),
            NONE if here is None or there is None else shown(here - there),
        )
    for name, here_text, there_text in differences(this, other):
        table.add_row(Text(name, "dim"), here_text, there_text, "")
    return table


def differences(this: Summary, other: Summary) -> Iterator[tuple[str, str, str]]:
    """Yield what two runs were made with that is not the same: name, this one's and the other's."""
    for name in ("fidelity", "books", "begin_ms", "end_ms"):
        yield from _unlike(name, getattr(this.market, name), getattr(other.market, name))
    for name in _PLAIN:
        yield from _unlike(name, getattr(this.run, name), getattr(other.run, name))


def _unlike(name: str, here: object, there: object) -> Iterator[tuple[str, str, str]]:
    if here != there:
        yield name, _text(here), _text(there)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={text}" for name, text in value.items()) or NONE
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def rows_of(found: Performance) -> list[Row]:
    """Return the figures that are compared: name, value and how it is written."""
    costs = {term.term: term for term in found.costs}
    total = costs.get("total")

    def count(value: float) -> str:
        return f"{value:,.0f}"

    def of(figure: Figure | None) -> float | None:
        return None if figure is None else figure.value

    return [
        ("equity", of(found.equity.end), money),
        ("return", of(found.equity.total_return), percent),
        ("volatility per year", of(found.ratios.volatility), percent),
        ("Sharpe ratio", of(found.ratios.sharpe), ratio),
        ("deepest drawdown", of(found.drawdown.depth), percent),
        ("gross exposure, mean", of(found.exposure.gross_mean), percent),
        ("turnover per day", of(found.trading.turnover), ratio),
        ("trades", float(found.counts.trades), count),
        ("decisions", float(found.counts.decisions), count),
        ("fees", of(found.trading.fees), money),
        ("cost predicted, bps", of(total.predicted_bps if total else None), bps),
        ("cost realised, bps", of(total.realized_bps if total else None), bps),
        ("regret a decision, bps", _scaled(of(found.regret.per_decision)), bps),
    ]


def _scaled(value: float | None) -> float | None:
    return None if value is None else 1e4 * value
