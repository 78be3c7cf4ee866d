"""Why, and how it came about, over a real Kafka: every id names the record that said so."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from msgspec.structs import replace

from libs.common.codec import decode, encode
from libs.common.events import (
    BOOK,
    AuditEntry,
    ExecutionPlanned,
    LimitsSet,
    OrderFilled,
    OrderSubmitted,
    PolicyRegistered,
    SizingSnapshot,
    Subscribed,
)
from libs.common.kafka import partition_of
from libs.common.topics import (
    EXECUTION_AUDIT,
    EXECUTION_CONTROLS,
    EXECUTION_RECORDS,
    L2_BOOK_DELTAS,
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    L2_SUBSCRIPTIONS,
    POLICIES_REGISTRY,
    PORTFOLIO_RISK,
    ROUTER_CHOICES,
    TOPICS,
    VENUES_SCORES,
    limits_key,
)
from libs.common.trading_limits import SETTINGS
from tests.e2e.system import until
from tests.execution_market import a_policy_chosen, a_risk_budget
from tests.execution_world import ExecutionWorld
from tests.gate_world import SYMBOL, TOLD, TOPIC_OF, a_delta
from tests.integration.services.gateway.process import GatewayProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from libs.common.events import Event
    from libs.common.topics import Topic

BOOK_KEY = f"binance:{SYMBOL}"
NOISE = 300  # records of other books and symbols between those that are looked for
BY_EXECUTION = (SizingSnapshot, ExecutionPlanned, OrderSubmitted, OrderFilled)  # beside its audit


@pytest.fixture
async def gateway(fresh_kafka: str, tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    async with GatewayProcess(fresh_kafka, tmp_path / "gateway.log") as process:
        yield process


class Written:
    """What services write of an execution, in transactions as they do, with other things between."""

    def __init__(self, gateway: GatewayProcess, world: ExecutionWorld) -> None:
        self.gateway, self.world = gateway, world
        self.said = 0  # messages of the world that were written
        self.partition = partition_of(SYMBOL.encode(), gateway.settings.topic_partitions)

    async def write(self, *told: tuple[Topic, str, Event, int]) -> None:
        """Write each message under its key at its time, ns, all in one transaction."""
        settings = self.gateway.settings
        producer = AIOKafkaProducer(
            bootstrap_servers=settings.kafka_bootstrap_servers, transactional_id=f"of-a-test-{time.time_ns()}"
        )
        await producer.start()
        try:
            async with producer.transaction():
                for topic, key, event, ts in told:
                    partition = self.partition
                    if topic in (EXECUTION_AUDIT, EXECUTION_RECORDS):
                        partition = partition_of(key.encode(), settings.topic_partitions)
                    await producer.send(
                        topic.name, encode(event), key.encode(), partition, timestamp_ms=ts // 1_000_000
                    )
        finally:
            await producer.stop()

    async def books(self) -> None:
        """Write the book that is decided on: its deltas among many others, its top and its health."""
        now, market = self.world.now, self.world.market
        deltas = [
            (L2_BOOK_DELTAS, f"bybit:{SYMBOL}", a_delta(seq, "bybit", now), now) for seq in range(NOISE)
        ]
        deltas.insert(NOISE // 2, (L2_BOOK_DELTAS, BOOK_KEY, a_delta(7, "binance", now), now))
        subscribed = Subscribed(venue="binance", symbol=SYMBOL, requested_ts=now)
        limits = LimitsSet(scope=SETTINGS, limits=self.world.settings.limits(), by="execution", ts=0)
        policy = PolicyRegistered(policy_id="p_sma", kind="builtin", summary="", version="1")
        await self.write(*deltas)
        await self.write(
            (L2_SUBSCRIPTIONS, BOOK_KEY, subscribed, now),
            (L2_BOOK_TOPS, BOOK_KEY, market.tops.items[BOOK_KEY.encode()], now),
            (L2_BOOK_HEALTH, BOOK_KEY, market.healths.items[BOOK_KEY.encode()], now),
            (PORTFOLIO_RISK, BOOK, market.risk.items[BOOK.encode()], now),
            (EXECUTION_CONTROLS, limits_key(SETTINGS).decode(), limits, now),
            (POLICIES_REGISTRY, "p_sma", policy, now),
        )

    async def beat(self) -> None:
        """Let the book's owner speak now."""
        now = time.time_ns()
        health = replace(self.world.market.healths.items[BOOK_KEY.encode()], ts=now)
        await self.write((L2_BOOK_HEALTH, BOOK_KEY, health, now))

    async def step(self, execution_id: str, *answers: tuple[Topic, str, Event, int]) -> None:
        """Write what the world has sent since the last step, and what it was answered."""
        world = self.world
        new, self.said = world.sent[self.said :], len(world.sent)
        told: list[tuple[Topic, str, Event, int]] = [*answers]
        for event in new:
            if isinstance(event, AuditEntry):
                told.append((EXECUTION_AUDIT, execution_id, event, world.now))
            elif isinstance(event, BY_EXECUTION):
                told.append((TOPIC_OF[type(event)], SYMBOL, event, world.now))
        await self.write(*told, (EXECUTION_RECORDS, execution_id, world.record(execution_id), world.now))


