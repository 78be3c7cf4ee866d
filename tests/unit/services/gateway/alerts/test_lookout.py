from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from libs.common.events import (
    BookState,
    ContextSource,
    ExecutionRecord,
    ExecutionStatus,
    Limits,
    LimitsSet,
    LimitsUsed,
    PolicyState,
    RouterSnapshot,
    SourceState,
    TradingHalted,
    TradingResumed,
)
from libs.common.topics import (
    CONTEXT_SOURCES,
    EXECUTION_CONTROLS,
    EXECUTION_RECORDS,
    L2_BOOK_HEALTH,
    POLICIES_REGISTRY,
    PORTFOLIO_POSITIONS,
    ROUTER_SNAPSHOTS,
    SERVICES_STATUS,
    limits_key,
    limits_used_key,
)
from services.gateway.alerts.cause import Moment
from services.gateway.alerts.lookout import HEADS, QUIET_NS, Lookout
from tests.execution_market import a_position
from tests.full_valued import bare
from tests.heartbeats import SERVICES, a_status
from tests.registered import a_policy_registered
from tests.unit.services.gateway.alerts.causes import S
from tests.unit.services.gateway.world import KEY, NOW, World, a_book_health, a_book_top

if TYPE_CHECKING:
    from services.gateway.alerts.cause import Cause

FAILED, COMPLETED = ExecutionStatus.FAILED, ExecutionStatus.COMPLETED


class Watched:
    """A world whose services are heard, and what its lookout sees."""

    def __init__(self) -> None:
        self.world = World()
        self.away: str | None = None
        self.lookout = Lookout(self.world.views, lambda: self.away)

    def causes(self) -> dict[str, Cause]:
        found = self.lookout.causes(Moment(self.world.now, self.world.monotonic_ns))
        assert len({cause.key for cause in found}) == len(found)
        return {cause.key: cause for cause in found}

    def after(self, seconds: float, *silent: str) -> None:
        """Let time pass, in which all but these services are heard, and binance's book."""
        self.world.monotonic_ns += round(seconds * S)
        self.world.now += round(seconds * S)
        for service in set(SERVICES) - set(silent):
            self.world.hear(a_status(service))

    def execution(
        self, number: int, status: ExecutionStatus, symbol: str = "BTC-USDT", **changes: Any
    ) -> None:
        record = replace(
            bare(ExecutionRecord), execution_id=str(number), symbol=symbol, status=status, ts=NOW, **changes
        )
        self.world.fold(EXECUTION_RECORDS, str(number).encode(), record)

    def snapshot(self, alarms: int, scope: str = "default") -> None:
        told = replace(bare(RouterSnapshot), scope=scope, drift_alarms=alarms, ts=self.world.now)
        self.world.fold(ROUTER_SNAPSHOTS, scope.encode(), told)


async def test_where_all_is_well_nothing_stands() -> None:
    watched = Watched()
    watched.world.live()
    assert watched.causes() == {}


async def test_a_halt_stands_from_its_own_time_until_that_scope_is_resumed() -> None:
    watched = Watched()
    for scope in ("all", "symbol:BTC-USDT"):
        halted = TradingHalted(scope=scope, reason="drawdown", by="desk", ts=NOW - 5 * S)
        watched.world.fold(EXECUTION_CONTROLS, scope.encode(), halted)
    found = watched.causes()
    assert sorted(found) == ["trading-halted:all", "trading-halted:symbol:BTC-USDT"]
    assert (found["trading-halted:all"].since, found["trading-halted:all"].why) == (NOW - 5 * S, "drawdown")
    resumed = TradingResumed(scope="all", reason="mended", by="desk", ts=NOW)
    watched.world.fold(EXECUTION_CONTROLS, b"all", resumed)
    assert list(watched.causes()) == ["trading-halted:symbol:BTC-USDT"]


async def test_a_service_is_gone_once_none_of_its_processes_is_heard() -> None:
    watched = Watched()
    watched.world.hear(a_status("router", instance="1"))
    watched.after(4, "router")
    watched.world.hear(a_status("router", instance="1"))
    watched.after(4.9, "router")
    assert watched.causes() == {}
    watched.after(1, "router")
    (cause,) = watched.causes().values()
    assert cause.key == "service-gone:router"
    assert cause.since == watched.world.now - round(5.9 * S)
    assert cause.details["instance"] == "1"
    watched.world.hear(a_status("router"))
    assert watched.causes() == {}


async def test_a_service_that_stopped_as_asked_is_waited_for_as_long_as_one_that_was_never_heard() -> None:
    watched = Watched()
    watched.world.fold(SERVICES_STATUS, b"router:0", None)
    (cause,) = watched.causes().values()
    assert (cause.key, cause.since, cause.hold) == ("service-gone:router", None, 30 * S)


