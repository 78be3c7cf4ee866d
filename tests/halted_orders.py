"""Orders that were still sent or accepted of a halted scope, by the log.

The place of a record is its Kafka timestamp, which of all that the execution service writes is when it
handled what caused it, on one clock: a halt's is that of its command, before the halt itself stands.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

from libs.common.events import OrderAccepted, OrderSubmitted, TradingHalted, TradingResumed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from libs.common.events import PaperOrder
    from libs.common.kafka import Record


class Halt(NamedTuple):
    """The time during which a scope is halted, ms UTC."""

    scope: str
    began_ms: float
    ended_ms: float

    def covers(self, order: PaperOrder, policy_id: str | None) -> bool:
        """Tell whether an order is of the scope."""
        kind, _, name = self.scope.partition(":")
        of = {"all": "", "symbol": order.symbol, "venue": order.venue, "policy": policy_id}
        return of[kind] == name


class Late(NamedTuple):
    """An order that was sent or accepted while its scope was halted."""

    halt: Halt
    cl_ord_id: str
    ts_ms: int

    @property
    def after_ms(self) -> float:
        """How long after the halt."""
        return self.ts_ms - self.halt.began_ms


def halts_in(controls: Iterable[Record]) -> list[Halt]:
    """Return the halts of all scopes; those that are not resumed last for ever."""
    began: dict[str, int] = {}
    found = []
    for record in controls:
        event = record.event
        if isinstance(event, TradingHalted):
            began[event.scope] = record.timestamp_ms
        elif isinstance(event, TradingResumed):
            found.append(Halt(event.scope, began.pop(event.scope), record.timestamp_ms))
    return found + [Halt(scope, ts_ms, inf) for scope, ts_ms in began.items()]


def late_orders(
    orders: Iterable[Record], halts: Iterable[Halt], policies: Mapping[str, str | None]
) -> Iterator[Late]:
    """Yield each that was sent or accepted during a halt; `policies` are by execution."""
    during = list(halts)
    for record in orders:
        event = record.event
        if not isinstance(event, OrderSubmitted | OrderAccepted):
            continue
        policy_id = policies.get(event.order.execution_id or "")
        for halt in during:
            if halt.began_ms < record.timestamp_ms < halt.ended_ms and halt.covers(event.order, policy_id):
                yield Late(halt, event.order.cl_ord_id, record.timestamp_ms)
