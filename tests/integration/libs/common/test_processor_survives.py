"""The processor under SIGKILL, freezing, and a broker that goes away."""

from __future__ import annotations

import asyncio
import random
import re
import signal
import time
from functools import partial
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer

from libs.common.kafka import Publisher, create_topics, partition_of
from libs.common.processor import EXIT_FAILED
from tests.integration.libs.common.counting import ALARMS, COMMANDS, COUNTS, Add, Woken, wiring
from tests.integration.libs.common.exactly_once import all_done, assert_exactly_once, log_of, produce
from tests.integration.libs.common.workers import PARTITIONS, eventually, reported, settings_of, workers

if TYPE_CHECKING:
    from pathlib import Path

    from broker.native import NativeBroker
    from libs.common.settings import ServiceSettings
    from tests.integration.libs.common.workers import Worker


async def test_every_command_takes_effect_exactly_once_under_sigkill(
    fresh_kafka: str, tmp_path: Path
) -> None:
    settings = settings_of(fresh_kafka)
    await create_topics(settings, wiring(tmp_path.name).topics)
    count, kills = 3_500, 16
    chance = random.Random(20_260_801)
    with workers(fresh_kafka, tmp_path, 2) as replicas:
        producing = asyncio.create_task(produce(settings, range(count), per_second=150))
        await eventually(lambda: _done_at_least(settings, 1))
        for kill in range(kills):
            victim = chance.choice(replicas)
            victim.kill()
            restored = victim.said("partition_restored")
            await asyncio.sleep(chance.uniform(0.0, 0.3))
            victim.start()
            if kill % 4:  # three of four victims are killed at work, the others while they start
                await eventually(partial(_said_more, victim, "partition_restored", restored))
            await asyncio.sleep(chance.uniform(0.0, 0.5))
        await producing
        await eventually(lambda: all_done(settings, count), timeout_s=60)
    await assert_exactly_once(settings, count)


async def test_a_restart_goes_on_from_the_states_position_and_lets_the_group_know(
    fresh_kafka: str, tmp_path: Path
) -> None:
    async def told() -> bool:
        return await reported(settings, tmp_path.name) == count

    settings = settings_of(fresh_kafka)
    await create_topics(settings, wiring(tmp_path.name).topics)
    with workers(fresh_kafka, tmp_path, 1) as (worker,):
        count = 0
        while await reported(settings, tmp_path.name) == count:  # until a kill comes before the report
            async with Publisher(settings) as publisher:
                await publisher.send_and_wait(COMMANDS, b"k0", Add(key="k0", amount=count), time.time_ns())
            count += 1
            await eventually(partial(_done_at_least, settings, count))
            worker.kill()
            worker.start()
        await eventually(told)
    assert len(await log_of(settings, COUNTS)) == count


async def test_a_frozen_owner_is_replaced_and_cannot_write_when_it_wakes(
    fresh_kafka: str, tmp_path: Path
) -> None:
    settings = settings_of(fresh_kafka)
    await create_topics(settings, wiring(tmp_path.name).topics)
    count = 1_500
    with workers(fresh_kafka, tmp_path, 2) as (frozen, peer):
        producing = asyncio.create_task(produce(settings, range(count), per_second=100))
        await eventually(lambda: _said_more(frozen, "partition_restored", 0))
        await eventually(lambda: _said_more(peer, "partition_restored", 0))
        await eventually(lambda: _done_at_least(settings, 50))
        before = peer.said("partition_restored")
        frozen.send(signal.SIGSTOP)
        await eventually(lambda: _said_more(peer, "partition_restored", before + PARTITIONS - 1))
        frozen.send(signal.SIGCONT)

        async def finished() -> bool:
            frozen.revive()
            peer.revive()
            return await all_done(settings, count)

        await producing
        await eventually(finished, timeout_s=60)
    await assert_exactly_once(settings, count)


