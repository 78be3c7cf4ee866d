"""What services may write to the topics that are state, and the state at a moment, folded naively."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from libs.common.codec import UndecodableMessageError, decode, encode
from libs.common.events import (
    BookHealth,
    ExecutionProgress,
    ExecutionRecord,
    ExecutionStatus,
    LimitsSet,
    PolicyChosen,
    PolicyRewarded,
    PolicySignalled,
    RouterSnapshot,
    ServiceStatus,
)
from libs.common.kafka import partition_of
from libs.common.record_view import RecordView
from libs.common.topics import (
    EXECUTION_CONTROLS,
    EXECUTION_RECORDS,
    L2_BOOK_HEALTH,
    POLICIES_SIGNALS,
    ROUTER_CHOICES,
    ROUTER_SNAPSHOTS,
    SERVICES_STATUS,
)
from services.gateway.http.view import encode as json_encode
from services.gateway.reading.moment_state import REPEATED_LOOK_MS
from services.gateway.stream.sse import json_ready
from tests.full_valued import full

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from libs.common.events import Event
    from libs.common.topics import Topic

START_MS = 1_795_000_000_000
MINUTE_MS = 60_000


class Step(NamedTuple):
    """What is written next, and how long after the step before."""

    kind: str
    name: int
    wait_ms: int


KINDS = (
    *("health", "status", "signal", "signal", "limits", "unset", "garbage", "snapshot", "choice", "reward"),
    *("execution", "progress", "progress", "tidied", "final"),
)
FULL = {
    kind: full(kind)
    for kind in (
        *(
            BookHealth,
            ServiceStatus,
            PolicySignalled,
            LimitsSet,
            RouterSnapshot,
            PolicyChosen,
            PolicyRewarded,
        ),
        *(ExecutionRecord, ExecutionProgress),
    )
}


class Written(NamedTuple):
    topic: Topic
    partition: int
    offset: int
    key: bytes
    value: bytes | None
    ms: int


def written(story: Iterable[Step], partitions: int) -> list[Written]:
    """Write what the services would, and now and then what is no message."""
    found: list[Written] = []
    offsets: Counter[tuple[str, int]] = Counter()
    now = START_MS
    for count, step in enumerate(story):
        now += max(0, step.wait_ms)
        topic, key, event = _message(step, count)
        value = event if event is None or isinstance(event, bytes) else encode(event)
        partition = count % partitions if topic is ROUTER_CHOICES else partition_of(key, partitions)
        offset = offsets[topic.name, partition]
        offsets[topic.name, partition] += 1
        found.append(Written(topic, partition, offset, key, value, now + min(0, step.wait_ms)))
    return found


def _message(step: Step, count: int) -> tuple[Topic, bytes, Event | bytes | None]:
    n, told = step.name, str(count)
    if step.kind in ("execution", "final"):
        status = ExecutionStatus.COMPLETED if step.kind == "final" else ExecutionStatus.WORKING
        begun = {"execution_id": f"e{n}", "created_ts": (START_MS - 10_000) * 10**6}
        whole = replace(FULL[ExecutionRecord], status=status, waiting=told, **begun)
        return EXECUTION_RECORDS, b"e%d" % n, whole
    step_of = replace(FULL[ExecutionProgress], execution_id=f"e{n}", n=count % 2, waiting=told)
    child, book, signal, limits = (
        b"%04d:e%d" % (count % 2, n),
        b"x:A%d-USDT" % n,
        b"y:A%d-USDT" % n,
        b"limits:%d" % n,
    )
    messages: dict[str, tuple[Topic, bytes, Event | bytes | None]] = {
        "health": (L2_BOOK_HEALTH, book, replace(FULL[BookHealth], gaps=count)),
        "status": (SERVICES_STATUS, b"l2:%d" % n, replace(FULL[ServiceStatus], instance=told)),
        "signal": (POLICIES_SIGNALS, signal, replace(FULL[PolicySignalled], reason=told)),
        "garbage": (POLICIES_SIGNALS, signal, b"\xc1"),
        "limits": (EXECUTION_CONTROLS, limits, replace(FULL[LimitsSet], ts=count)),
        "unset": (EXECUTION_CONTROLS, limits, None),
        "snapshot": (ROUTER_SNAPSHOTS, b"s%d" % n, replace(FULL[RouterSnapshot], choices=count)),
        "choice": (ROUTER_CHOICES, b"s%d" % n, replace(FULL[PolicyChosen], score=float(count))),
        "reward": (ROUTER_CHOICES, b"s%d" % n, FULL[PolicyRewarded]),
        "progress": (EXECUTION_RECORDS, child, step_of),
        "tidied": (EXECUTION_RECORDS, child, None),
    }
    return messages[step.kind]


def naive(log: Iterable[Written], at_ms: int) -> dict[tuple[str, str], tuple[str, Any, int]]:
    """Fold everything that is not after the moment: id, message and time, by topic and key."""
    found: dict[tuple[str, str], tuple[str, Any, int]] = {}
    choices: dict[tuple[str, int], tuple[str, Any, int, int, int]] = {}  # of each partition
    executions = RecordView()
    for topic, partition, offset, key, value, ms in log:
        if ms > at_ms:
            continue
        try:
            event = None if value is None else decode(topic, value)
        except UndecodableMessageError:
            continue
        name, of = key.decode(), f"{topic.name}:{partition}:{offset}"
        if topic is EXECUTION_RECORDS:
            executions.fold(partition, offset, key, event)  # type: ignore[arg-type]  # of that topic
            name = name.rpartition(":")[2]
            whole = executions.items.get(name.encode())
            if whole is not None and event is not None:
                found[topic.name, name] = of, whole, ms
        elif event is None:
            found.pop((topic.name, name), None)
        elif topic is not ROUTER_CHOICES:
            found[topic.name, name] = of, event, ms
        elif isinstance(event, PolicyChosen):
            choices[name, partition] = of, event, ms, offset, partition
    for (name, _), told in sorted(choices.items(), key=lambda each: each[1][2:]):
        found[ROUTER_CHOICES.name, name] = told[:3]
    return found


def assert_told(answer: Mapping[str, Any], log: Iterable[Written], at_ms: int) -> int:
    """Compare an answer with the naive fold; return how many records are alike."""
    right = naive(log, at_ms)
    told = {(each["topic"], each["key"]): each for each in answer["records"]}
    ids = {place: (each["id"], right[place][0] if place in right else None) for place, each in told.items()}
    wrong = {place: pair for place, pair in ids.items() if pair[0] != pair[1]}
    assert not wrong, wrong
    for place, each in told.items():
        assert each["data"] == json.loads(json_encode(json_ready(right[place][1])))
    lacking = {place for place in right.keys() - told.keys() if not may_lack(place, right, at_ms)}
    assert not lacking, lacking
    return len(told)


def may_lack(place: tuple[str, str], right: dict[tuple[str, str], tuple[str, Any, int]], at_ms: int) -> bool:
    """Return whether a record need not be told: of who was silent for long, and a scope not known yet."""
    topic, key = place
    if topic in (L2_BOOK_HEALTH.name, SERVICES_STATUS.name):
        return right[place][2] < at_ms - REPEATED_LOOK_MS
    return topic == ROUTER_CHOICES.name and (ROUTER_SNAPSHOTS.name, key) not in right
