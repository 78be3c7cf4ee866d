"""The bytes that an execution writes to Kafka, by topic, and the size of its state, by its children.

BYTES_TREES names checkouts, separated by commas (default: this one), each measured in turn by its own code;
BYTES_CHILDREN how many children (default 10,60,120,240). One execution goes through the processor's own
partition in process: a transaction for each message and each tick, with what Kafka is handed as it is handed,
before compression. Headers are told apart, and so is what the batch's format adds: 10 to 20 bytes a record.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, uuid5

import msgspec

from libs.common.codec import decode, encode
from libs.common.effects import Incoming
from libs.common.events import (
    BOOK,
    BookState,
    ChoosePolicy,
    ExecutionRecord,
    InstrumentTerms,
    PlanAndExecute,
    PolicyRewarded,
    RewardPolicy,
    ScoreVenues,
)
from libs.common.handling import RESERVED
from libs.common.partition import Partition
from libs.common.topics import (
    EXECUTION_COMMANDS,
    EXECUTION_RECORDS,
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    L2_CANDLES,
    PORTFOLIO_RISK,
    ROUTER_CHOICES,
    VENUES_SCORES,
)
from services.execution.app import wiring
from services.execution.settings import ExecutionSettings
from tests import execution_market as market

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.common.effects import Effects, Outgoing
    from libs.common.events import Event
    from libs.common.topics import Topic
    from tests.bench.report import Report

BENCH: Final = "execution_bytes"
ROOT: Final = Path(__file__).resolve().parents[2]
CHILDREN: Final = "10,60,120,240"
SYMBOL: Final = "BTC-USDT"
VENUES: Final = ("binance", "bybit")
LOT: Final = Decimal("0.00001")
TICK: Final = Decimal("0.5")
S: Final = 1_000_000_000
MINUTE: Final = 60 * S
DAY: Final = 86_400 * S
INTERVAL_S: Final = 15.0  # between the children of a plan
VOLUME: Final = 5.0  # a minute, over which the cap is kept in ONE_S
ONE_S: Final = 367.27
ASKS: Final = tuple((60_000.5 + 5.0 * n, 0.1) for n in range(50))
TICKS: Final = 1  # a transaction, as where nothing else is due
PATIENCE: Final = 20_000  # transactions
NS_PER_MS: Final = 1_000_000


class Measured(msgspec.Struct):
    """What one execution wrote."""

    children: int
    style: str
    status: str
    values: dict[str, int]  # bytes by topic
    keys: dict[str, int]
    headers: dict[str, int]
    records: dict[str, int]
    state_mean: float  # bytes of a record of the state, ticks and positions apart
    state_most: int
    held_most: int  # bytes of the whole state at once


class Driven:
    """One partition of the service, with views and peers that answer at once."""

    def __init__(self, children: int) -> None:
        self.wiring = wiring(ExecutionSettings(deadline_s=INTERVAL_S * (children + 0.9)))
        self.partition: Partition[Any] = Partition(self.wiring, 0, place=lambda _key: 0)
        self.now = market.NOW
        self.written: list[Outgoing] = []
        self.held_most = 0
        self._offsets: Counter[str] = Counter()
        self._folded = 0
        self._waiting: list[Event] = []
        self._candles(ONE_S * VOLUME / (INTERVAL_S * (children + 0.5)))
        self._fold(PORTFOLIO_RISK, BOOK.encode(), market.a_risk_budget())

    def execute(self) -> ExecutionRecord:
        """Let one execution run to its end; return its last whole record."""
        command = PlanAndExecute(command_id=str(uuid5(NAMESPACE_URL, BENCH)), symbol=SYMBOL, urgency=0.0)
        self._deliver(EXECUTION_COMMANDS, command)
        for _ in range(PATIENCE):
            if self._waiting:
                self._deliver(*self._answer(self._waiting.pop(0)))
            elif (record := self.record).status.final and record.reward is not None:
                return record
            else:
                due = self.partition.next_wake
                assert due is not None, "it waits for nothing"
                self.now = max(self.now, due)
                self._beat()
                self._keep(self.partition.wake(self.now, TICKS))
        raise AssertionError(f"{self.record.status} after {PATIENCE} transactions")

    @property
    def record(self) -> ExecutionRecord:
        """The last whole record."""
        for sent in reversed(self.written):
            if sent.topic.name == EXECUTION_RECORDS.name and sent.value is not None:
                event = decode(sent.topic, sent.value)
                if isinstance(event, ExecutionRecord):
                    return event
        raise AssertionError("nothing began")

    def _deliver(self, topic: Topic, message: Event) -> None:
        self._beat()
        offset = self._offsets[topic.name]
        self._offsets[topic.name] += 1
        key, stamp = SYMBOL.encode(), self.now // NS_PER_MS
        record = Incoming(topic, 0, offset, stamp, key, encode(message))
        self._keep(self.partition.apply([[record]], self.now))

    def _keep(self, effects: Effects) -> None:
        assert effects.failure is None, effects.failure
        assert not effects.failures, effects.failures
        self.written += effects.outgoing
        commands = (ChoosePolicy, ScoreVenues, RewardPolicy)
        sent = (event for step in effects.steps for event in step.events)
        self._waiting += [event for event in sent if isinstance(event, commands)]
        self.held_most = max(self.held_most, sum(len(encode(each)) for each in self.partition.state.values()))

    def _answer(self, command: Event) -> tuple[Topic, Event]:
        match command:
            case ChoosePolicy(command_id=command_id):
                return ROUTER_CHOICES, market.a_policy_chosen(command_id, "p_sma")
            case ScoreVenues(command_id=command_id, size=size, side=side):
                return VENUES_SCORES, market.a_venue_scored(command_id, size, side)
            case RewardPolicy(command_id=command_id):
                return ROUTER_CHOICES, PolicyRewarded(
                    command_id=command_id,
                    scope=command.scope,
                    policy_id=command.policy_id,
                    reward=command.reward,
                    decision_id=command.decision_id,
                    counted=True,
                    updates=1,
                    mean_reward=command.reward,
                    ts=self.now,
                )
        raise AssertionError(command)

    def _fold(self, topic: Topic, key: bytes, event: Event) -> None:
        for view in self.wiring.views:
            if view.topic.name == topic.name:
                view.fold(0, self._folded, key, event)
        self._folded += 1

    def _candles(self, volume: float) -> None:
        """Let prices have risen for days and minutes, so that a trend is long; `volume` is of each minute."""
        for n in range(120):
            close = 60_000.0 * (1 - 0.004 * (120 - n)) * (1 + 0.01 * (-1) ** n)
            candle = market.a_candle("1d", market.NOW - (120 - n) * DAY, close, volume=1440 * volume)
            self._fold(L2_CANDLES, f"binance:{SYMBOL}".encode(), candle)
        for n in range(240):
            close = 60_000.0 * (1 - 0.00005 * (240 - n)) * (1 + 0.0002 * (-1) ** n)
            for venue in VENUES:
                begun = market.NOW - (240 - n) * MINUTE
                candle = market.a_candle("1m", begun, close, venue=venue, volume=volume)
                self._fold(L2_CANDLES, f"{venue}:{SYMBOL}".encode(), candle)

    def _beat(self) -> None:
        """Let the books be of now."""
        terms = InstrumentTerms(tick=TICK, lot=LOT, min_qty=LOT, min_notional=Decimal(1))
        for venue in VENUES:
            key = f"{venue}:{SYMBOL}".encode()
            self._fold(L2_BOOK_TOPS, key, market.a_book_top(venue=venue, received_ts=self.now, asks=ASKS))
            health = market.a_book_health(
                venue=venue, state=BookState.LIVE, since_ts=market.NOW, ts=self.now, terms=terms
            )
            self._fold(L2_BOOK_HEALTH, key, health)


def measured(children: int) -> Measured:
    """Return what an execution of so many children writes.

    The volume is such that the participation cap is just kept over so many intervals: a shorter plan takes
    too large a share, and what is front-loaded has no interval left; the book holds less than the order.
    """
    driven = Driven(children)
    record = driven.execute()
    assert record.plan is not None
    assert len(record.orders) == children, f"{len(record.orders)} children, not {children}"
    by_topic: defaultdict[str, list[Outgoing]] = defaultdict(list)
    for sent in driven.written:
        by_topic[sent.topic.name].append(sent)
    states = [
        len(sent.value)
        for sent in by_topic[driven.wiring.state.name]
        if sent.value is not None and not sent.key.startswith(RESERVED)
    ]
    return Measured(
        children=children,
        style=record.plan.style,
        status=str(record.status),
        values={name: sum(len(each.value or b"") for each in found) for name, found in by_topic.items()},
        keys={name: sum(len(each.key) for each in found) for name, found in by_topic.items()},
        headers={name: sum(map(_bytes_of_headers, found)) for name, found in by_topic.items()},
        records={name: len(found) for name, found in by_topic.items()},
        state_mean=sum(states) / len(states),
        state_most=max(states),
        held_most=driven.held_most,
    )


def _bytes_of_headers(sent: Outgoing) -> int:
    return sum(len(name) + len(value) for name, value in sent.headers)


def run(report: Report) -> None:
    """Measure each tree."""
    from tests.bench.report import Result  # noqa: PLC0415 -- another tree's code runs this file too

    children = os.environ.get("BYTES_CHILDREN", CHILDREN)
    for tree in os.environ.get("BYTES_TREES", str(ROOT)).split(","):
        for each in _of_tree(Path(tree).resolve(), children.split(",")):
            for topic in sorted(each.values):
                report.add(
                    Result(
                        bench=BENCH,
                        case=f"{each.children} children, {topic}",
                        contender=tree,
                        figures={
                            "bytes": each.values[topic] + each.keys[topic],
                            "records": each.records[topic],
                            "bytes of headers": each.headers[topic],
                        },
                    )
                )
            report.add(
                Result(
                    bench=BENCH,
                    case=f"{each.children} children, all topics",
                    contender=tree,
                    figures={
                        "bytes": sum(each.values.values()) + sum(each.keys.values()),
                        "records": sum(each.records.values()),
                        "bytes of headers": sum(each.headers.values()),
                        "mean bytes of a record of the state": round(each.state_mean),
                        "most bytes of a record of the state": each.state_most,
                        "most bytes of the whole state": each.held_most,
                    },
                    assumptions={"style": each.style, "status": each.status},
                )
            )


def _of_tree(tree: Path, children: Iterable[str]) -> list[Measured]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EXECUTION_")}
    found = subprocess.run(
        [sys.executable, "-P", __file__, *children],
        cwd=tree,
        env=environment | {"PYTHONPATH": str(tree)},
        check=True,
        stdout=subprocess.PIPE,
    )
    return msgspec.json.decode(found.stdout, type=list[Measured])


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode([measured(int(each)) for each in sys.argv[1:]]))
