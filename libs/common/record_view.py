"""The newest executions, by id and by symbol, each whole: its last record with the progress since; pure."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from libs.common.events import ExecutionProgress, ExecutionRecord
from libs.common.topics import EXECUTION_RECORDS
from libs.common.views import Last, Place, View

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from libs.common.events import PaperOrder, RecordFill

KEEP: Final = 10_000  # executions held in memory, the newest; some 5 kB each
FILLS_KEPT: Final = 200  # of a record, the newest; each fill is on execution.fills.v1
assert EXECUTION_RECORDS.load is not None  # noqa: S101 -- the registry states it of each topic
OFFSETS: Final = EXECUTION_RECORDS.load.records  # of an execution, markers of transactions included


class RecordView(View[ExecutionRecord]):
    """A view of the executions that were written last, up to `keep`; older ones are on their topic only.

    Its items are whole records by execution id; progress is merged as it comes and has no item of its own, so
    `place` is that of the last whole record.
    """

    def __init__(self, keep: int = KEEP) -> None:
        super().__init__(EXECUTION_RECORDS)
        self._keep = keep

    def start(self, _now: int) -> Last:
        """Return the end of the log that holds as many executions, by what the registry says of each."""
        return Last(round(OFFSETS * self._keep))

    def fold(
        self, partition: int, offset: int, key: bytes, event: ExecutionRecord | ExecutionProgress | None
    ) -> None:
        """Apply one record; see `View.fold`.

        Progress is passed by where its execution's record lies before the place that reading began at, or
        was removed by compaction because a later one follows. The tombstone of progress changes nothing: the
        whole record that came with it holds what the progress said.
        """
        self._pass(partition, offset)
        if isinstance(event, ExecutionRecord):
            self._places[key] = Place(partition, offset)
        if isinstance(event, ExecutionProgress):
            key = event.execution_id.encode()
            before = self._items.get(key)
            if before is None:
                return
            event = with_progress(before, event)
        self._items.pop(key, None)  # what is written goes to the end
        if event is None:
            self._places.pop(key, None)
            return
        self._items[key] = event
        if len(self._items) > self._keep:
            oldest = next(iter(self._items))
            del self._items[oldest]
            self._places.pop(oldest, None)

    def last_written(self) -> Iterator[ExecutionRecord]:
        """Yield the records, the one that was written last first."""
        return reversed(self._items.values())

    def named(self, beginning: str) -> list[str]:
        """Return the ids that begin so, the whole one alone if it is there."""
        if beginning.encode() in self._items:
            return [beginning]
        return sorted(
            each.execution_id for each in self._items.values() if each.execution_id.startswith(beginning)
        )

    def newest(self, symbol: str | None) -> Iterator[ExecutionRecord]:
        """Yield the records of a symbol, or of all, the execution that began last first."""
        wanted = (r for r in self._items.values() if symbol is None or r.symbol == symbol)
        return iter(sorted(wanted, key=lambda record: record.created_ts, reverse=True))


def with_progress(record: ExecutionRecord, progress: ExecutionProgress) -> ExecutionRecord:
    """Return the whole record after a step of one child.

    An order takes its place by when it was submitted, and a fill by when it happened, not by when they are
    read: compaction leaves the last progress of each child only, so a child that rests long comes after later
    ones.
    """
    orders, fills = record.orders, record.fills
    told = {leg.venue: leg for leg in (*progress.legs, progress.leg) if leg is not None}
    if progress.order is not None:
        place, known = _place_of(progress.order, orders)
        orders = (*orders[:place], progress.order, *orders[place + (known is not None) :])
        new = progress.order.fills - (0 if known is None else known.fills)
        fills = _with_fills(fills, progress.fills[max(0, len(progress.fills) - new) :])
    return replace(
        record,
        orders=orders,
        fills=fills,
        legs=tuple(told.get(leg.venue, leg) for leg in record.legs),
        fills_total=sum(order.fills for order in orders),
        filled=progress.filled,
        open=progress.open,
        unscheduled=progress.unscheduled,
        avg_px=progress.avg_px,
        waiting=progress.waiting,
        audit=progress.audit,
        ts=progress.ts,
    )


def _place_of(order: PaperOrder, orders: Sequence[PaperOrder]) -> tuple[int, PaperOrder | None]:
    """Return the place of an order among orders, oldest first, and what stands there of it."""
    for place, known in enumerate(orders):
        if known.cl_ord_id == order.cl_ord_id:
            return place, known
    return bisect_right(orders, order.submitted_ts, key=lambda known: known.submitted_ts), None


def _with_fills(fills: Sequence[RecordFill], new: Sequence[RecordFill]) -> tuple[RecordFill, ...]:
    """Return the newest of the fills, oldest first, after new ones."""
    return tuple(sorted((*fills, *new), key=lambda fill: fill.ts))[-FILLS_KEPT:]
