from __future__ import annotations

import pytest

from libs.common.events import BookState, ServiceState
from libs.common.topics import (
    L2_BOOK_HEALTH,
    L2_SUBSCRIPTIONS,
    POLICIES_REGISTRY,
    PORTFOLIO_RISK,
    SERVICES_STATUS,
    VENUES_METRICS,
)
from services.gateway.reading.fleet import OPTIONAL
from services.gateway.reading.readiness import SETTLE_NS, Readiness, Report
from tests.execution_market import a_risk_budget
from tests.heartbeats import SERVICES, a_status
from tests.registered import a_policy_registered
from tests.unit.services.gateway.http.test_venues_api import some_metrics
from tests.unit.services.gateway.world import KEY, World, a_book_health

AWAY = "Kafka at 127.0.0.1:19092 does not answer: no answer yet"


class Start(World):
    """A gateway whose views have caught up, and the judgement of it."""

    def __init__(self, *, ready: bool = True) -> None:
        super().__init__(ready=ready)
        self.readiness = Readiness(self.views, lambda: self.now, lambda: self.monotonic_ns)

        self.fold(POLICIES_REGISTRY, b"p_sma", a_policy_registered("p_sma"))

    def judge(self, kafka_away: str | None = None, *, hears_answers: bool = True) -> Report:
        return self.readiness.report(kafka_away, hears_answers=hears_answers)

    def later(self, monotonic_ns: int) -> None:
        """Let time pass, and every service be heard again."""
        self.monotonic_ns = monotonic_ns
        for service in (*SERVICES, *OPTIONAL):
            self.hear(a_status(service))

    def measure(self) -> None:
        self.fold(VENUES_METRICS, KEY, some_metrics(self, "binance", "BTC-USDT", 10.5))


async def test_it_is_ready_when_nothing_is_missing() -> None:
    start = Start()
    start.live()
    start.measure()
    assert start.judge() == Report((), ())


async def test_a_lost_kafka_is_all_that_is_said() -> None:
    assert Start(ready=False).judge(AWAY).missing == (AWAY,)


async def test_after_a_lost_kafka_every_service_has_to_be_heard_again() -> None:
    start = Start()
    start.live()
    start.measure()
    assert start.judge().ready
    assert start.judge(AWAY).missing == (AWAY,)
    assert len(start.judge().missing) == len(SERVICES)
    assert "router has not been heard since Kafka is back" in start.judge().detail
    start.later(1)
    assert start.judge().ready


async def test_views_that_are_behind_are_named() -> None:
    (missing,) = Start(ready=False).judge().missing
    assert missing.startswith("the gateway is still reading l2.book-tops.v1, ")
    assert "services.status.v1" in missing


@pytest.mark.parametrize("service", SERVICES)
async def test_each_service_that_is_not_there_is_named(service: str) -> None:
    start = Start()
    start.fold(SERVICES_STATUS, f"{service}:0".encode(), None)
    assert start.judge().missing == (f"{service} has not been heard",)
    start.hear(a_status(service, 3))
    assert start.judge().missing == (f"{service} leaves partitions 3, 4, 5, 6, 7 to nobody",)
    start.hear(a_status(service, 0, state=ServiceState.STARTING, detail="joining its group"))
    assert start.judge().detail.startswith(f"Not ready: {service} is starting since ")


async def test_answers_that_nobody_hears_missing_policies_and_a_missing_risk_budget_are_named() -> None:
    start = Start()
    start.fold(PORTFOLIO_RISK, b"default", None)
    start.fold(POLICIES_REGISTRY, b"p_sma", None)
    assert start.judge(hears_answers=False).missing == (
        "the gateway does not hear the services' answers yet",
        "execution has not registered a policy yet",
        "portfolio has not told the risk budget yet",
    )


async def test_a_book_that_is_not_live_is_waited_for_fifteen_seconds_and_then_told_as_degraded() -> None:
    start = Start()
    health = a_book_health(BookState.DISCONNECTED, start.now, reason="connection refused")
    start.fold(L2_BOOK_HEALTH, KEY, health)
    line = "book binance BTC-USDT is DISCONNECTED: connection refused"
    assert start.judge().missing == (f"{line} (waited for 15 s more at most)",)
    start.later(SETTLE_NS - 1)
    assert not start.judge().ready
    start.later(SETTLE_NS)
    assert start.judge() == Report((), (line,))


