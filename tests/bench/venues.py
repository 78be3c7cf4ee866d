"""Scoring of venues: the core alone, and a command through Kafka and back beside a bare echo."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from libs.common.codec import encode
from libs.common.kafka import create_topics, partition_of
from libs.common.live_books import PATIENCE
from libs.common.topics import VENUES_COMMANDS, VENUES_SCORES, Key, Topic
from libs.common.venues.venue import Instrument
from services.venues.costs import Terms
from services.venues.smart_router import Offer, Policy, route
from tests.bench.chunks import in_turn
from tests.bench.processes import Process, folder_and_broker, started, until
from tests.bench.report import Result, latency, quartiles
from tests.venue_market import a_score, a_top
from tests.venues_running import PARTITIONS, Market, settings_of

if TYPE_CHECKING:
    from pathlib import Path

    from libs.common.events import ScoreVenues
    from tests.bench.report import Report

BENCH: Final = "venues"
VENUES: Final = ("binance", "bybit", "coinbase", "kraken", "okx")
SYMBOL: Final = "BTC-USDT"
POLICY: Final = Policy(PATIENCE["scoring"], 10.0, 0.05, 5)
SORTING: Final = "sorting all levels by cost"
CHUNKS: Final = 20
SCORES: Final = 200  # of a chunk
ROUNDS: Final = 20
ASKED: Final = 100  # of a round, each way
EVERY_S: Final = 0.01
ECHO: Final = "bare echo through Kafka"
REQUESTS: Final = Topic("bench.echo-requests.v1", (), Key.ORIGINAL, ("bench",))
ECHOES: Final = Topic("bench.echoes.v1", (), Key.ORIGINAL, ("bench",))


class WrongSplitError(RuntimeError):
    """The contender's answer is not the baseline's; then there is no time to print."""


def run(report: Report) -> None:
    """Measure both."""
    _core(report)
    with folder_and_broker(report.say) as (folder, broker):
        uvloop.run(_through_kafka(report, broker.bootstrap_servers, folder))


def an_offer(number: int, *, least: str) -> Offer:
    """Return a venue's book of 50 levels; every venue is a little dearer than the one before."""
    venue = VENUES[number]
    terms = Terms(10.0 + number / 100, 0.03, 0.05, 300.0, 1.0, 1.0)
    numbers = (Decimal("0.01"), Decimal("0.00001"), Decimal(least), Decimal(5))
    top = a_top(venue, size=0.5 + number / 10, half_spread=0.5 + number / 10)
    return Offer(venue, top, None, Instrument(venue, SYMBOL, *numbers), terms, 0)


def _core(report: Report) -> None:
    cases = {
        "no minimum binds": ([an_offer(number, least="0.00001") for number in range(5)], 25.0),
        "minima force subsets": ([an_offer(number, least="0.7") for number in range(5)], 2.0),
    }
    for case, (offers, size) in cases.items():
        if case == "no minimum binds":
            _check(offers, size)

        def score(_: int, offers: list[Offer] = offers, size: float = size) -> None:
            for _ in range(SCORES):
                route(offers, "buy", size, POLICY)

        def baseline(_: int, offers: list[Offer] = offers, size: float = size) -> None:
            for _ in range(SCORES):
                _sorted_cost(offers, size)

        score(0)
        taken = in_turn({"route": score, SORTING: baseline}, range(CHUNKS))
        pairs = zip(taken["route"], taken[SORTING], strict=True)
        report.add(
            Result(
                bench=BENCH,
                case=f"score and split, 5 venues x 50 levels, {case}",
                contender="route",
                figures={"ms": quartiles(taken["route"]).median / SCORES / 1e6},
                ratio=quartiles([ours / bare for ours, bare in pairs]),
                baseline=SORTING,
                assumptions={"size": size, "chunks": CHUNKS, "scores_per_chunk": SCORES, "time": "CPU"},
            )
        )


def _sorted_cost(offers: list[Offer], size: float) -> float:
    """Return the summed cost (bps times base units) of the cheapest split, lots and minima aside."""
    levels = []
    for offer in offers:
        assert offer.top is not None
        mid = (offer.top.bids[0][0] + offer.top.asks[0][0]) / 2
        fee = offer.terms.taker_bps
        levels += [
            ((price - mid) / mid * 1e4 + fee * price / mid, available) for price, available in offer.top.asks
        ]
    levels.sort()
    cost, left = 0.0, size
    for slope, available in levels:
        taken = min(available, left)
        cost += slope * taken
        left -= taken
        if left <= 0:
            break
    return cost


def _check(offers: list[Offer], size: float) -> None:
    routing = route(offers, "buy", size, POLICY)
    best = routing.best
    assert best is not None
    assert best.score is not None
    costs = [each.cost_bps for each in routing.candidates]
    flat = [cost.latency + cost.reliability for cost in costs if cost is not None]
    split = -best.score - routing.saving_bps
    naive = _sorted_cost(offers, size) / size
    if not min(flat) - 1e-6 <= split - naive <= max(flat) + 1e-6:
        raise WrongSplitError(f"the split costs {split} bps, sorted levels {naive} and {flat}")