async def test_each_partition_that_is_stopped_stands_for_itself_and_is_not_missed_twice() -> None:
    watched = Watched()
    owned = (0, 1, 3, 4, 5, 6, 7)
    watched.world.hear(
        a_status("router", partitions_owned=owned, partitions_stopped=(2,), detail="a handler raised")
    )
    (cause,) = watched.causes().values()
    assert (cause.key, cause.why) == ("partition-stopped:router:2", "a handler raised")
    watched.world.hear(a_status("router", partitions_owned=owned[:-1], partitions_stopped=(2,)))
    assert list(watched.causes()) == ["partition-stopped:router:2", "partition-unowned:router"]


async def test_a_log_that_stands_is_named() -> None:
    watched = Watched()
    watched.world.views.records.held_up = {3: "an open transaction"}
    (cause,) = watched.causes().values()
    assert (cause.key, cause.why) == ("view-held-up:execution.records.v1:3", "an open transaction")


@pytest.mark.parametrize("state", [state for state in BookState if state is not BookState.LIVE])
async def test_a_book_that_is_not_live_stands_with_its_owners_word(state: BookState) -> None:
    watched = Watched()
    watched.world.live(health=a_book_health(state, reason="no socket", since_ts=NOW - 3 * S))
    (cause,) = watched.causes().values()
    assert (cause.key, cause.since) == ("book-not-live:binance:BTC-USDT", NOW - 3 * S)
    assert str(state) in cause.what


async def test_a_book_whose_owner_is_silent_stands_from_when_that_is_seen() -> None:
    watched = Watched()
    watched.world.live()
    watched.after(6)
    (cause,) = watched.causes().values()
    assert (cause.since, cause.details["state"]) == (None, "STALE")
    watched.world.fold(L2_BOOK_HEALTH, KEY, a_book_health(ts=watched.world.now))
    watched.after(1)
    watched.world.live(top=a_book_top(received_ts=watched.world.now))
    assert watched.causes() == {}


async def test_executions_that_failed_before_the_start_wake_nobody() -> None:
    watched = Watched()
    for number in range(3):
        watched.execution(number, FAILED)
    assert watched.causes() == {}
    watched.execution(1, FAILED, waiting="its reward was told")
    assert watched.causes() == {}


async def test_failures_of_a_symbol_are_counted_until_one_of_it_completes() -> None:
    watched = Watched()
    assert watched.causes() == {}
    watched.execution(1, ExecutionStatus.WORKING)
    assert watched.causes() == {}
    watched.execution(1, FAILED, reason="no venue")
    watched.execution(2, FAILED, symbol="ETH-USDT")
    found = watched.causes()
    assert {key: cause.occurrences for key, cause in found.items()} == {
        "execution-failed:BTC-USDT": 1,
        "execution-failed:ETH-USDT": 1,
    }
    assert found["execution-failed:BTC-USDT"].why == "no venue"
    watched.execution(1, FAILED, reason="no venue", waiting="its reward was told")
    watched.execution(3, FAILED, reason="late")
    cause = watched.causes()["execution-failed:BTC-USDT"]
    assert (cause.occurrences, cause.why, cause.details["executionId"]) == (2, "late", "3")
    watched.execution(4, ExecutionStatus.SKIPPED)
    assert "execution-failed:BTC-USDT" in watched.causes()
    watched.execution(5, COMPLETED)
    assert list(watched.causes()) == ["execution-failed:ETH-USDT"]


async def test_no_failure_is_lost_or_counted_twice_however_many_are_written_between_two_looks() -> None:
    watched = Watched()
    watched.execution(0, ExecutionStatus.WORKING)
    assert watched.causes() == {}
    number = 0
    for written in (1, HEADS - 1, HEADS, HEADS + 1, 3 * HEADS, 0, 2):
        for _ in range(written):
            number += 1
            watched.execution(number, FAILED)
        watched.execution(0, ExecutionStatus.WORKING)  # goes to the end of the view each time
        cause = watched.causes()["execution-failed:BTC-USDT"]
        assert cause.occurrences == number


async def test_an_alarm_of_the_router_stands_for_an_hour_and_those_from_before_do_not() -> None:
    watched = Watched()
    watched.snapshot(4)
    assert watched.causes() == {}
    watched.after(1)
    watched.snapshot(5)
    watched.snapshot(1, scope="other")
    found = watched.causes()
    assert {key: cause.occurrences for key, cause in found.items()} == {
        "drift-alarm:default": 1,
        "drift-alarm:other": 1,
    }
    watched.after(QUIET_NS / S - 1)
    watched.snapshot(7)
    assert watched.causes()["drift-alarm:default"].occurrences == 3
    watched.after(1)
    assert list(watched.causes()) == ["drift-alarm:default"]


