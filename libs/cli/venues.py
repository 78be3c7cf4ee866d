"""`bookrunner venues`: what is measured of each venue, best first, from the registry's own topic."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from rich.live import Live
from rich.table import Table

from libs.cli.errors import CommandError
from libs.cli.screen import Text
from libs.common.events import BookState, VenueMetrics
from libs.common.kafka import follow
from libs.common.time_units import NS_PER_S
from libs.common.topics import VENUES_METRICS
from libs.common.views import View

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.cli.screen import Screen
    from libs.common.kafka import Undecodable
    from libs.common.settings import ServiceSettings

SILENCE_NS: Final = 5 * NS_PER_S  # venues publishes every second
FRAME_S: Final = 0.25
COLUMNS: Final = (
    "venue",
    "symbol",
    "state",
    "cost bps",
    "spread bps",
    "basis bps",
    "lasting",
    "depth",
    "fee bps",
    "slip bps",
    "lag p50 ms",
    "p99",
    "request ms",
    "well",
    "rate left",
    "gaps",
)
_STYLES: Final = {BookState.LIVE: "green", BookState.SYNCING: "yellow"}


async def show_venues(settings: ServiceSettings, symbol: str | None, console: Screen, *, once: bool) -> None:
    """Show the registry, for ever or once.

    Raises
    ------
    CommandError
        If nothing is measured of the symbol.
    """
    view: View[VenueMetrics] = View(VENUES_METRICS)
    async with aclosing(follow(settings, (view,), on_undecodable=_refuse)) as batches:
        async for _ in batches:
            if view.ready:
                break
        if not _chosen(view, symbol):
            raise CommandError(_nothing(view, symbol))
        if once:
            console.print(table(_chosen(view, symbol), time.time_ns()))
            return
        with Live(console=console, screen=True, auto_refresh=False) as live:
            drawn = 0.0
            async for _ in batches:
                if time.monotonic() - drawn >= FRAME_S:
                    live.update(table(_chosen(view, symbol), time.time_ns()), refresh=True)
                    drawn = time.monotonic()


def table(found: Iterable[VenueMetrics], now: int) -> Table:
    """Return the registry as a table: by symbol, and within one by the cost of the reference order."""
    shown = Table(title="venues, best first by symbol", title_justify="left")
    for column in COLUMNS:
        shown.add_column(column, justify="left" if column in COLUMNS[:3] else "right", no_wrap=True)
    for each in sorted(found, key=_rank):
        shown.add_row(*_cells(each, now))
    return shown


def _rank(each: VenueMetrics) -> tuple[str, bool, float, str]:
    cost = each.reference_cost_bps
    return each.symbol, cost is None, cost or 0.0, each.venue


def _cells(each: VenueMetrics, now: int) -> list[Text | str]:
    silent = now - each.ts > SILENCE_NS
    state = Text("SILENT", "red") if silent else Text(each.state, _STYLES.get(each.state, "red"))
    return [
        each.venue,
        each.symbol,
        state,
        _number(each.reference_cost_bps, 2),
        _number(each.spread_bps, 2),
        _number(each.basis_bps, 2),
        _number(each.lasting_basis_bps, 2),
        _number(each.top_depth, 3),
        _number(each.taker_bps, 1),
        _number(each.expected_slippage_bps, 2),
        _number(each.latency_p50_ms, 1),
        _number(each.latency_p99_ms, 1),
        _number(each.request_p50_ms, 1),
        f"{each.reliability:.2%}",
        f"{each.rate_remaining:.0%}",
        str(each.gaps),
    ]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _chosen(view: View[VenueMetrics], symbol: str | None) -> list[VenueMetrics]:
    return [each for each in view.items.values() if symbol in {None, each.symbol}]


def _nothing(view: View[VenueMetrics], symbol: str | None) -> str:
    known = ", ".join(sorted({each.symbol for each in view.items.values()}))
    if not known:
        return "no venue has been measured yet: are `l2` and `venues` running? start them with `make run`"
    return f"nothing is measured of {symbol}; there are: {known}"


async def _refuse(undecodable: Undecodable) -> None:
    raise CommandError(f"{undecodable.source} is no message: {undecodable.reason}")
