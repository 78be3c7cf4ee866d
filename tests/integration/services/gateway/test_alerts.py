"""Alerts over real sockets: to a receiver that takes, fails, hangs, goes and comes back."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from msgspec.structs import replace
from pydantic import SecretStr

from libs.common.events import (
    BookState,
    ExecutionRecord,
    ExecutionStatus,
    Limits,
    LimitsSet,
    TradingHalted,
    TradingResumed,
)
from libs.common.kafka import Publisher
from libs.common.proxies import Proxies
from libs.common.topics import (
    EXECUTION_CONTROLS,
    EXECUTION_RECORDS,
    L2_BOOK_HEALTH,
    PORTFOLIO_POSITIONS,
    PORTFOLIO_RISK,
    limits_key,
)
from services.gateway.alerts.lookout import Lookout
from services.gateway.alerts.watch import Watch
from services.gateway.alerts.webhook import TIMEOUT_S, NoReplyError, Webhook
from tests.e2e.system import until
from tests.execution_market import a_position, a_risk_budget
from tests.full_valued import bare
from tests.heartbeats import standing_in
from tests.integration.libs.cli.command import run
from tests.integration.services.gateway.process import GatewayProcess
from tests.prometheus import scrape_of
from tests.unit.services.gateway.serving import Serving
from tests.unit.services.gateway.world import KEY, World, a_book_health
from tests.webhook_receiver import PATH, Receiver, receiving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.webhook_receiver import Manner

S = 1_000_000_000
PATIENCE_S = 60.0  # of a slow machine; what a good one needs is printed by `python -m tests.bench alerts`
DIRECT = Proxies({})


class Night:
    """A gateway without Kafka behind real sockets, its alerts, and their receiver."""

    def __init__(self, world: World, receiver: Receiver, address: str) -> None:
        self.world = world
        self.receiver = receiver
        self.address = address
        lookout = Lookout(world.views, lambda: None)
        self.watch = Watch(
            lambda now: [each for each in lookout.causes(now) if each.kind != "service-gone"],
            SecretStr(receiver.url),
            DIRECT,
            "bookrunner test",
        )

    def halt(self, scope: str = "all") -> None:
        event = TradingHalted(scope=scope, reason="drawdown", by="desk", ts=time.time_ns())
        self.world.fold(EXECUTION_CONTROLS, scope.encode(), event)

    def resume(self, scope: str = "all") -> None:
        event = TradingResumed(scope=scope, reason="mended", by="desk", ts=time.time_ns())
        self.world.fold(EXECUTION_CONTROLS, scope.encode(), event)

    async def arrived(self, key: str, *states: str) -> list[Any]:
        """Wait until the receiver took exactly these of a key."""

        async def there() -> bool:
            return [body["state"] for body in self.receiver.of(key)] == list(states)

        await until(f"{states} of {key}", there, PATIENCE_S)
        return self.receiver.of(key)

    async def asked(self, times: int) -> None:
        """Wait until so many more requests came."""
        before = len(self.receiver.asked)

        async def there() -> bool:
            return len(self.receiver.asked) >= before + times

        await until(f"{times} requests", there, PATIENCE_S)

    async def answers(self) -> None:
        """Check that the gateway answers."""
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{self.address}/api/l2/binance/BTCUSDT") as reply,
        ):
            assert reply.status == 200


@pytest.fixture
async def night() -> AsyncIterator[Night]:
    async with receiving() as receiver, a_night(receiver) as night:
        yield night


@asynccontextmanager
async def a_night(receiver: Receiver) -> AsyncIterator[Night]:
    world = World()
    world.live()
    async with Serving(world).listening() as (host, port):
        night = Night(world, receiver, f"http://{host}:{port}")
        world.now = time.time_ns()
        running = asyncio.create_task(night.watch.run())
        try:
            yield night
            assert not running.done(), "alerts never end by themselves"
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_cause_and_its_end_arrive_and_nothing_else(night: Night) -> None:
    begun = time.monotonic()
    night.halt()
    (firing,) = await night.arrived("trading-halted:all", "firing")
    took_s = time.monotonic() - begun
    assert firing["text"].startswith("Bookrunner CRITICAL: trading is halted for all by desk since ")
    night.resume()
    _, over = await night.arrived("trading-halted:all", "firing", "resolved")
    assert 0 <= over["details"]["lastedS"] <= time.monotonic() - begun + 1
    assert {each.path for each in night.receiver.received} == {PATH}
    sys.stdout.write(f"from the halt to its message: {took_s:.2f} s\n")
    assert night.watch.totals()._asdict() | {"suppressed": 0} == {
        **dict.fromkeys(("failed", "suppressed", "replaced", "dropped", "errors", "waiting"), 0),
        "sent": len(night.receiver.received),
    }


@pytest.mark.parametrize("manner", ["fails", "hangs", "drops", "trickles"])
async def test_what_matters_still_arrives_once_the_receiver_is_back_and_the_gateway_answers_meanwhile(
    night: Night, manner: Manner
) -> None:
    night.receiver.manner = manner
    night.halt("all")
    await night.asked(1)
    night.halt("symbol:BTC-USDT")
    night.halt("symbol:ETH-USDT")
    answering = time.monotonic()
    for _ in range(20):
        await night.answers()
    answered_s = time.monotonic() - answering
    await night.asked(1)
    night.resume("symbol:ETH-USDT")
    assert night.receiver.received == []
    night.receiver.manner = "takes"
    await night.arrived("trading-halted:all", "firing")
    await night.arrived("trading-halted:symbol:BTC-USDT", "firing")

    async def empty() -> bool:
        return night.watch.totals().waiting == 0

    await until("all that waited was taken", empty, PATIENCE_S)
    states = [body["state"] for body in night.receiver.of("trading-halted:symbol:ETH-USDT")]
    assert states[-1] == "resolved", "whoever hears of it at last hears that it is over"
    totals = night.watch.totals()
    assert totals.failed >= 2
    assert (totals.dropped, totals.errors) == (0, 0)
    sys.stdout.write(f"{manner}: 20 answers of the gateway took {answered_s:.2f} s meanwhile\n")


async def test_a_receiver_that_is_not_there_is_found_when_it_is(night: Night) -> None:
    night.receiver.refuse_connections()
    night.halt()

    async def failed() -> bool:
        return night.watch.totals().failed >= 2

    await until("two failed tries", failed, PATIENCE_S)
    await night.answers()
    await night.receiver.listen()
    await night.arrived("trading-halted:all", "firing")


@pytest.mark.parametrize("manner", ["redirects", "refuses"])
async def test_a_redirect_is_not_followed_and_a_refusal_holds_no_other_message_up(
    night: Night, manner: Manner
) -> None:
    night.receiver.manner = manner
    night.halt("all")
    await night.asked(1)
    assert {path for _, path in night.receiver.asked} == {PATH}
    night.halt("symbol:BTC-USDT")
    await night.asked(1)
    night.receiver.manner = "takes"
    await night.arrived("trading-halted:symbol:BTC-USDT", "firing")
    await night.arrived("trading-halted:all", "firing")


async def test_a_hundred_causes_at_once_arrive_each_once(night: Night) -> None:
    for number in range(100):
        night.halt(f"policy:p{number}")

    async def there() -> bool:
        return len(night.receiver.received) >= 100

    await until("a hundred", there, PATIENCE_S)
    assert len({each.body["key"] for each in night.receiver.received}) == len(night.receiver.received) == 100


async def test_nothing_tells_the_address(night: Night, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for manner in ("fails", "drops", "takes"):
        night.receiver.manner = manner
        night.halt(f"policy:{manner}")
        await night.asked(1)
    night.receiver.refuse_connections()
    night.halt("policy:refused")

    async def failed() -> bool:
        return night.watch.totals().failed >= 3

    await until("failures", failed, PATIENCE_S)
    shown = " ".join(str(record.__dict__) for record in caplog.records)
    assert "alert_not_taken" in shown
    for secret in (PATH, "secret-mark", str(night.receiver.port)):
        assert secret not in shown
    assert PATH not in f"{night.watch.__dict__!r}"


async def test_no_failure_names_the_address_and_all_are_bounded_in_time() -> None:
    async with receiving() as receiver:
        receiver.manner = "hangs"
        for url in (receiver.url, "http://secret-mark.invalid/x", f"https://127.0.0.1:{receiver.port}{PATH}"):
            async with Webhook(SecretStr(url), DIRECT) as webhook:
                with pytest.raises(NoReplyError) as failed:
                    await asyncio.wait_for(webhook.post(b"{}"), PATIENCE_S)
                assert "secret-mark" not in f"{failed.value} {failed.value.__cause__}"
                assert str(receiver.port) not in str(failed.value)
    assert TIMEOUT_S == 2


async def test_the_gateway_tells_a_halt_a_book_a_limit_and_a_failure(
    fresh_kafka: str, tmp_path: Path
) -> None:
    log = tmp_path / "gateway.log"
    async with (
        receiving() as receiver,
        GatewayProcess(fresh_kafka, log, ALERT_WEBHOOK_URL=receiver.url, LOG_LEVEL="DEBUG") as gateway,
        Publisher(gateway.settings) as publisher,
        standing_in(gateway.settings),
    ):
        now = time.time_ns()
        halted = TradingHalted(scope="all", reason="drawdown", by="desk", ts=now)
        await publisher.send_and_wait(EXECUTION_CONTROLS, b"all", halted, now)

        async def looks() -> bool:
            return bool(receiver.of("trading-halted:all"))

        await until("the halt, and so what was so before is known", looks, PATIENCE_S)
        now = time.time_ns()
        away = a_book_health(BookState.DISCONNECTED, now, reason="no socket", since_ts=now - 60 * S)
        await publisher.send_and_wait(L2_BOOK_HEALTH, KEY, away, now)
        failed = replace(
            bare(ExecutionRecord),
            execution_id="1",
            symbol="BTC-USDT",
            status=ExecutionStatus.FAILED,
            reason="no venue takes it",
            ts=now,
        )
        await publisher.send_and_wait(EXECUTION_RECORDS, b"1", failed, now)
        limits = LimitsSet(scope="settings", limits=Limits(gross_exposure=0.1), by="execution", ts=now)
        await publisher.send_and_wait(EXECUTION_CONTROLS, limits_key("settings"), limits, now)
        await publisher.send_and_wait(PORTFOLIO_RISK, b"default", a_risk_budget(), now)
        held = a_position(Decimal("1.4"))  # at 60,000, of 1,000,000: .084
        await publisher.send_and_wait(PORTFOLIO_POSITIONS, b"BTC-USDT", held, now)

        async def there() -> bool:
            keys = {each.body["key"] for each in receiver.received}
            return keys >= {
                "trading-halted:all",
                "book-not-live:binance:BTC-USDT",
                "execution-failed:BTC-USDT",
                "limit-near:gross_exposure:all",
            }

        await until("all four", there, PATIENCE_S)
        resumed = TradingResumed(scope="all", reason="mended", by="desk", ts=time.time_ns())
        await publisher.send_and_wait(EXECUTION_CONTROLS, b"all", resumed, time.time_ns())

        async def over() -> bool:
            return [body["state"] for body in receiver.of("trading-halted:all")] == ["firing", "resolved"]

        await until("its end", over, PATIENCE_S)
        async with gateway.http.get("/metrics") as reply:
            found = scrape_of(await reply.text())
        assert found.total("bookrunner_gateway_alerts_total", outcome="sent") == len(receiver.received)
        assert PATH not in log.read_text()
        sys.stdout.write("".join(f"{json.dumps(each.body)}\n" for each in receiver.received))


async def test_the_trial_says_what_came_back(tmp_path: Path) -> None:
    async with receiving() as receiver:
        environment = {"ALERT_WEBHOOK_URL": receiver.url, "RUN_DIR": str(tmp_path)}
        ended = await run("alerts", "test", **environment)
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.startswith("the webhook took it: status 200 in ")
        (taken,) = receiver.received
        assert (taken.body["cause"], taken.body["state"]) == ("test", "firing")
        receiver.manner = "refuses"
        ended = await run("alerts", "test", **environment)
        assert (ended.code, ended.out) == (1, "")
        assert "status 404" in ended.err
        assert "no_service" in ended.err
        receiver.manner = "redirects"
        ended = await run("alerts", "test", **environment)
        assert "status 302, a redirect, which is not followed" in ended.err
        receiver.refuse_connections()
        ended = await run("alerts", "test", **environment)
        assert ended.err == "the webhook did not take it: cannot be reached: Connection refused\n"
    ended = await run("alerts", "test", ALERT_WEBHOOK_URL="")
    assert ended.code == 2
    assert "ALERT_WEBHOOK_URL is not set" in ended.err


async def test_without_a_webhook_nothing_of_it_is_imported() -> None:
    program = (
        "import asyncio, sys\n"
        "from services.gateway.app import create_app\n"
        "from services.gateway.settings import GatewaySettings\n"
        "async def main():\n"
        "    create_app(GatewaySettings())\n"
        "    named = ('aiohttp', 'services.gateway.alerts.')\n"
        "    print(sorted(name for name in sys.modules if name.startswith(named)))\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        stdout=asyncio.subprocess.PIPE,
        env=dict(os.environ, ALERT_WEBHOOK_URL=""),
    )
    out, _ = await process.communicate()
    told = ("cause", "lookout", "settings", "standing", "totals")  # to whoever asks the gateway
    assert json.loads(out.decode().replace("'", '"')) == [f"services.gateway.alerts.{name}" for name in told]