@pytest.mark.parametrize(
    ("quantity", "occurrences", "severity"),
    [
        ("0", 0, None),
        ("1.33", 0, None),
        ("1.34", 1, "warning"),
        ("-1.34", 1, "warning"),
        ("1.67", 2, "critical"),
    ],
)
async def test_a_limit_is_near_from_four_fifths_on_and_graver_once_it_is_reached(
    quantity: str, occurrences: int, severity: str | None
) -> None:
    watched = Watched()
    limits = Limits(gross_exposure=0.1, symbol_exposure=0.0, min_live_venues=1)  # of 1,000,000, at 60,000
    told = LimitsSet(scope="settings", limits=limits, by="execution", ts=NOW)
    watched.world.fold(EXECUTION_CONTROLS, limits_key("settings"), told)
    watched.world.fold(PORTFOLIO_POSITIONS, b"BTC-USDT", a_position(Decimal(quantity)))
    found = watched.causes()
    assert {key: cause.occurrences for key, cause in found.items()} == (
        {"limit-near:gross_exposure:all": occurrences} if occurrences else {}
    )
    for cause in found.values():
        assert cause.severity == severity
        use = abs(float(quantity)) * 0.06
        assert cause.details["share"] == pytest.approx(use / 0.1)
        assert cause.what == f"the limit gross_exposure of all is used by {use / 0.1:.0%}"


async def test_a_symbols_limit_is_its_own_and_its_orders_are_counted() -> None:
    watched = Watched()
    told = LimitsSet(
        scope="settings", limits=Limits(symbol_exposure=0.1, orders_per_minute=100), by="execution", ts=NOW
    )
    watched.world.fold(EXECUTION_CONTROLS, limits_key("settings"), told)
    own = LimitsSet(scope="symbol:BTC-USDT", limits=Limits(symbol_exposure=0.08), by="desk", ts=NOW)
    watched.world.fold(EXECUTION_CONTROLS, limits_key("symbol:BTC-USDT"), own)
    watched.world.fold(
        PORTFOLIO_POSITIONS, b"BTC-USDT", a_position(Decimal("1.1"))
    )  # .066: over .064, not .08
    counted = LimitsUsed(symbol="ETH-USDT", orders=80, ended=0, failed=0, ts=NOW)
    watched.world.fold(EXECUTION_CONTROLS, limits_used_key("ETH-USDT"), counted)
    assert sorted(watched.causes()) == [
        "limit-near:orders_per_minute:symbol:ETH-USDT",
        "limit-near:symbol_exposure:symbol:BTC-USDT",
    ]
    watched.after(66)
    watched.world.now = NOW + 66 * S
    assert sorted(watched.causes()) == ["limit-near:symbol_exposure:symbol:BTC-USDT"]


async def test_while_kafka_is_away_that_is_told_and_nobody_is_missed_meanwhile() -> None:
    watched = Watched()
    watched.world.live(health=a_book_health(BookState.GAP))
    before = watched.causes()
    watched.away = "Kafka at 127.0.0.1:9092 does not answer"
    watched.after(100, *SERVICES)
    found = watched.causes()
    assert found.keys() == before.keys() | {"service-gone:kafka"}
    watched.away = None
    watched.after(1)
    assert "service-gone:kafka" not in watched.causes()


async def test_a_quarantined_policy_stands_until_it_runs_again_and_tells_its_fault_in_a_line() -> None:
    watched = Watched()
    broken = a_policy_registered(
        "mine", kind="user", state=PolicyState.QUARANTINED, fault="it slept\n  File ...", ts=NOW - S
    )
    watched.world.fold(POLICIES_REGISTRY, b"mine", broken)
    watched.world.fold(POLICIES_REGISTRY, b"other key", broken)
    cause = watched.causes()["policy-quarantined:mine"]
    assert (cause.why, cause.since, cause.hold) == ("it slept", NOW - S, 0)
    watched.world.fold(POLICIES_REGISTRY, b"mine", replace(broken, state=PolicyState.RUNNING, fault=""))
    assert "policy-quarantined:mine" not in watched.causes()


@pytest.mark.parametrize("state", SourceState)
async def test_a_source_of_contexts_is_told_while_it_fails_after_five_minutes(state: SourceState) -> None:
    watched = Watched()
    source = ContextSource(
        source="deribit", names=("rr25",), state=state, reason="503", next_ts=NOW + S, ts=NOW, failures=3
    )
    watched.world.fold(CONTEXT_SOURCES, b"deribit", source)
    cause = watched.causes().get("context-source-failing:deribit")
    assert (cause is not None) == (state is SourceState.FAILING)
    if cause is not None:
        assert (cause.why, cause.hold, cause.details["names"]) == ("503", 300 * S, "rr25")
