"""What a system that decides by itself leaves on its logs: records, replies, and what the router remembers.

The records are one real execution's under other ids and times, at the pace of AUTOPILOT=1, and as many as a
start reads: it begins behind all older ones, and the holes that compaction leaves among these cost nothing.
What the router remembers is its own core's, after as many decisions as it keeps.
"""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_URL, uuid5

import msgspec

from libs.common.codec import encode
from libs.common.events import ExecutionRecord, IdempotentReply
from libs.common.record_view import KEEP
from libs.common.topics import EXECUTION_RECORDS, GATEWAY_IDEMPOTENCY, ROUTER_SNAPSHOTS, ROUTER_STATE
from services.execution.autopilot import AutopilotSettings
from services.router.settings import RouterSettings
from tests.execution_world import a_ready_world
from tests.router_world import World, choose, reward

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.common.events import Event
    from libs.common.topics import Topic

S: Final = 1_000_000_000
DAY: Final = 86_400 * S
SCOPE: Final = "default"  # the gateway's


def decisions(days: int, now: int) -> Iterator[tuple[Topic, bytes, Event, int]]:
    """Yield the records of `days` that end at `now`: topic, key, message and time (ns UTC)."""
    record = _an_execution()
    pause = round(AutopilotSettings().autopilot_interval_s * S)
    for ts in range(max(now - days * DAY, now - KEEP * pause), now, pause):
        identifier = str(uuid5(NAMESPACE_URL, f"aged/{ts // S}"))
        moved = msgspec.structs.replace(record, execution_id=identifier, created_ts=ts)
        yield EXECUTION_RECORDS, identifier.encode(), moved, ts
        if now - ts < DAY:
            reply = IdempotentReply(request_hash="0" * 64, status=202, body=encode(moved)[:1_000], ts=ts)
            yield GATEWAY_IDEMPOTENCY, identifier.encode(), reply, ts


def remembered() -> Iterator[tuple[Topic, bytes, Event, bytes]]:
    """Yield what the router holds once it forgets: topic, key, message and the key that places it."""
    world = _a_router()
    for key, value in world.state.items():
        yield ROUTER_STATE, key, value, SCOPE.encode()
    assert world.snapshot is not None
    yield ROUTER_SNAPSHOTS, SCOPE.encode(), world.snapshot, SCOPE.encode()


@cache
def _an_execution() -> ExecutionRecord:
    world = a_ready_world()
    name = world.execute("aged")
    world.finish()
    return world.records[name]


@cache
def _a_router() -> World:
    rules = RouterSettings().rules()
    world = World(remember_ns=rules.remember_ns, remember_most=rules.remember_most, policies=rules.policies)
    pause = round(AutopilotSettings().autopilot_interval_s * S)
    world.now = time.time_ns() - rules.remember_most * pause
    for n in range(rules.remember_most):
        chosen = world.choose(choose(n, scope=SCOPE))
        world.now += pause // 2
        world.reward(reward(f"of {n}", chosen.policy_id, 0.001, decision=n, scope=SCOPE))
        world.now += pause // 2
    return world