async def event_at(gateway: GatewayProcess, record_id: str) -> tuple[str, Any]:
    """Return the key and the message that stand where an id says."""
    name, partition, offset = record_id.rsplit(":", 2)
    place = TopicPartition(name, int(partition))
    consumer = AIOKafkaConsumer(bootstrap_servers=gateway.settings.kafka_bootstrap_servers)
    await consumer.start()
    try:
        consumer.assign([place])
        consumer.seek(place, int(offset))
        found = await consumer.getone()
    finally:
        await consumer.stop()
    assert found.offset == int(offset)
    return found.key.decode(), decode(TOPICS[name], found.value)


async def test_every_stage_and_gate_names_the_record_that_told_it(gateway: GatewayProcess) -> None:
    world = ExecutionWorld()
    world.now = time.time_ns() // 1_000_000 * 1_000_000
    world.rising()
    world.books()
    world.fold(world.market.risk, BOOK.encode(), a_risk_budget(ts=world.now))
    written = Written(gateway, world)
    await written.books()

    execution_id = world.execute()
    command = world.unanswered.pop()
    chosen = a_policy_chosen(command.command_id, "p_sma", ts=world.now)  # type: ignore[attr-defined]  # of a command
    world.deliver(chosen)
    await written.step(execution_id, (ROUTER_CHOICES, "default", chosen, world.now))

    async def lineage() -> Any:
        status, answer = await gateway.get(f"/api/exec/{execution_id}/lineage")
        return answer if status == 200 else None

    running = await until("a lineage of what runs", lineage)
    assert [each["stage"] for each in running["stages"]] == ["book", "features", "choice", "sizing"]

    (score,) = world.unanswered
    scored = replace(world.answer_to(score), ts=world.now)
    world.unanswered.clear()
    world.deliver(scored)
    await written.step(execution_id, (VENUES_SCORES, SYMBOL, scored, world.now))
    world.advance()
    await written.step(execution_id)

    async def ended() -> Any:
        answer = await lineage()
        return answer if answer["stages"][-1]["stage"] == "shortfall" else None

    whole = await until("the lineage of what has ended", ended)
    fills = world.all(OrderFilled)
    assert whole["fills"] == [fill.exec_id for fill in fills]
    assert len(fills) > 1
    stages = [each["stage"] for each in whole["stages"]]
    assert stages == [
        *("book", "features", "choice", "sizing", "venues", "plan", "child"),
        *["fill"] * len(fills),
        "shortfall",
    ]
    told = []
    for stage in whole["stages"]:
        key, event = await event_at(gateway, stage["record"]["id"])
        assert key == stage["record"]["key"]
        assert isinstance(event, TOLD[stage["stage"]][0] if stage["stage"] in TOLD else object), stage
        if stage["stage"] == "fill":
            told.append(event)
    assert told == fills
    _, delta = await event_at(gateway, whole["stages"][0]["record"]["id"])
    assert (delta.venue, delta.seq) == ("binance", 7)

    async def believed() -> Any:
        await written.beat()  # however long it took until here
        status, answer = await gateway.get(f"/api/why?symbol={SYMBOL}")
        assert status == 200, answer
        (found,) = answer["symbols"]
        return found if next(each for each in found["gates"] if each["gate"] == "book")["open"] else None

    why = await until("a book that is believed", believed)
    assert why["decision"]["executionId"] == execution_id
    assert (await event_at(gateway, why["decision"]["id"]))[1] == world.record(execution_id)
    gates = {each["gate"]: each for each in why["gates"]}
    assert (await event_at(gateway, gates["book"]["records"][0]))[0] == BOOK_KEY
    for gate in why["gates"]:
        for record_id in gate["records"]:
            await event_at(gateway, record_id)
    assert gates["size"]["value"] == float(world.record(execution_id).sizing.qty)  # type: ignore[union-attr]  # it was sized
