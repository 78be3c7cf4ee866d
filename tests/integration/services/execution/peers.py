"""What the execution service meets on Kafka: live books, a risk budget, peers that answer its commands."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal
from itertools import count, cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from libs.common.events import (
    BOOK,
    ChoosePolicy,
    InstrumentTerms,
    PolicyRewarded,
    RewardPolicy,
    ScoreVenues,
    SymbolRisk,
    VenueCandidate,
    VenueShare,
)
from libs.common.kafka import Publisher, create_topics, read
from libs.common.settings import ServiceSettings
from libs.common.time_units import NS_PER_MS, NS_PER_S
from libs.common.told import OUTSIDE
from libs.common.topics import (
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    L2_CANDLES,
    POLICIES_REGISTRY,
    POLICIES_SIGNALS,
    PORTFOLIO_RISK,
    ROUTER_CHOICES,
    ROUTER_COMMANDS,
    VENUES_COMMANDS,
    VENUES_SCORES,
    book_key,
    signal_key,
)
from tests.execution_market import (
    a_book_health,
    a_book_top,
    a_candle,
    a_policy_chosen,
    a_policy_signalled,
    a_risk_budget,
    a_venue_scored,
)
from tests.execution_world import DAY, MINUTE
from tests.registered import a_policy_registered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from libs.common.events import VenueScored
    from libs.common.kafka import Undecodable

SYMBOLS: Final = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
VENUES_OF: Final = {  # where each is traded
    "BTC-USDT": ("binance", "bybit", "okx"),
    "ETH-USDT": ("binance", "bybit", "okx"),
    "SOL-USDT": ("binance", "bybit"),
}
PRICE: Final = 60_000.0
PARTITIONS: Final = 4
BEAT_S: Final = 0.1
SIGNALS_S: Final = 1.0
TERMS: Final = InstrumentTerms(
    tick=Decimal("0.1"), lot=Decimal("0.00001"), min_qty=Decimal("0.00001"), min_notional=Decimal(5)
)


class Peers:
    """l2, portfolio, router and venues as their topics show them."""

    def __init__(
        self,
        settings: ServiceSettings,
        *policies: str,
        delay_s: float = 0.0,
        step: float = 0.5,
        venues: Mapping[str, tuple[str, ...]] = VENUES_OF,
        beat_s: float = BEAT_S,
        signals_s: float = SIGNALS_S,
    ) -> None:
        self.answered: list[str] = []  # command ids, as often as they came
        self._settings = settings
        self._policies = {symbol: cycle(policies) for symbol in venues}  # are chosen in turn
        self._delay_s = delay_s
        self._chance = random.Random(7)
        self._step = step  # between the prices of a book
        self._venues = venues  # by symbol
        self._beat_s = beat_s
        self._signals_s = signals_s  # for which a signal from outside holds; then there is none for a while
        self._outside = [each for each in policies if each.startswith(OUTSIDE)]
        self.price = PRICE  # of the best bids
        self.prices: dict[str, float] = {}  # by symbol, where it is another
        self.beats = 0  # how often the books were told

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Publisher]:
        """Be there: everything that an execution needs is told before anything else happens."""
        await create_topics(self._settings)
        async with Publisher(self._settings, compress=False) as publisher:
            await self._history(publisher)
            await self._beat(publisher)
            tasks = [
                asyncio.create_task(self._beats(publisher)),
                asyncio.create_task(self._answers(publisher)),
                *(asyncio.create_task(self._signals(publisher, each)) for each in self._outside),
            ]
            try:
                yield publisher
            finally:
                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
                failures = [e for e in ended if isinstance(e, Exception)]
                assert not failures, failures

    async def _history(self, publisher: Publisher) -> None:
        now = time.time_ns()
        risk = SymbolRisk(cvar=0.05, vol=0.02, weight=0.0, used=0.0)
        budget = a_risk_budget(by_symbol=dict.fromkeys(self._venues, risk), equity=Decimal(100_000_000))
        await publisher.send_and_wait(PORTFOLIO_RISK, BOOK.encode(), budget, now)
        for symbol in self._venues:
            key = book_key("binance", symbol)
            for n in range(120, 0, -1):
                close = PRICE * (1 - 0.004 * n) * (1 + 0.01 * (-1) ** n)
                candle = a_candle("1d", now - n * DAY, close, symbol=symbol)
                await publisher.send(L2_CANDLES, key, candle, now)
                close = PRICE * (1 - 0.00005 * n) * (1 + 0.0002 * (-1) ** n)
                candle = a_candle("1m", now - n * MINUTE, close, symbol=symbol)
                await publisher.send(L2_CANDLES, key, candle, now)
        await publisher.flush()

    async def _beats(self, publisher: Publisher) -> None:
        while True:
            await asyncio.sleep(self._beat_s)
            await self._beat(publisher)

    async def _beat(self, publisher: Publisher) -> None:
        """Tell all books."""
        self.beats += 1
        for symbol in self._venues:
            await self._tell(publisher, symbol)
        await publisher.flush()

    async def move(self, publisher: Publisher, symbol: str, price: float) -> None:
        """Let the best bids of a symbol be at a price, from now on."""
        self.prices[symbol] = price
        self.beats += 1
        await self._tell(publisher, symbol)

    async def _tell(self, publisher: Publisher, symbol: str) -> None:
        now, price = time.time_ns(), self.prices.get(symbol, self.price)
        for venue in self._venues[symbol]:
            key = book_key(venue, symbol)
            size = 5.0 + self._chance.randrange(1000) / 100
            sides = {
                "bids": tuple((price - self._step * i, size + i) for i in range(10)),
                "asks": tuple((price + 0.5 + self._step * i, size + i) for i in range(10)),
            }
            named = {"venue": venue, "symbol": symbol, "seq": self.beats}
            top = a_book_top(**named, **sides, received_ts=now)
            await publisher.send(L2_BOOK_TOPS, key, top, now)
            await publisher.send(L2_BOOK_HEALTH, key, a_book_health(**named, ts=now, terms=TERMS), now)

    async def _signals(self, publisher: Publisher, policy_id: str) -> None:
        """Let a policy from outside be registered, and say something of each symbol but the last.

        Of the first there is a signal at any time, of the others with pauses.
        """
        external = a_policy_registered(policy_id, kind="external", version="outside")
        await publisher.send_and_wait(POLICIES_REGISTRY, policy_id.encode(), external, time.time_ns())
        for n in count():
            now = time.time_ns()
            for at, symbol in enumerate([*self._venues][:-1]):
                signal = a_policy_signalled(
                    policy_id,
                    (-1.0) ** n,
                    symbol=symbol,
                    inputs_ts=now,
                    valid_until_ts=now + round((1 if at else 30) * self._signals_s * NS_PER_S),
                )
                await publisher.send(POLICIES_SIGNALS, signal_key(policy_id, symbol), signal, now)
            await publisher.flush()
            await asyncio.sleep(1.7 * self._signals_s)

    async def _answers(self, publisher: Publisher) -> None:
        topics = (ROUTER_COMMANDS, VENUES_COMMANDS)
        batches = read(self._settings, topics, on_undecodable=_refuse)
        async with aclosing(batches):
            async for batch in batches:
                for record in batch:
                    await self._answer(publisher, record.event)

    async def _answer(self, publisher: Publisher, command: Any) -> None:
        self.answered.append(command.command_id)
        if self._delay_s:
            await asyncio.sleep(self._chance.uniform(0, self._delay_s))
        now = time.time_ns()
        match command:
            case ChoosePolicy():
                answer: Any = a_policy_chosen(
                    command.command_id, next(self._policies[str(command.context["symbol"])])
                )
                topic = ROUTER_CHOICES
            case RewardPolicy():
                topic = ROUTER_CHOICES
                answer = PolicyRewarded(
                    command_id=command.command_id,
                    scope=command.scope,
                    policy_id=command.policy_id,
                    reward=command.reward,
                    decision_id=command.decision_id,
                    counted=not command.void,
                    reason=command.void,
                    updates=1,
                    mean_reward=command.reward,
                    ts=now,
                )
            case ScoreVenues():
                topic = VENUES_SCORES
                answer = self._scored(command)
            case _:
                raise AssertionError(command)
        # The partition is that of the reply key: the answer is sent under it.
        await publisher.send(topic, command.reply_key.encode(), answer, now)

    def _scored(self, command: ScoreVenues) -> VenueScored:
        """Return an answer that gives each venue the same part."""
        venues = [
            venue for venue in self._venues[command.symbol] if not command.venues or venue in command.venues
        ]
        candidates = tuple(
            VenueCandidate(venue=venue, eligible=True, score=-10.0, reasons=("the fee",)) for venue in venues
        )
        parts = venues[: command.max_venues]
        return a_venue_scored(
            command.command_id,
            command.size,
            command.side,
            symbol=command.symbol,
            candidates=candidates,
            allocation=tuple(VenueShare(venue=venue, size=command.size / len(parts)) for venue in parts),
        )


class ExecutionProcess:
    """The service as a process; `start` it again after a `kill`."""

    def __init__(self, kafka: str, log: Path, **environment: str) -> None:
        self.log = log
        self._environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "TOPIC_PARTITIONS": str(PARTITIONS),
            "GROUP_INSTANCE_ID": "0",
            **environment,
        }
        self.starts_ms: list[int] = []  # ms UTC
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.starts_ms.append(time.time_ns() // NS_PER_MS)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.execution"], env=self._environment, stdout=log, stderr=log
            )

    def cpu_s(self) -> float:
        """Return the CPU time of the process so far, seconds."""
        assert self._process is not None
        of = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(of[11]) + int(of[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def restored(self) -> int:
        return self.log.read_text().count('"event":"partition_restored"')


def settings_of(kafka: str) -> ServiceSettings:
    return ServiceSettings(kafka_bootstrap_servers=kafka, topic_partitions=PARTITIONS, kafka_wait_s=20.0)


async def _refuse(undecodable: Undecodable) -> None:
    raise AssertionError(undecodable)
