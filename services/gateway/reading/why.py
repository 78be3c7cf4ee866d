"""`Why`: the gates of every symbol, from the views and from the audits of the last decisions; a shell.

The views are looked at on the loop, symbol by symbol, as they change with each message.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from libs.common.kafka import partition_of
from libs.common.time_units import NS_PER_MS
from services.gateway.http.places import Places
from services.gateway.http.problems import UNKNOWN_SYMBOL, ProblemError
from services.gateway.http.view import encode
from services.gateway.reading.gates import WhyAnswer, why_of
from services.gateway.reading.present import Present

if TYPE_CHECKING:
    from collections.abc import Callable

    from libs.common.events import ExecutionRecord
    from services.gateway.reading.decision_log import DecisionLog
    from services.gateway.reading.topic_views import GatewayViews
    from services.gateway.settings import GatewaySettings


class _Newest:
    """The newest executions of each symbol, found in one pass over all."""

    def __init__(self, views: GatewayViews) -> None:
        self.begun: dict[str, ExecutionRecord] = {}
        self.chosen: dict[str, ExecutionRecord] = {}
        self.sized: dict[str, ExecutionRecord] = {}
        self.running: list[ExecutionRecord] = []
        for record in views.records.items.values():
            if not record.status.final:
                self.running.append(record)
            _keep(self.begun, record)
            if record.policy_id is not None:
                _keep(self.chosen, record)
            if record.sizing is not None:
                _keep(self.sized, record)

    def with_settings(self, symbol: str) -> ExecutionRecord | None:
        """Return the newest one that was sized: of the symbol, else of any."""
        own = self.sized.get(symbol)
        return own or max(self.sized.values(), key=lambda each: each.created_ts, default=None)


def _keep(newest: dict[str, ExecutionRecord], record: ExecutionRecord) -> None:
    before = newest.get(record.symbol)
    if before is None or before.created_ts <= record.created_ts:
        newest[record.symbol] = record


@dataclass(eq=False)
class Why:
    """The answers of `GET /api/why`."""

    settings: GatewaySettings
    views: GatewayViews
    decisions: DecisionLog
    clock: Callable[[], int]  # int ns UTC
    places: Places = field(init=False)

    def __post_init__(self) -> None:
        self.places = Places.of(self.settings, "why_max_reads", "why", "decisions are being explained")

    async def body(self, symbol: str | None, address: str) -> bytes:
        """Return the JSON of the gates of a symbol, or of all that have a book.

        Raises
        ------
        ProblemError
            404 if the symbol has no book, 503 while the views are behind or Kafka is away, or if too many
            ask; 429 if this address has its share.
        """
        self.views.require_ready()
        symbols = sorted({key.decode(errors="replace").rpartition(":")[2] for key in self.views.subscribed()})
        if symbol is not None and symbol not in symbols:
            there = ", ".join(symbols) or "none yet"
            raise ProblemError(UNKNOWN_SYMBOL, f"No book of {symbol} is subscribed; there are: {there}.")
        with self.places.held(address):
            newest = _Newest(self.views)
            wanted = symbols if symbol is None else [symbol]
            of = {each: (newest.chosen.get(each), newest.with_settings(each)) for each in wanted}
            decisions = await self.decisions.decisions(each for two in of.values() for each in two if each)
            now, newest, found = self.clock(), _Newest(self.views), []  # it may have taken a while
            for each, two in of.items():
                chosen, sized = (decisions.get(one.execution_id) if one else None for one in two)
                present = self._present(each, now, newest)
                found.append(why_of(replace(present, chosen=chosen, sized=sized), newest.begun.get(each)))
                await asyncio.sleep(0)  # each takes a ms or more, as it sizes again and again
            return encode(WhyAnswer(ts=now // NS_PER_MS, symbols=tuple(found)))

    def _present(self, symbol: str, now: int, newest: _Newest) -> Present:
        partitions = self.settings.topic_partitions
        own = partition_of(symbol.encode(), partitions)
        others = {each.symbol for each in newest.running} - {symbol}
        return Present(
            views=self.views,
            symbol=symbol,
            now=now,
            running=newest.running,
            neighbours=frozenset(each for each in others if partition_of(each.encode(), partitions) == own),
        )
