"""A book as of any moment against a naive rebuild of the whole log, whatever the log holds."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import hypothesis.strategies as st
from hypothesis import given, settings

from libs.common.events import BookDelta, BookSnapshot
from services.gateway.as_of import NotKnownThenError, Row
from services.gateway.books import BookId
from services.gateway.past_books import PastBooks
from services.gateway.settings import GatewaySettings
from services.gateway.views import GatewayViews
from tests.unit.services.gateway.world import InMemoryLog, a_delta_row, a_keyframe_row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from libs.common.events import Level

BOOK = BookId("binance", "BTC-USDT")
START_MS = 1_000_000
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


def naive(log: list[Record], at_ms: int) -> dict[str, Any]:
    """Fold everything from the beginning, as the definition says."""
    known: dict[str, Any] | None = None
    newest, joined = (-1, -1), False
    before, after, ever = None, None, False
    for timestamp, row in log:
        if row is None:
            continue
        event = row.event
        if event is not None:
            place = (event.epoch, event.seq)
            if place < newest or (place == newest and isinstance(event, BookDelta)):
                continue
        if timestamp > at_ms:
            if isinstance(event, BookSnapshot):
                after = timestamp
            if event is not None and known is not None:
                step = 0 if isinstance(event, BookSnapshot) else 1
                joined = (event.epoch, event.seq) == (known["epoch"], known["seq"] + step)
            break
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
            ever = True
        elif known is not None and place == (known["epoch"], known["seq"] + 1):
            apply(known["bids"], event.bids)
            apply(known["asks"], event.asks)
            known["seq"] += 1
        else:
            known = None
        before = timestamp if known is not None else before
    if joined and known is not None:
        bids = [list(level) for level in sorted(known["bids"].items(), reverse=True)]
        asks = [list(level) for level in sorted(known["asks"].items())]
        return {"epoch": known["epoch"], "seq": known["seq"], "bids": bids, "asks": asks}
    if ever:
        return {"nearby": {"before": before, "after": after}}
    return {"oldest": None}


def asked(log: InMemoryLog, at_ms: int, look_back_ms: int) -> dict[str, Any]:
    """Return what the gateway says, in the words of `naive`."""

    @asynccontextmanager
    async def open_log(key: bytes) -> AsyncIterator[InMemoryLog]:
        assert key == BOOK.key
        yield log

    async def body() -> bytes:
        views = GatewayViews(5.0)
        for view in views.all:
            view.begin({0: 0})
        config = GatewaySettings(as_of_look_back_s=look_back_ms / 1000)
        return await PastBooks(config, views, open_log, lambda: START_MS * 10**9).body(BOOK, 50, at_ms)

    try:
        book = json.loads(asyncio.run(body()))
    except NotKnownThenError as error:
        document = json.loads(error.body())
        if "nearby" in document:
            return {"nearby": document["nearby"]}
        return {"oldest": document.get("retained", {}).get("from")}
    assert (book["state"], book["at"], book["features"]) == ("LIVE", at_ms, None)
    return {name: book[name] for name in ("epoch", "seq", "bids", "asks")}


@settings(max_examples=300, deadline=None)
@given(steps, st.integers(10, 60), st.integers(1, 5), st.data())
def test_a_book_as_of_any_moment_is_the_naive_rebuild_of_the_whole_log(
    story: list[Step], look_back_ms: int, chunk: int, data: st.DataObject
) -> None:
    log = log_of(story)
    moments = {START_MS - 1, START_MS, *(t + step for t, _ in log for step in (-1, 0, 1))}
    at_ms = data.draw(st.sampled_from(sorted(moments)))
    ahead = next((n for n, (t, _) in enumerate(log) if t >= at_ms + look_back_ms), len(log))
    expected = naive(log[:ahead], at_ms)
    if "oldest" in expected:
        expected = {
            "oldest": next((t for t, row in log if row and isinstance(row.event, BookSnapshot)), None)
        }
    assert asked(InMemoryLog(log, chunk=chunk), at_ms, look_back_ms) == expected