async def test_a_live_book_that_venues_does_not_measure_is_waited_for_as_long_and_then_degraded() -> None:
    start = Start()
    start.live()
    line = "venues has not measured the book binance BTC-USDT yet"
    assert start.judge().missing == (f"{line} (waited for 15 s more at most)",)
    start.later(SETTLE_NS)
    assert start.judge() == Report((), (line,))
    start.measure()
    assert start.judge() == Report((), ())


async def test_the_books_are_waited_for_anew_where_a_service_left_before_they_came() -> None:
    start = Start()
    start.live()
    assert not start.judge().ready
    start.fold(SERVICES_STATUS, b"venues:0", None)
    start.judge()
    start.later(2 * SETTLE_NS)
    assert "(waited for 15 s more at most)" in start.judge().detail


async def test_a_symbol_without_a_risk_is_waited_for_where_its_candles_come_from() -> None:
    start = Start()
    start.live()
    start.measure()
    start.fold(PORTFOLIO_RISK, b"default", a_risk_budget(by_symbol={}, venue="binance"))
    assert "the risk of BTC-USDT is not known" in start.judge().detail
    start.fold(PORTFOLIO_RISK, b"default", a_risk_budget(by_symbol={}, venue="kraken"))
    assert start.judge().ready


async def test_once_ready_a_book_that_is_away_is_degraded_and_a_service_that_dies_is_missing() -> None:
    start = Start()
    start.live()
    start.measure()
    assert start.judge().ready
    start.fold(L2_BOOK_HEALTH, KEY, a_book_health(BookState.GAP, start.now, reason="a hole"))
    assert start.judge() == Report((), ("book binance BTC-USDT is GAP: a hole",))
    start.fold(L2_SUBSCRIPTIONS, b"okx:ETH-USDT", start.views.subscriptions.items[KEY])
    assert "book okx ETH-USDT is SYNCING" in "; ".join(start.judge().degraded)
    start.fold(SERVICES_STATUS, b"venues:0", None)
    assert start.judge().missing == ("venues has not been heard",)


async def test_a_view_that_an_open_transaction_holds_up_is_degraded_by_name() -> None:
    start = Start()
    start.live()
    start.measure()
    start.views.tops.held_up = {3: "held up at offset 5 for 4 s"}
    report = start.judge()
    assert report.ready
    assert report.degraded == (
        "the view of l2.book-tops.v1 stands: partition 3 is held up at offset 5 for 4 s",
    )


async def test_answers_that_an_open_transaction_holds_up_are_missing() -> None:
    start = Start()
    start.live()
    said = ["answers on execution.plans.v1-3 are held up at offset 5 for 4 s"]
    assert start.readiness.report(None, hears_answers=True, unheard=said).missing == tuple(said)


@pytest.mark.parametrize("service", OPTIONAL)
async def test_an_optional_service_that_is_not_heard_is_degraded_once_it_had_the_time_to_start(
    service: str,
) -> None:
    start = Start()
    start.live()
    start.measure()
    assert start.judge() == Report((), ())
    start.later(SETTLE_NS)
    assert start.judge() == Report((), ())
    start.fold(SERVICES_STATUS, f"{service}:0".encode(), None)
    report = start.judge()
    assert (report.ready, len(report.degraded)) == (True, 1)
    assert report.degraded[0].startswith(f"{service} has not been heard: ")
    start.hear(a_status(service))
    start.monotonic_ns += 6 * 10**9
    for other in {*SERVICES, *OPTIONAL} - {service}:
        start.hear(a_status(other))
    (said,) = start.judge().degraded
    assert said.startswith(f"{service} is silent for 6 s, since ")


async def test_optional_services_that_are_heard_are_listed_with_all_others() -> None:
    start = Start()
    start.later(1)
    services = {each.status.service for each in start.views.fleet.shown()}
    assert services == {*SERVICES, *OPTIONAL}
