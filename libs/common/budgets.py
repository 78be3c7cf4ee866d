"""What each topic may take on disk after years: from what is written to it and how long that stays.

With r records a second, k keys that live, g seconds until a segment is closed, T seconds of retention, P
seconds for which nothing is compacted and L seconds from then until a closed segment must be, a topic has at
most these records:

| topic | records |
|---|---|
| kept for T | r (T + g): only whole segments are dropped |
| kept for ever | r times a year, which is what its budget is for |
| compacted | k + r (P + 2 g) + min(k/4, r L): two segments, and closed ones under a fifth of the log |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from libs.common.time_units import DAY_S
from libs.common.topic import (
    COMPACTION_LAG_MS,
    DAY_MS,
    DIRTY_RATIO,
    FOREVER,
    SEGMENT_BYTES,
    Grows,
)

if TYPE_CHECKING:
    from libs.common.topic import Load, Topic

YEAR_S: Final = 365 * DAY_S
# Kafka's default of `segment.ms`, which topics that are not compacted leave alone.
SEGMENT_S: Final = 7 * DAY_MS / 1000


@dataclass(frozen=True, slots=True)
class Use:
    """How a system is used; its defaults are the use for which budgets are stated."""

    books: int = 15  # of `L2_BOOKS`
    executions_per_s: float = 0.1  # the autopilot's
    partitions: int = 8  # of `TOPIC_PARTITIONS`


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that a topic takes; of what is kept for ever, in a year."""

    records: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a topic takes."""

    offsets: int  # between the first and the end; compaction leaves holes in them, and markers are among them
    bytes: int | None  # of one replica's logs, without indexes; None where the brokers do not say
    written: int = 0  # sum of the ends of its partitions: what was ever written
    oldest_ms: int | None = None  # stamp of its oldest record; None where it has none


@dataclass(frozen=True, slots=True)
class Account:
    """A topic's use beside its budget; what cannot be known is None."""

    records: int | None
    bytes: int | None
    budget: Budget

    @property
    def share(self) -> float:
        """Return what is used of the budget, by records or bytes, whichever is more; above 1 is over it."""
        return max((self.records or 0) / self.budget.records, (self.bytes or 0) / self.budget.bytes)


STATED: Final = Use()


def use_of(books: int, partitions: int) -> Use:
    """Return the stated use on so many partitions, or that of more books if there are."""
    return Use(books=max(STATED.books, books), partitions=partitions)


def budget_of(topic: Topic, use: Use = STATED) -> Budget:
    """Return what a topic of the registry may take.

    Raises
    ------
    ValueError
        If the topic states no load.
    """
    if topic.load is None:
        raise ValueError(f"{topic.name} states no load: say in the registry what is written to it")
    load, per_s = topic.load, _per_s(topic.load, use)
    records = _compacted(topic, load, per_s, use) if topic.compacted else _kept(topic, load, per_s, use)
    size = records * load.record_bytes
    if topic.retention_bytes != FOREVER:
        most = topic.retention_bytes + SEGMENT_BYTES * use.partitions  # only whole segments are dropped
        size, records = min(size, most), min(records, most / load.record_bytes)
    return Budget(round(records), round(size))


def account_of(topic: Topic, usage: Usage, use: Use = STATED) -> Account:
    """Return a topic's use beside its budget.

    Offsets of a compacted topic count what was ever written, so its records are at most as many as its bytes
    hold at the stated size of a record.
    """
    budget = budget_of(topic, use)
    records: int | None = usage.offsets
    if topic.compacted:
        assert topic.load is not None  # noqa: S101 -- it has a budget
        held = None if usage.bytes is None else usage.bytes // topic.load.record_bytes
        records = None if held is None else min(usage.offsets, held)
    return Account(records, usage.bytes, budget)


def _per_s(load: Load, use: Use) -> float:
    match load.grows:
        case Grows.BOOKS:
            return load.records * use.books
        case Grows.EXECUTIONS:
            return load.records * use.executions_per_s
        case Grows.TIME:
            return load.records


def _kept(topic: Topic, load: Load, per_s: float, use: Use) -> float:
    if topic.retention_ms == FOREVER:
        return per_s * YEAR_S
    filled_s = SEGMENT_BYTES * use.partitions / (per_s * load.record_bytes)
    return per_s * (topic.retention_ms / 1000 + min(SEGMENT_S, filled_s))


def _compacted(topic: Topic, load: Load, per_s: float, use: Use) -> float:
    keys: float = load.keys * (use.books if load.grows is Grows.BOOKS else 1)
    if load.keys_kept:  # each execution leaves keys, until retention takes them
        kept_s = YEAR_S if topic.retention_ms == FOREVER else topic.retention_ms / 1000
        keys += load.keys_kept * use.executions_per_s * kept_s
    whole_s = (topic.past_ms + 2 * topic.closed_ms) / 1000
    dirty = min(keys * DIRTY_RATIO / (1 - DIRTY_RATIO), per_s * COMPACTION_LAG_MS / 1000)
    return keys + per_s * whole_s + dirty