async def test_a_killed_broker_costs_neither_a_command_nor_a_repetition(
    own_broker: NativeBroker, tmp_path: Path
) -> None:
    settings = settings_of(own_broker.bootstrap_servers)
    await create_topics(settings, wiring(tmp_path.name).topics)
    count = 1_500
    with workers(own_broker.bootstrap_servers, tmp_path, 2) as replicas:
        producing = asyncio.create_task(produce(settings, range(count), per_second=150))
        await eventually(lambda: _done_at_least(settings, 300))
        await asyncio.to_thread(own_broker.kill)
        await asyncio.to_thread(own_broker.start)

        async def finished() -> bool:
            for worker in replicas:
                worker.revive()
            return await all_done(settings, count)

        await producing
        await eventually(finished, timeout_s=60)
    await assert_exactly_once(settings, count)


async def test_an_alarm_set_before_a_kill_rings_once_after_the_restart(
    fresh_kafka: str, tmp_path: Path
) -> None:
    settings = settings_of(fresh_kafka)
    await create_topics(settings, wiring(tmp_path.name).topics)
    with workers(fresh_kafka, tmp_path, 1) as (worker,):
        async with Publisher(settings) as publisher:
            command = Add(key="k0", amount=1, wake_after_ns=2_000_000_000)
            await publisher.send_and_wait(COMMANDS, b"k0", command, time.time_ns())
        await eventually(lambda: _done_at_least(settings, 1))
        worker.kill()
        assert not await log_of(settings, ALARMS), "killed too late to test anything"
        worker.start()
        await eventually(lambda: _rung(settings))
        (counted,), (alarm,) = await log_of(settings, COUNTS), await log_of(settings, ALARMS)
        assert isinstance(alarm.event, Woken)
        assert alarm.event.now >= alarm.event.due_ts
        assert alarm.event.due_ts // 1_000_000 == counted.timestamp_ms + 2_000
        before, after = dict(counted.headers), dict(alarm.headers)
        assert after["ce_correlationid"] == before["ce_correlationid"]


async def test_a_fenced_owner_ends_its_process_and_writes_nothing(fresh_kafka: str, tmp_path: Path) -> None:
    settings = settings_of(fresh_kafka)
    await create_topics(settings, wiring(tmp_path.name).topics)
    number = partition_of(b"k0", PARTITIONS)
    with workers(fresh_kafka, tmp_path, 1) as (worker,):
        await eventually(lambda: _said_more(worker, "partition_restored", PARTITIONS - 1))
        rival = AIOKafkaProducer(bootstrap_servers=fresh_kafka, transactional_id=f"{tmp_path.name}-{number}")
        await rival.start()
        await rival.stop()
        async with Publisher(settings) as publisher:
            await publisher.send_and_wait(COMMANDS, b"k0", Add(key="k0", amount=1), time.time_ns())
        assert await asyncio.to_thread(worker.process.wait, 10.0) == EXIT_FAILED
        # aiokafka tells the fence itself or, where a send comes after that, that no transaction is open.
        assert re.search("ProducerFenced|IllegalOperation: .*not in transaction", worker.log.read_text())
        assert not await log_of(settings, COUNTS)
        worker.start()
        await eventually(lambda: _done_at_least(settings, 1))
    assert len(await log_of(settings, COUNTS)) == 1


async def test_sigterm_ends_a_worker_cleanly(fresh_kafka: str, tmp_path: Path) -> None:
    settings = settings_of(fresh_kafka)
    await create_topics(settings, wiring(tmp_path.name).topics)
    with workers(fresh_kafka, tmp_path, 1) as (worker,):
        await eventually(lambda: _said_more(worker, "partition_restored", PARTITIONS - 1))
        worker.send(signal.SIGTERM)
        assert await asyncio.to_thread(worker.process.wait, 5.0) == 0
    assert '"level":"ERROR"' not in worker.log.read_text()
    assert "Unclosed" not in worker.log.read_text()


async def _done_at_least(settings: ServiceSettings, count: int) -> bool:
    return len(await log_of(settings, COUNTS)) >= count


async def _rung(settings: ServiceSettings) -> bool:
    return bool(await log_of(settings, ALARMS))


async def _said_more(worker: Worker, event: str, times: int) -> bool:
    return worker.said(event) > times
