"""What the counting service must have done: compared with a linear replay of its inputs."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict, deque
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from libs.common.kafka import Publisher, read
from tests.integration.libs.common.counting import (
    ALARMS,
    COMMANDS,
    COUNTS,
    DOUBLINGS,
    STATE,
    Add,
    Counted,
    Double,
    Total,
    Woken,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.common.kafka import Record, Undecodable
    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic

KEYS: Final = tuple(f"k{n}" for n in range(16))
# Near now: a restarted broker forgets an idempotent producer whose last record's timestamp is older than
# producer.id.expiration.ms (a day), and then takes a batch it already has for a new one.
BEGIN: Final = time.time_ns()


async def refuse(undecodable: Undecodable) -> None:
    """Fail on bytes that are no message; the state's log also holds records private to the processor."""
    assert undecodable.topic is STATE, undecodable
    assert undecodable.key.startswith(b"\0"), undecodable


async def log_of(settings: ServiceSettings, *topics: Topic) -> list[Record]:
    """Return all committed records, in the order of each partition."""
    found: list[Record] = []
    async with aclosing(read(settings, topics, on_undecodable=refuse, stop_at_end=True)) as batches:
        async for batch in batches:
            found += batch
    return found


def message(n: int) -> Add | Double:
    """Return the n-th command: mostly additions, some with an alarm, some doublings."""
    key = KEYS[n % len(KEYS)]
    if n % 10 == 7:
        return Double(key=key)
    return Add(key=key, amount=n, wake_after_ns=500_000_000 if n % 10 == 3 else None)


async def produce(settings: ServiceSettings, numbers: Iterable[int], per_second: int) -> None:
    """Send these commands at this pace."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with Publisher(settings, compress=False) as publisher:
        for sent, n in enumerate(numbers):
            command = message(n)
            topic = DOUBLINGS if isinstance(command, Double) else COMMANDS
            await publisher.send(topic, command.key.encode(), command, BEGIN + n * 1_000_000)
            await asyncio.sleep(max(0.0, began + sent / per_second - loop.time()))
        await publisher.flush()


async def all_done(settings: ServiceSettings, count: int) -> bool:
    """Return whether there are as many outputs as the first `count` commands must have."""
    alarms = sum(isinstance(m, Add) and m.wake_after_ns is not None for m in map(message, range(count)))
    outputs = Counter(record.topic for record in await log_of(settings, COUNTS, ALARMS))
    return outputs[COUNTS] >= count and outputs[ALARMS] >= alarms


async def assert_exactly_once(settings: ServiceSettings, count: int) -> None:
    """Compare outputs, alarms and state with a replay of the first `count` commands."""
    inputs = [r.event for r in await log_of(settings, COMMANDS, DOUBLINGS)]
    assert len(inputs) == count, f"the test itself lost or repeated a command: {len(inputs)} of {count}"
    outputs = await log_of(settings, COUNTS)
    causes = Counter(dict(record.headers)["ce_causationid"] for record in outputs)
    assert max(causes.values()) == 1, "a command was handled twice"
    assert len(causes) == count, "a command was lost"
    assert len({dict(record.headers)["ce_id"] for record in outputs}) == count

    adds: dict[str, deque[int]] = defaultdict(deque)
    doubles: Counter[str] = Counter()
    for event in inputs:
        if isinstance(event, Add):
            adds[event.key].append(event.amount)
        elif isinstance(event, Double):
            doubles[event.key] += 1
    replayed: dict[str, Total] = {}
    for record in outputs:  # each an addition, in the order of its topic, or a doubling
        step = record.event
        assert isinstance(step, Counted)
        before = replayed.get(step.key, Total(total=0, messages=0))
        assert step.messages == before.messages + 1, f"the state of {step.key} missed or repeated a step"
        if adds[step.key] and step.total == before.total + adds[step.key][0]:
            adds[step.key].popleft()
        else:
            assert step.total == 2 * before.total, f"the state of {step.key} is no fold of its inputs"
            doubles[step.key] -= 1
        replayed[step.key] = Total(total=step.total, messages=step.messages)
    assert not any(adds.values())
    assert not any(doubles.values())
    state = {record.key.decode(): record.event for record in await log_of(settings, STATE)}
    assert {key: total for key, total in state.items() if total is not None} == replayed

    alarms = [record.event for record in await log_of(settings, ALARMS)]
    rung = Counter(alarm.amount for alarm in alarms if isinstance(alarm, Woken) and alarm.now >= alarm.due_ts)
    wished = [event.amount for event in inputs if isinstance(event, Add) and event.wake_after_ns is not None]
    assert rung == Counter(wished), "an alarm was lost, early or rang twice"
