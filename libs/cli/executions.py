"""`bookrunner executions`: the newest executions as they progress, with a bar each."""

from __future__ import annotations

import time
from contextlib import aclosing
from itertools import islice
from typing import TYPE_CHECKING, Final

from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from libs.cli.errors import CommandError
from libs.cli.screen import Text
from libs.common.events import ExecutionStatus
from libs.common.kafka import follow
from libs.common.record_view import RecordView
from libs.common.time_units import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.cli.screen import Screen
    from libs.common.events import ExecutionRecord
    from libs.common.kafka import Undecodable
    from libs.common.settings import ServiceSettings

FRAME_S: Final = 0.25
BAR_WIDTH: Final = 20
SHORT_ID: Final = 8  # `verify` and the gateway take it as well as a whole one
LEFT: Final = ("execution", "symbol", "status", "policy", "style", "venue")
RIGHT: Final = ("size", "progress", "avg price", "shortfall bps", "reward bps", "unchanged bps", "age s")
_STYLES: Final = {
    ExecutionStatus.PLANNING: "yellow",
    ExecutionStatus.WORKING: "cyan",
    ExecutionStatus.COMPLETED: "green",
    ExecutionStatus.FAILED: "red",
}


async def show_executions(
    settings: ServiceSettings, symbol: str | None, limit: int, console: Screen, *, once: bool
) -> None:
    """Show the newest executions, for ever or once.

    Raises
    ------
    CommandError
        If a record is none.
    """
    view = RecordView()
    async with aclosing(follow(settings, (view,), on_undecodable=_refuse)) as batches:
        async for _ in batches:
            if view.ready:
                break
        if once:
            console.print(table(islice(view.newest(symbol), limit), time.time_ns()))
            return
        with Live(console=console, screen=True, auto_refresh=False) as live:
            drawn = 0.0
            async for _ in batches:
                if time.monotonic() - drawn >= FRAME_S:
                    live.update(table(islice(view.newest(symbol), limit), time.time_ns()), refresh=True)
                    drawn = time.monotonic()


def table(found: Iterable[ExecutionRecord], now: int) -> Table:
    """Return executions as a table, in the order given."""
    shown = Table(title="executions, newest first", title_justify="left")
    for column in LEFT:
        shown.add_column(column, no_wrap=True)
    for column in RIGHT:
        shown.add_column(column, justify="right", no_wrap=True)
    shown.add_column("what")
    for record in found:
        shown.add_row(*_cells(record, now))
    return shown


def _cells(record: ExecutionRecord, now: int) -> list[Text | ProgressBar | str]:
    plan = record.plan
    size = plan.size if plan is not None else None
    bar = ProgressBar(total=float(size or 1), completed=float(record.filled), width=BAR_WIDTH)
    reward = record.reward
    return [
        record.execution_id[:SHORT_ID],
        record.symbol,
        Text(record.status, _STYLES.get(record.status, "")),
        record.policy_id or "-",
        "-" if plan is None else plan.style,
        record.venue or "-",
        "-" if size is None or plan is None else f"{plan.side} {size:f}",
        bar,
        "-" if record.avg_px is None else f"{record.avg_px:,.2f}",
        "-" if record.shortfall is None else f"{record.shortfall.total_bps:,.2f}",
        _bps(None if reward is None else reward.reward),
        _bps(None if reward is None else reward.unchanged),
        f"{(now - record.created_ts) / NS_PER_S:,.0f}",
        record.waiting or record.reason or ("" if plan is None else "; ".join(plan.warnings)),
    ]


def _bps(of_equity: float | None) -> str:
    return "-" if of_equity is None else f"{of_equity * 1e4:+.3f}"


async def _refuse(undecodable: Undecodable) -> None:
    raise CommandError(f"{undecodable.source} is no message: {undecodable.reason}")