async def _through_kafka(report: Report, servers: str, folder: Path) -> None:
    settings = settings_of(servers)
    await create_topics(settings, (REQUESTS, ECHOES))
    market = Market(servers)
    environment = {"KAFKA_BOOTSTRAP_SERVERS": servers, "TOPIC_PARTITIONS": str(PARTITIONS)}
    echo = started("tests.bench.echo", folder, REQUESTS.name, ECHOES.name, **environment)
    venues = started("services.venues", folder, **environment)
    async with market.open():
        with echo as echoing, venues as scoring:
            ways = [
                _Way(servers, VENUES_COMMANDS, VENUES_SCORES, partition_of(SYMBOL.encode(), PARTITIONS)),
                _Way(servers, REQUESTS, ECHOES, 0),
            ]
            for way in ways:
                await way.open()
            try:
                await _warm(ways, echoing, scoring)
                rounds = [await _round(ways, number) for number in range(1, ROUNDS + 1)]
            finally:
                for way in ways:
                    await way.close()
    ours, bare = ([taken for each in rounds for taken in each[at]] for at in (0, 1))
    medians = [(latency(a).p50, latency(b).p50) for a, b in rounds]
    for name, taken in (("ScoreVenues", ours), (ECHO, bare)):
        found = latency(taken)
        report.add(
            Result(
                bench=BENCH,
                case="a command and its answer",
                contender=name,
                figures={"p50 ms": found.p50, "p99": found.p99, "max": found.max, "n": found.count},
                ratio=quartiles([a / b for a, b in medians]) if taken is ours else None,
                baseline=ECHO if taken is ours else "",
                latency_ms={"round trip": found},
                assumptions={
                    "loop": f"open, one each {EVERY_S * 1e3:g} ms, {ASKED} of one kind in turn",
                    "beside": "3 books at 10 tops/s and their healths",
                    "durability": "the answer is in the changelog before it is published",
                },
            )
        )


class _Way:
    """Requests on one topic and their answers on another; an answer repeats the request's command id."""

    def __init__(self, servers: str, source: Topic, target: Topic, partition: int) -> None:
        self._servers, self._source, self._target, self._partition = servers, source, target, partition
        self.sent: dict[str, int] = {}
        self.taken: dict[str, int] = {}

    async def open(self) -> None:
        """Connect both ends."""
        self._producer = AIOKafkaProducer(bootstrap_servers=self._servers, acks="all", linger_ms=0)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self._servers, group_id=None)
        await self._producer.start()
        await self._consumer.start()
        place = TopicPartition(self._target.name, self._partition)
        self._consumer.assign([place])
        await self._consumer.seek_to_end(place)
        self._hearing = asyncio.create_task(self._hear())

    async def close(self) -> None:
        """Disconnect."""
        self._hearing.cancel()
        await asyncio.gather(self._hearing, return_exceptions=True)
        await self._producer.stop()
        await self._consumer.stop()

    async def ask(self, command: ScoreVenues) -> None:
        """Send a request, and do not wait."""
        self.sent[command.command_id] = time.perf_counter_ns()
        await self._producer.send(
            self._source.name, encode(command), SYMBOL.encode(), partition=self._partition
        )

    async def _hear(self) -> None:
        async for record in self._consumer:
            seen = time.perf_counter_ns()
            at = record.value.find(b"command_id") + len(b"command_id")
            identifier = record.value[at + 2 : at + 38].decode()
            if identifier in self.sent and identifier not in self.taken:
                self.taken[identifier] = seen - self.sent[identifier]


async def _warm(ways: list[_Way], *processes: Process) -> None:
    for number in range(2 * ASKED):
        for way in ways:
            await way.ask(a_score(-1 - number))

    async def answered() -> bool:
        return all(len(way.taken) >= 2 * ASKED for way in ways)

    await until("both ways answer", answered, 60.0, *processes)


async def _round(ways: list[_Way], number: int) -> tuple[list[int], list[int]]:
    """Return the round trips of each way, who begins changing from round to round."""
    found: list[list[int]] = [[], []]
    for at in (0, 1) if number % 2 else (1, 0):
        way = ways[at]
        commands = [a_score(number * ASKED + each) for each in range(ASKED)]
        for command in commands:
            await way.ask(command)
            await asyncio.sleep(EVERY_S)
        asked = {command.command_id for command in commands}

        async def answered(way: _Way = way, asked: set[str] = asked) -> bool:
            return asked <= way.taken.keys()

        await until("a round is answered", answered, 20.0)
        found[at] = [way.taken[identifier] for identifier in asked]
    return found[0], found[1]
