"""Limits refuse orders, halt by themselves, and are controlled by commands that are done once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from libs.common.codec import decode, encode
from libs.common.events import (
    BOOK,
    BookState,
    CancelExecution,
    CommandRejected,
    Event,
    ExecutionStatus,
    HaltTrading,
    LimitName,
    Limits,
    LimitsSet,
    LimitsUsed,
    OrderCanceled,
    OrderRejected,
    OrderSubmitted,
    PaperOrderPlaced,
    Refusal,
    ResumeTrading,
    ScoreVenues,
    SetLimits,
    SubmitPaperOrder,
    TradingControlled,
    TradingHalted,
    TradingResumed,
    VenueShare,
)
from libs.common.handling import Tick
from libs.common.time_units import DAY_NS
from libs.common.topics import limits_key, limits_used_key
from services.execution.early import early
from services.execution.halted import halted_work
from services.execution.kept import ExecutionState
from services.execution.limits import watch
from services.execution.limits.breaches import breaches
from services.execution.limits.counters import LimitCounts, counts_of, note_ended, note_order, step_clock
from services.execution.limits.pre_trade import WishedOrder, begin_fault, order_fault
from tests.execution_market import NOW, a_position, a_risk_budget, a_venue_scored
from tests.execution_world import ExecutionWorld, an_id

BTC = "symbol:BTC-USDT"
S = 1_000_000_000


def a_world(equity: int = 1_000_000, **limits: Any) -> ExecutionWorld:
    world = ExecutionWorld(**{f"limit_{name}": value for name, value in limits.items()})
    world.books()
    world.fold(world.market.risk, BOOK.encode(), a_risk_budget(equity=Decimal(equity)))
    return world


def told(world: ExecutionWorld, events: list[Event]) -> list[Event]:
    """Let the view of controls read what was written."""
    for event in events:
        if isinstance(event, TradingHalted | TradingResumed):
            world.fold(world.market.controls, event.scope.encode(), event)
        elif isinstance(event, LimitsSet):
            world.fold(world.market.controls, limits_key(event.scope), event)
        elif isinstance(event, LimitsUsed):
            world.fold(world.market.controls, limits_used_key(event.symbol), event)
    return events


def halt(world: ExecutionWorld, scope: str = "all", name: str = "halt") -> list[Event]:
    return world.deliver(HaltTrading(command_id=an_id(name), scope=scope, reason="so", by="cli"))


def resume(world: ExecutionWorld, scope: str = "all", name: str = "resume") -> list[Event]:
    return world.deliver(ResumeTrading(command_id=an_id(name), scope=scope, reason="so", by="cli"))


def limit(world: ExecutionWorld, name: str = "limits", scope: str = "all", **limits: Any) -> list[Event]:
    command = SetLimits(command_id=an_id(name), scope=scope, limits=Limits(**limits), by="cli")
    return world.deliver(command)


def submit(world: ExecutionWorld, name: str = "order", **fields: Any) -> list[Event]:
    known: dict[str, Any] = {"symbol": "BTC-USDT", "side": "buy", "order_qty": Decimal("0.5")}
    return world.deliver(SubmitPaperOrder(command_id=an_id(name), **known | {"venue": "binance"} | fields))


def only(events: list[Event], kind: type[Event]) -> Any:
    (found,) = (event for event in events if isinstance(event, kind))
    return found


def wish(qty: str, side: Any = "buy", price: str = "60000") -> WishedOrder:
    return WishedOrder("BTC-USDT", "binance", side, Decimal(qty), Decimal(price))


def watched(world: ExecutionWorld) -> list[Event]:
    tick = Tick(due_ts=world.now, key=watch.WATCH, causation_id="", correlation_id="")
    return told(world, world.deliver(tick))


# --- commands ---


def test_a_halt_stands_and_is_answered_in_one_transaction_and_its_order_is_refused() -> None:
    world = a_world()
    halted, answer = told(world, halt(world))
    assert isinstance(halted, TradingHalted)
    assert isinstance(answer, TradingControlled)
    assert answer.halts == (halted,)
    refused = only(submit(world), CommandRejected)
    assert refused.refusal is Refusal.UNAVAILABLE
    assert "all is halted by cli: so" in refused.detail
    assert "resume" in refused.detail


def test_a_command_seen_before_is_answered_again_and_not_done_again() -> None:
    world = a_world()
    _, first = told(world, halt(world))
    told(world, resume(world))
    assert halt(world) == [first]  # the same id: nothing is halted again


def test_what_was_done_counts_before_the_view_has_read_it() -> None:
    world = a_world()
    halt(world)
    events = resume(world)  # the view knows of no halt yet
    assert isinstance(events[0], TradingResumed)
    assert only(events, TradingControlled).halts == ()


def test_what_is_halted_stays_as_it_was_halted() -> None:
    world = a_world()
    first, _ = told(world, halt(world))
    (answer,) = halt(world, name="again")
    assert isinstance(answer, TradingControlled)
    assert answer.halts == (first,)


def test_a_resume_ends_the_halt_of_its_very_scope() -> None:
    world = a_world()
    told(world, halt(world, "all"))
    told(world, halt(world, BTC, "two"))
    answer = only(told(world, resume(world)), TradingControlled)
    assert [each.scope for each in answer.halts] == [BTC]


@pytest.mark.parametrize(
    ("scope", "right"),
    [("symbol:NO-NE", "BTC-USDT"), ("venue:nowhere", "binance"), ("policy:p_none", "none yet")],
)
def test_a_scope_of_what_does_not_exist_is_refused_with_what_does(scope: str, right: str) -> None:
    refused = only(halt(a_world(), scope), CommandRejected)
    assert (refused.refusal, refused.key) == (Refusal.UNKNOWN, "all")
    assert right in refused.detail


def test_limits_set_one_after_the_other_add_up_before_the_view_has_read_them() -> None:
    world = a_world()
    limit(world, "one", drawdown=0.2)
    events = limit(world, "two", daily_loss=0.1)
    assert only(events, LimitsSet).limits == Limits(drawdown=0.2, daily_loss=0.1)
    assert only(events, TradingControlled).limits.drawdown == 0.2


# --- before an order ---


def test_an_order_worth_too_much_is_refused_and_one_at_the_limit_is_not() -> None:
    world = a_world(order_notional=0.06)
    assert order_fault(world.state, world.market, wish("1"), world.now) is None
    use = order_fault(world.state, world.market, wish("1.001"), world.now)
    assert use is not None
    assert (use.limit, use.passing) == (LimitName.ORDER_NOTIONAL, False)
    refused = only(submit(world, order_qty=Decimal("1.5")), CommandRejected)
    assert refused.refusal is Refusal.INVALID
    assert [fault.field for fault in refused.faults] == ["size"]


def test_exposure_counts_what_is_held_and_rests_and_never_refuses_what_reduces_it() -> None:
    world = a_world(symbol_exposure=0.12)
    world.fold(world.market.positions, b"BTC-USDT", a_position(Decimal("1.5"), fills=1, mark=60_000.0))
    assert order_fault(world.state, world.market, wish("0.5"), world.now) is None
    use = order_fault(world.state, world.market, wish("0.6"), world.now)
    assert use is not None
    assert use.limit is LimitName.SYMBOL_EXPOSURE
    assert use.use == pytest.approx(0.126)
    assert order_fault(world.state, world.market, wish("0.5"), world.now, open_qty=Decimal("0.1")) is not None
    told(world, limit(world, symbol_exposure=0.001))
    assert order_fault(world.state, world.market, wish("1", "sell"), world.now) is None
    assert order_fault(world.state, world.market, wish("4", "sell"), world.now) is not None  # flips beyond


def test_exposure_counts_the_children_of_executions_that_are_at_a_venue() -> None:
    world = a_world(symbol_exposure=0.48)
    world.ready()
    world.execute()
    world.answer()
    world.answer()
    child = world.all(OrderSubmitted)[0].order
    free = 8 - child.order_qty  # of .48 of the equity, at 60,000
    terms: dict[str, Any] = {"ord_type": "limit", "price": Decimal(60_000)}
    refused = only(submit(world, order_qty=free + 1, **terms), CommandRejected)
    assert [fault.field for fault in refused.faults] == ["size"]
    assert "symbol_exposure" in refused.faults[0].message
    assert only(submit(world, "fits", order_qty=free, **terms), OrderSubmitted)


def test_a_child_counts_those_of_the_other_legs_that_are_on_their_way() -> None:
    orders = {}
    for most in (0.8, 0.3):
        world = a_world(symbol_exposure=most)
        world.ready()
        world.books(asks=((60_000.5, 3.1), (60_400.0, 9.0)))
        world.execute(max_venues=2)
        world.answer()
        command = world.unanswered.pop(0)
        assert isinstance(command, ScoreVenues)
        half = command.size / 2
        shares = tuple(VenueShare(venue=venue, size=half) for venue in ("binance", "bybit"))
        world.deliver(a_venue_scored(command.command_id, command.size, allocation=shares))
        orders[most] = [each.order for each in world.all(OrderSubmitted)]
    first, second = orders[0.8]
    assert {first.venue, second.venue} == {"binance", "bybit"}
    assert (first.order_qty + second.order_qty) * 60_000 > 300_000 > first.order_qty * 60_000
    assert [order.venue for order in orders[0.3]] == [first.venue]


def test_gross_exposure_counts_the_other_symbols_at_their_marks() -> None:
    world = a_world(gross_exposure=0.1)
    other = a_position(Decimal(-20), symbol="ETH-USDT", fills=1, mark=2_000.0)
    world.fold(world.market.positions, b"ETH-USDT", other)
    assert order_fault(world.state, world.market, wish("1"), world.now) is None  # .04 + .06
    use = order_fault(world.state, world.market, wish("1.1"), world.now)
    assert use is not None
    assert use.limit is LimitName.GROSS_EXPOSURE
    assert use.use == pytest.approx(0.106)


def test_without_a_budget_an_order_waits_and_says_why() -> None:
    world = ExecutionWorld(limit_order_notional=0.6)
    world.books()
    use = order_fault(world.state, world.market, wish("1"), world.now)
    assert use is not None
    assert (use.use, use.passing) == (None, True)
    assert "no risk budget" in use.text


def test_the_rate_refuses_for_a_while_and_outlives_a_restart() -> None:
    world = a_world(orders_per_minute=3)
    for n in range(3):
        assert begin_fault(world.state, world.market, "BTC-USDT", NOW + n * S) is None
        note_order(world.state, "BTC-USDT", NOW + n * S)
    restored = ExecutionState()
    for key, value in world.state.items():
        restored.restore(key, value)
    use = begin_fault(restored, world.market, "BTC-USDT", NOW + 59 * S)
    assert use is not None
    assert (use.limit, use.passing, use.use) == (LimitName.ORDERS_PER_MINUTE, True, 4)
    assert begin_fault(restored, world.market, "BTC-USDT", NOW + 65 * S) is None
    step_clock(restored, 3_600 * S)
    assert begin_fault(restored, world.market, "BTC-USDT", NOW + 3_659 * S) is not None


def test_too_few_live_venues_wait() -> None:
    world = a_world(min_live_venues=2)
    assert begin_fault(world.state, world.market, "BTC-USDT", world.now) is None
    world.books(state=BookState.STALE, venues=("bybit",))
    use = begin_fault(world.state, world.market, "BTC-USDT", world.now)
    assert use is not None
    assert (use.limit, use.passing, use.use) == (LimitName.MIN_LIVE_VENUES, True, 1)
    assert only(submit(world), CommandRejected).refusal is Refusal.UNAVAILABLE


# --- what halts by itself ---


def a_day(world: ExecutionWorld, equity: int, begin: int = 100, high: int = 100) -> None:
    day = world.now // DAY_NS * DAY_NS
    budget = a_risk_budget(
        equity=Decimal(equity), day_ts=day, day_equity=Decimal(begin), day_high=Decimal(high), ts=world.now
    )
    world.fold(world.market.risk, BOOK.encode(), budget)


def test_a_loss_halts_all_once_while_nothing_runs() -> None:
    world = a_world(daily_loss=0.05)
    a_day(world, 95)
    assert not watch.watch_due(world.state, world.market, world.now)
    a_day(world, 94)
    assert watch.watch_due(world.state, world.market, world.now)
    halted = only(watched(world), TradingHalted)
    assert (halted.scope, halted.by) == ("all", "limit")
    assert halted.limit.use == pytest.approx(0.06)
    world.now += 2 * S
    a_day(world, 90)
    assert not watch.watch_due(world.state, world.market, world.now)
    assert breaches(world.state, world.market, world.now) == []


def test_a_look_at_what_has_not_changed_finds_nothing_due() -> None:
    world = a_world(daily_loss=0.05)
    a_day(world, 90)
    assert watch.watch_due(world.state, world.market, world.now)
    watched(world)
    assert not watch.watch_due(world.state, world.market, world.now)


def test_what_is_still_exceeded_is_not_resumed_until_the_limit_is_raised() -> None:
    world = a_world(drawdown=0.1)
    a_day(world, 100, high=120)
    watched(world)
    refused = only(resume(world), CommandRejected)
    assert refused.refusal is Refusal.UNAVAILABLE
    assert "raise drawdown" in refused.detail
    limit(world, drawdown=0.3)  # the view has not read it yet
    assert isinstance(resume(world, name="again")[0], TradingResumed)


def test_a_position_that_grew_by_its_mark_halts_its_symbol() -> None:
    world = a_world(symbol_exposure=0.05)
    world.fold(world.market.positions, b"BTC-USDT", a_position(Decimal(1), fills=1, mark=60_000.0))
    assert [each.scope for each in breaches(world.state, world.market, world.now)] == [BTC]


def test_executions_that_fail_halt_their_symbol_and_count_anew_once_it_is_resumed() -> None:
    world = a_world(failed_share=0.5)
    for n in range(19):
        note_ended(world.state, "BTC-USDT", n % 3 > 0, world.now)
    assert breaches(world.state, world.market, world.now) == []  # too few say too little
    note_ended(world.state, "BTC-USDT", failed=True, now=world.now)
    halted = told(world, [*breaches(world.state, world.market, world.now)])
    assert [each.scope for each in halted if isinstance(each, TradingHalted)] == [BTC]
    world.now += S
    told(world, resume(world, BTC))
    assert breaches(world.state, world.market, world.now) == []
    assert counts_of(world.state, "BTC-USDT").ended == 0


def test_executions_are_counted_as_they_end_and_those_that_fail_halt_their_symbol() -> None:
    world = a_world(failed_share=0.5)
    skipped = world.execute("skipped")
    world.finish()
    assert world.records[skipped].status is ExecutionStatus.SKIPPED
    canceled = world.execute("canceled")
    cancel = CancelExecution(command_id=an_id("cancel"), symbol="BTC-USDT", execution_id=canceled)
    world.deliver(cancel)
    counts = counts_of(world.state, "BTC-USDT")
    assert (counts.ended, counts.failed) == (2, 0)
    for n in range(18):
        assert not breaches(world.state, world.market, world.now)
        failed = world.execute(f"failed {n}")
        world.now += 5 * S  # nobody answers
        world.beat()
        world.advance()
        assert world.records[failed].status is ExecutionStatus.FAILED
    counts = counts_of(world.state, "BTC-USDT")
    assert (counts.ended, counts.failed) == (20, 18)
    halted = only(watched(world), TradingHalted)
    assert (halted.scope, halted.limit.limit) == (BTC, LimitName.FAILED_SHARE)


def test_a_breach_is_seen_at_every_look_until_it_has_halted() -> None:
    """Who looks first only ends a wait, and then it is looked again for what to do."""
    world = a_world()
    submit(world)
    world.advance()
    watched(world)
    world.now += S
    world.fold(world.market.positions, b"BTC-USDT", a_position(Decimal(1), fills=1, mark=60_000.0))
    told(world, limit(world, gross_exposure=0.05))
    assert watch.watch_due(world.state, world.market, world.now)
    assert watch.watch_due(world.state, world.market, world.now)
    assert only(watched(world), TradingHalted).scope == "all"
    assert not watch.watch_due(world.state, world.market, world.now)


def test_what_was_resumed_is_halted_anew_by_the_same_assessment_and_can_be_resumed_again() -> None:
    world = a_world(gross_exposure=0.05)
    world.fold(world.market.positions, b"BTC-USDT", a_position(Decimal(1), fills=1, mark=60_000.0))
    first = only(watched(world), TradingHalted)
    world.now += S
    told(world, limit(world, "raised", gross_exposure=1.0))
    resumed = only(told(world, resume(world)), TradingResumed)
    told(world, limit(world, "lowered", gross_exposure=0.05))
    assert watch.watch_due(world.state, world.market, world.now)
    again = only(watched(world), TradingHalted)
    assert first.ts < resumed.ts < again.ts
    told(world, limit(world, "raised again", gross_exposure=1.0))
    assert isinstance(told(world, resume(world, name="again"))[0], TradingResumed)


def test_executions_that_failed_halt_once_though_the_view_has_not_read_it() -> None:
    world = a_world(failed_share=0.5)
    for _ in range(20):
        note_ended(world.state, "BTC-USDT", failed=True, now=world.now)
    assert watch.watch_due(world.state, world.market, world.now)
    tick = Tick(due_ts=world.now, key=watch.WATCH, causation_id="", correlation_id="")
    assert only(world.deliver(tick), TradingHalted).scope == BTC
    assert not watch.watch_due(world.state, world.market, world.now)


def test_counts_are_told_at_most_once_a_second() -> None:
    world = a_world()
    submit(world)
    assert watch.watch_due(world.state, world.market, world.now)
    assert only(watched(world), LimitsUsed).orders == 1
    submit(world, "two")
    assert not watch.watch_due(world.state, world.market, world.now)
    world.now += S
    world.beat()
    assert watch.watch_due(world.state, world.market, world.now)
    assert only(watched(world), LimitsUsed).orders == 2
    assert not watch.watch_due(world.state, world.market, world.now + 9 * S)


# --- what is open ---


def test_a_halt_cancels_resting_orders_of_its_scope_with_the_reason() -> None:
    world = a_world()
    submit(world, ord_type="limit", price=Decimal(50_000), time_in_force="gtc")
    world.advance()
    told(world, halt(world, "venue:bybit"))
    assert list(halted_work(world.state, world.market)) == []
    told(world, halt(world, "venue:binance", "two"))
    (due,) = (key for key in early(world.state, world.now, world.market) if key != watch.WATCH)
    tick = Tick(due_ts=world.now, key=due, causation_id="", correlation_id="")
    gone = only(world.deliver(tick), OrderCanceled)
    assert "venue:binance is halted by cli: so" in gone.order.text
    assert list(halted_work(world.state, world.market)) == []


def test_an_order_on_its_way_when_trading_halts_is_canceled_and_answered() -> None:
    world = a_world()
    assert only(submit(world), OrderSubmitted)
    told(world, halt(world))
    world.sent.clear()
    world.advance()
    assert [type(each) for each in world.sent if not isinstance(each, LimitsUsed)][:2] == [
        OrderCanceled,
        PaperOrderPlaced,
    ]
    assert not world.all(OrderRejected)


def test_the_counts_record_is_small_and_comes_back_as_it_was() -> None:
    state = ExecutionState()
    for n in range(1_200):
        note_order(state, "BTC-USDT", NOW + n * S // 20)
    for n in range(200):
        note_ended(state, "BTC-USDT", n % 2 > 0, NOW + 60 * S)
    counts = counts_of(state, "BTC-USDT")
    assert (counts.ended, counts.failed, counts.sent(NOW + 60 * S)) == (50, 25, 1_200)
    raw = encode(counts)
    assert len(raw) < 300
    from services.execution.app import wiring  # noqa: PLC0415 -- the state's topic, as it is wired
    from services.execution.settings import ExecutionSettings  # noqa: PLC0415 -- as above

    assert decode(wiring(ExecutionSettings()).state, raw) == counts
    assert isinstance(counts, LimitCounts)
