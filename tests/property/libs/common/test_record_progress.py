"""However a history is split into whole records and progress, readers see the whole record of each moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from libs.common.codec import decode, encode
from libs.common.events import (
    AuditHead,
    ExecType,
    ExecutionProgress,
    ExecutionRecord,
    ExecutionStatus,
    OrdStatus,
    PaperOrder,
    RecordFill,
)
from libs.common.kafka import partition_of
from libs.common.record_view import FILLS_KEPT, RecordView
from libs.common.topics import EXECUTION_RECORDS, progress_key
from tests.execution_market import NOW, an_order

VENUES = ("binance", "bybit")
ID = str(uuid5(NAMESPACE_URL, "progress"))
SIZE = Decimal(10_000)
# At one moment; the fills of the first child are cut from the record when it changes again.
CUT = (("submit", 0), ("submit", 1), ("fill", 0), ("fill", 1), ("cancel", 0))


@dataclass
class Child:
    order: PaperOrder
    fills: list[RecordFill] = field(default_factory=list)


@dataclass
class Naive:
    """An execution that makes its whole record anew at each moment, from all that ever happened."""

    execution_id: str = ID
    now: int = NOW
    children: list[Child] = field(default_factory=list)
    fills: list[RecordFill] = field(default_factory=list)  # all, as they happened
    waiting: str = ""
    entries: int = 0

    def act(self, what: str, which: int, count: int, pause_ns: int) -> int | None:
        """Let something happen; return the place of the child that changed."""
        self.now += pause_ns
        self.entries += 1
        if what == "wait":
            self.waiting = f"for something, {self.entries}"
            return None
        self.waiting = ""
        if what == "submit" or not self.children:
            return self._submit(which)
        n = which % len(self.children)
        child = self.children[n]
        if what == "fill":
            self._fill(n, child, count)
        else:
            child.order = replace(
                child.order, ord_status=OrdStatus.CANCELED, exec_type=ExecType.CANCELED, leaves_qty=Decimal(0)
            )
        return n

    def _submit(self, which: int) -> int:
        n = len(self.children)
        order = an_order(
            cl_ord_id=str(uuid5(NAMESPACE_URL, f"{self.execution_id}/{n}")),
            execution_id=self.execution_id,
            venue=VENUES[which % 2],
            submitted_ts=self.now,
        )
        self.children.append(Child(order))
        return n

    def _fill(self, n: int, child: Child, count: int) -> None:
        for _ in range(count):
            fill = RecordFill(
                fill_id=f"{n}/{len(child.fills)}",
                order_id=child.order.cl_ord_id,
                venue=child.order.venue,
                side="buy",
                size=Decimal(1),
                price=Decimal(100 + len(self.fills)),
                fee=Decimal("0.1"),
                mid=100.0,
                best_px=100.0,
                ts=self.now,
            )
            child.fills.append(fill)
            self.fills.append(fill)
        order = child.order
        child.order = replace(order, cum_qty=order.cum_qty + count, fills=order.fills + count)

    @property
    def record(self) -> ExecutionRecord:
        filled = sum((fill.size for fill in self.fills), Decimal(0))
        paid = sum((fill.size * fill.price for fill in self.fills), Decimal(0))
        return ExecutionRecord(
            execution_id=self.execution_id,
            symbol="BTC-USDT",
            status=ExecutionStatus.WORKING,
            waiting=self.waiting,
            urgency=0.5,
            scope="default",
            decision_id=ID,
            orders=tuple(child.order for child in self.children),
            fills=tuple(self.fills)[-FILLS_KEPT:],
            fills_total=len(self.fills),
            filled=filled,
            open=Decimal(len(self.children)),
            unscheduled=SIZE - filled - len(self.children),
            avg_px=paid / filled if filled else None,
            audit=AuditHead(entries=self.entries, head=f"{self.entries:064x}"),
            created_ts=NOW,
            ts=self.now,
        )

    def progress(self, n: int | None) -> ExecutionProgress:
        record = self.record
        child = None if n is None else self.children[n]
        return ExecutionProgress(
            execution_id=self.execution_id,
            n=n,
            order=None if child is None else child.order,
            fills=() if child is None else tuple(child.fills)[-FILLS_KEPT:],
            filled=record.filled,
            open=record.open,
            unscheduled=record.unscheduled,
            avg_px=record.avg_px,
            waiting=record.waiting,
            audit=record.audit,
            ts=record.ts,
        )


@dataclass(frozen=True)
class Written:
    key: bytes
    event: ExecutionRecord | ExecutionProgress | None
    record: ExecutionRecord  # as it is now


def actions(least_pause_ns: int) -> Any:
    action = st.tuples(
        st.sampled_from(("submit", "fill", "fill", "cancel", "wait")),
        st.integers(0, 5),
        st.sampled_from((1, 2, 150, FILLS_KEPT + 30)),
        st.integers(least_pause_ns, 5),
        st.booleans(),  # whole
    )
    return st.lists(action, min_size=1, max_size=25)


def a_log(steps: Any, execution_id: str = ID) -> list[Written]:
    naive = Naive(execution_id)
    key = execution_id.encode()
    found = [Written(key, naive.record, naive.record)]
    for what, which, count, pause_ns, whole in steps:
        n = naive.act(what, which, count, pause_ns)
        if whole:
            found.append(Written(key, naive.record, naive.record))
        else:
            found.append(Written(progress_key(execution_id, n), naive.progress(n), naive.record))
    return found


def ended(log: list[Written]) -> list[Written]:
    """Return what the end writes: the whole record, and a tombstone of each child's progress."""
    last = replace(log[-1].record, status=ExecutionStatus.COMPLETED)
    said = dict.fromkeys(each.key for each in log if isinstance(each.event, ExecutionProgress))
    return [Written(ID.encode(), last, last), *(Written(key, None, last) for key in said)]


