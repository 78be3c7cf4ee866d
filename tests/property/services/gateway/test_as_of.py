"""A book as of any moment against a naive rebuild of the whole log, whatever the log holds."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import hypothesis.strategies as st
from hypothesis import given, settings
from msgspec import structs

from libs.common.events import BookDelta, BookSnapshot
from services.gateway.reading.as_of import NotKnownThenError, Row
from services.gateway.reading.books import BookId
from services.gateway.reading.past_books import AHEAD_MS, PastBooks
from services.gateway.reading.topic_views import GatewayViews
from services.gateway.settings import GatewaySettings
from tests.unit.services.gateway.logs import InMemoryLog
from tests.unit.services.gateway.world import a_book_health, a_delta_row, a_keyframe_row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from libs.common.events import BookHealth, Level

BOOK = BookId("binance", "BTC-USDT")
START_MS = 1_000_000
NOW_MS = START_MS + 2_000  # after every story
LONG_MS = 10_000
SILENCE_NS = 5 * 10**9
levels = st.lists(st.tuples(st.integers(1, 8).map(float), st.integers(0, 3).map(float)), max_size=4)
Record = tuple[int, Row | None]


class Step(NamedTuple):
    """What happens next on the partition."""

    kind: str
    bids: list[Level]
    asks: list[Level]
    wait_ms: int


KINDS = (
    "delta",
    "delta",
    "delta",
    "delta",
    "keyframe",
    "resync",
    "other",
    "other",
    "lost",
    "garbage",
    "again",
    "zombie",
)
steps = st.lists(
    st.builds(Step, st.sampled_from(KINDS), levels, levels, st.sampled_from([0, 0, 1, 2, 5, 30, -2])),
    max_size=40,
)


def log_of(story: list[Step]) -> list[Record]:
    """Write the log that l2 would: contiguous deltas, true keyframes, and now and then what must not be."""
    log: list[Record] = []
    now, epoch, seq = START_MS, 0, 0
    sides: tuple[dict[float, float], dict[float, float]] = ({}, {})
    for kind, bids, asks, wait_ms in story:
        now += wait_ms
        if kind == "resync" or (epoch == 0 and kind in ("keyframe", "zombie")):
            epoch, seq = epoch + 1, 1
            sides = ({p: q for p, q in bids if q}, {p: q for p, q in asks if q})
            log.append((now, a_keyframe_row(now, epoch, seq, sides[0], sides[1])))
        elif kind == "keyframe":
            log.append((now, a_keyframe_row(now, epoch, seq, sides[0], sides[1])))
        elif kind == "garbage":
            log.append((now, Row(now, None)))
        elif kind == "zombie":
            log.append((now, a_delta_row(now, epoch - 1, seq + 3, bids, asks)))
        elif kind == "again" and log and log[-1][1] is not None:
            log.append((now, log[-1][1]._replace(timestamp_ms=now)))
        elif kind in ("other", "again"):
            log.append((now, None))
        else:
            seq += 1
            for side, changes in zip(sides, (bids, asks), strict=True):
                apply(side, changes)
            if kind == "delta":
                log.append((now, a_delta_row(now, epoch, seq, bids, asks)))
    return log


def apply(side: dict[float, float], changes: list[Level] | tuple[Level, ...]) -> None:
    for price, size in changes:
        if size:
            side[price] = size
        else:
            side.pop(price, None)


def naive(log: list[Record], at_ms: int) -> dict[str, Any] | None:
    """Fold everything from the beginning, as the definition says; None if the book is not known then."""
    known: dict[str, Any] | None = None
    newest = (-1, -1)
    for timestamp, row in log:
        if row is None:
            continue
        event = row.event
        if event is not None:
            place = (event.epoch, event.seq)
            if place < newest or (place == newest and isinstance(event, BookDelta)):
                continue
        if timestamp > at_ms:
            if event is None or known is None:
                return None
            step = 0 if isinstance(event, BookSnapshot) else 1
            return shown(known) if place == (known["epoch"], known["seq"] + step) else None
        if event is None:
            known = None
            continue
        newest = place
        if isinstance(event, BookSnapshot):
            known = {
                "epoch": event.epoch,
                "seq": event.seq,
                "bids": dict(event.bids),
                "asks": dict(event.asks),
            }
        elif known is not None and place == (known["epoch"], known["seq"] + 1):
            apply(known["bids"], event.bids)
            apply(known["asks"], event.asks)
            known["seq"] += 1
        else:
            known = None
    return None


def shown(known: dict[str, Any]) -> dict[str, Any]:
    bids = [list(level) for level in sorted(known["bids"].items(), reverse=True)]
    asks = [list(level) for level in sorted(known["asks"].items())]
    return {"epoch": known["epoch"], "seq": known["seq"], "bids": bids, "asks": asks}


def moments_of(log: list[Record]) -> list[int]:
    """Return every moment at which something may change, and its neighbours."""
    return sorted({START_MS - 1, START_MS, *(t + step for t, _ in log for step in (-1, 0, 1))})


def asked(log: InMemoryLog, at_ms: int, look_back_ms: int, health: BookHealth | None = None) -> Any:
    """Return what the gateway says: the book, or the problem document."""

    @asynccontextmanager
    async def open_log(key: bytes) -> AsyncIterator[InMemoryLog]:
        assert key == BOOK.key
        yield log

    async def body() -> bytes:
        views = GatewayViews(5.0, 8, lambda: 0)
        for view in views.all:
            view.begin({0: 0})
        views.healths.fold(0, 0, BOOK.key, health)
        config = GatewaySettings(as_of_look_back_s=look_back_ms / 1000)
        return await PastBooks(config, views, open_log, lambda: NOW_MS * 10**6).body(BOOK, 50, at_ms, "here")

    try:
        book = json.loads(asyncio.run(body()))
    except NotKnownThenError as error:
        return json.loads(error.body())
    state = "LIVE" if book["bids"] and book["asks"] else "ONE_SIDED"
    assert (book["state"], book["at"], book["features"]) == (state, at_ms, None)
    return {name: book[name] for name in ("epoch", "seq", "bids", "asks")}


@settings(max_examples=300, deadline=None)
@given(steps, st.integers(10, 60), st.integers(1, 5), st.data())
def test_a_book_as_of_any_moment_is_the_naive_rebuild_of_the_whole_log(
    story: list[Step], look_back_ms: int, chunk: int, data: st.DataObject
) -> None:
    log = log_of(story)
    at_ms = data.draw(st.sampled_from(moments_of(log)))
    ahead = next((n for n, (t, _) in enumerate(log) if t >= at_ms + look_back_ms), len(log))
    answer = asked(InMemoryLog(log, chunk=chunk), at_ms, look_back_ms)
    assert (None if "status" in answer else answer) == naive(log[:ahead], at_ms)


def test_a_record_of_a_replaced_owner_after_the_moment_hides_no_proof_from_a_short_look_back() -> None:
    story = [Step("keyframe", [], [], 5), Step("zombie", [], [], 30), Step("delta", [], [], 0)]
    log, at_ms = log_of(story), START_MS + 34
    known = naive(log, at_ms)
    assert known is not None
    for look_back_ms in (10, 60):
        assert asked(InMemoryLog(log, chunk=1), at_ms, look_back_ms) == known


@settings(max_examples=300, deadline=None)
@given(steps, st.integers(1, 5), st.data())
def test_the_nearest_known_moments_are_told_if_all_of_the_log_is_looked_at(
    story: list[Step], chunk: int, data: st.DataObject
) -> None:
    log = log_of([step._replace(wait_ms=abs(step.wait_ms)) for step in story])
    at_ms = data.draw(st.sampled_from([*moments_of(log), NOW_MS + AHEAD_MS + 1]))
    known = [moment for moment in moments_of(log) if naive(log, moment) is not None]
    document = asked(InMemoryLog(log, chunk=chunk), at_ms, LONG_MS)
    if "nearby" in document:
        before = max((moment for moment in known if moment < at_ms), default=None)
        after = min((moment for moment in known if moment > at_ms), default=None)
        assert document["nearby"] == {"before": before, "after": after}
    elif "status" in document:
        retained = {"from": known[0], "to": known[-1]} if known else None
        assert document.get("retained") == retained


@settings(max_examples=300, deadline=None)
@given(
    steps,
    st.integers(10, 60),
    st.integers(1, 5),
    st.none() | st.builds(a_book_health, epoch=st.integers(1, 4), ts=st.integers(START_MS, NOW_MS)),
    st.data(),
)
def test_whatever_the_log_holds_asking_at_each_moment_that_a_refusal_names_answers(
    story: list[Step], look_back_ms: int, chunk: int, health: BookHealth | None, data: st.DataObject
) -> None:
    log = log_of(story)
    health = health and structs.replace(health, ts=health.ts * 10**6 - SILENCE_NS)
    at_ms = data.draw(st.sampled_from([*moments_of(log), NOW_MS, NOW_MS + AHEAD_MS + 1]))
    document = asked(InMemoryLog(log, chunk=chunk), at_ms, look_back_ms, health)
    named = {**document.get("nearby", {}), **document.get("retained", {})}
    for moment in named.values():
        if moment is not None:
            answer = asked(InMemoryLog(log, chunk=chunk), moment, look_back_ms, health)
            assert "status" not in answer, (named, answer)
