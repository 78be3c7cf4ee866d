"""Whatever comes in whatever order: nothing is lost, nothing is done twice, and every execution ends once."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.audit_chain import broken_links
from libs.common.events import (
    BookState,
    CancelExecution,
    CommandRejected,
    ExecutionPlanned,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    Refusal,
)
from services.execution.audit.rerun import rerun
from tests.execution_world import ExecutionWorld, an_id, assert_books_balance

if TYPE_CHECKING:
    from libs.common.events import Level

NAMES = ("one", "two", "three")
ACTIONS = st.one_of(
    st.tuples(st.just("execute"), st.sampled_from(NAMES), st.sampled_from([0.0, 0.3, 0.6, 1.0])),
    st.tuples(st.just("cancel"), st.sampled_from(NAMES), st.just(0.0)),
    st.tuples(st.just("answer"), st.just(""), st.just(0.0)),
    st.tuples(st.just("repeat"), st.just(""), st.just(0.0)),
    st.tuples(st.just("refuse"), st.just(""), st.just(0.0)),
    st.tuples(st.just("tick"), st.just(""), st.just(0.0)),
    st.tuples(st.just("wait"), st.just(""), st.floats(0.01, 40.0)),
    st.tuples(st.just("restart"), st.just(""), st.just(0.0)),
    st.tuples(st.just("book"), st.sampled_from(["LIVE", "GAP", "thin", "thick", "epoch"]), st.just(0.0)),
)
THIN: tuple[Level, ...] = ((60_000.5, 0.00123), (60_001.0, 0.0004))


def _book(world: ExecutionWorld, kind: str, seq: int) -> None:
    match kind:
        case "GAP":
            world.books(state=BookState.GAP, seq=seq)
        case "thin":
            world.books(asks=THIN, seq=seq)
        case "thick":
            world.books(asks=((60_000.5, 50.0 + seq),), seq=seq)
        case "epoch":
            world.books(epoch=1_767_225_500_000 + seq, seq=1)
        case _:
            world.books(seq=seq)


@settings(max_examples=120, deadline=None)
@given(st.lists(ACTIONS, max_size=40))
def test_conservation_holds_after_any_interleaving(actions: list[tuple[str, str, float]]) -> None:
    world = ExecutionWorld()
    world.ready()
    answered = []
    for seq, (action, name, number) in enumerate(actions, start=10):
        match action:
            case "execute" if an_id(name) not in world.records or world.remembers(an_id(name)):
                world.execute(name, urgency=number)  # an id is kept for 30 days after its execution
            case "cancel":
                world.deliver(
                    CancelExecution(
                        command_id=an_id(f"cancel {name}"), symbol="BTC-USDT", execution_id=an_id(name)
                    )
                )
            case "answer" if world.unanswered:
                answered.append(world.answer_to(world.unanswered.pop(0)))
                world.deliver(answered[-1])
            case "repeat" if answered:
                world.deliver(answered[-1])
            case "refuse" if world.unanswered:
                asked = world.unanswered.pop(0)
                world.deliver(
                    CommandRejected(
                        command_id=asked.command_id,  # type: ignore[attr-defined]  # commands have one
                        command=type(asked).__name__,
                        key="x",
                        refusal=Refusal.UNAVAILABLE,
                        detail="not now",
                        ts=world.now,
                    )
                )
            case "tick":
                world.advance()
            case "wait":
                world.advance(number)
            case "restart":
                world.restart()
            case "book":
                _book(world, name, seq)
        assert_books_balance(world)
    world.books(asks=((60_000.5, 90.0), (60_001.0, 90.0)), seq=99)
    world.finish()
    assert_books_balance(world)
    _assert_ended_once(world)


def _assert_ended_once(world: ExecutionWorld) -> None:
    ids = [event.exec_id for event in world.all(OrderFilled)]
    assert len(ids) == len(set(ids))
    for execution_id, record in world.records.items():
        entries = world.audit(execution_id)
        assert [entry.kind for entry in entries].count("ended") == 1
        assert broken_links(entries) == []
        assert rerun(entries).differences == ()
        assert record.status.final
        assert record.open == 0
        assert len([e for e in world.all(ExecutionPlanned) if e.command_id == execution_id]) >= 1
        for order in record.orders:
            assert not order.ord_status.open
            reports = [
                e
                for e in world.sent
                if getattr(getattr(e, "order", None), "cl_ord_id", "") == order.cl_ord_id
            ]
            assert sum(isinstance(e, OrderSubmitted) for e in reports) == 1
            assert sum(isinstance(e, OrderAccepted) for e in reports) <= 1
            assert sum(isinstance(e, OrderRejected | OrderCanceled) for e in reports) <= 1
        bought = sum((order.cum_qty for order in record.orders), Decimal(0))
        assert bought == record.filled