def through_the_wire(event: ExecutionRecord | ExecutionProgress | None) -> Any:
    return None if event is None else decode(EXECUTION_RECORDS, encode(event))


@given(actions(0))
@example([(what, n, FILLS_KEPT + 30, 0, False) for what, n in CUT])
@settings(max_examples=150)
def test_any_split_into_whole_records_and_progress_shows_the_whole_record_at_each_moment(steps: Any) -> None:
    log = a_log(steps)
    view = RecordView()
    for offset, written in enumerate([*log, *ended(log)]):
        view.fold(0, offset, written.key, through_the_wire(written.event))
        assert view.items == {ID.encode(): written.record}


@given(actions(1), st.sampled_from(("it goes on", "it ends")))
@settings(max_examples=150)
def test_what_compaction_leaves_shows_the_newest_whole_record(steps: Any, end: str) -> None:
    log = a_log(steps)
    log += ended(log) if end == "it ends" else []
    newest = {written.key: offset for offset, written in enumerate(log)}
    view = RecordView()
    for offset, written in enumerate(log):
        if newest[written.key] == offset:
            view.fold(0, offset, written.key, written.event)
    assert view.items == {ID.encode(): log[-1].record}


@given(actions(1), st.integers(0, 30))
@settings(max_examples=150)
def test_a_view_that_begins_later_passes_progress_by_until_a_whole_record(steps: Any, begin: int) -> None:
    log = a_log(steps)
    view, seen = RecordView(), False
    for offset, written in enumerate(log[begin:], begin):
        view.fold(0, offset, written.key, written.event)
        seen = seen or isinstance(written.event, ExecutionRecord)
        assert view.items == ({ID.encode(): written.record} if seen else {})


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60))
def test_progress_keeps_an_execution_among_the_newest_and_no_more_are_kept(
    turns: list[tuple[int, bool]],
) -> None:
    keep, view = 3, RecordView(keep=3)
    naive = {n: Naive(str(uuid5(NAMESPACE_URL, f"one of {n}"))) for n in range(6)}
    newest: list[int] = []  # by hand: the last written at the end
    for offset, (n, whole) in enumerate(turns):
        which = naive[n]
        place = which.act("submit", 0, 0, 1)
        if whole:
            view.fold(0, offset, which.execution_id.encode(), which.record)
        else:
            view.fold(0, offset, progress_key(which.execution_id, place), which.progress(place))
        if whole or n in newest:
            newest = [*(each for each in newest if each != n), n][-keep:]
        assert list(view.items) == [naive[each].execution_id.encode() for each in newest]


@given(st.uuids(), st.none() | st.integers(0, 20_000), st.integers(1, 64))
def test_all_keys_of_an_execution_are_in_one_partition(
    identifier: Any, n: int | None, partitions: int
) -> None:
    key = str(identifier)
    assert partition_of(progress_key(key, n), partitions) == partition_of(key.encode(), partitions)
