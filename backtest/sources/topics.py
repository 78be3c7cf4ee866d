"""What `bookrunner history export` took from a running system, as a `Source`.

The market is told as `books` tells it. What else was an input of the system comes when it was written:
signals of policies from outside (those of hosted ones are the run's own) and inputs of the router's context.
What was written before the beginning is shown where it is still the newest of its key.

Kafka keeps of that moment the millisecond, as the writer had it: a record comes at its end, and never before
one of its day that lies before it in its partition. So a writer's clock that is behind makes nothing known
sooner, but for one that is a day behind.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from backtest.bus import SOURCE
from backtest.source import Fidelity
from backtest.sources.books import Books
from libs.common.codec import UndecodableMessageError, decode
from libs.common.events import PolicySignalled
from libs.common.time_units import DAY_NS, NS_PER_MS
from libs.common.told import OUTSIDE
from libs.common.topics import CONTEXT_INPUTS, POLICIES_SIGNALS
from libs.history.topic_files import read_topic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backtest.bus import Bus
    from libs.common.events import Event
    from libs.common.topics import Topic

INPUTS: Final = (POLICIES_SIGNALS, CONTEXT_INPUTS)


class _Input(NamedTuple):
    """A record of an input's topic."""

    ts: int
    topic: Topic
    key: bytes
    event: Event | None


class Topics(Books):
    """An exported folder as a `Source`; raises what `Books` raises."""

    fidelity = Fidelity.TOPICS

    def __init__(self, root: Path, **named: Any) -> None:  # noqa: ANN401 -- as of `Books`
        super().__init__(root, **named)
        self.left_out = 0  # records that were no message

    def start(self, bus: Bus) -> None:
        """Show what was known before the beginning, and schedule the first of everything."""
        super().start(bus)
        begin, end = self.provenance.begin_ts, self.provenance.end_ts
        for topic in INPUTS:
            newest, inputs = dict[bytes, _Input](), _by_time(self._inputs(topic, end + 1))
            coming = next(inputs, None)
            while coming is not None and coming.ts < begin:
                newest[coming.key], coming = coming, next(inputs, None)
            for each in newest.values():
                bus.show(topic, each.key, each.event)
            self._schedule(coming, inputs)

    def _schedule(self, coming: _Input | None, inputs: Iterator[_Input]) -> None:
        if coming is not None:
            self._bus.at(coming.ts, self._say, (coming, inputs), SOURCE)

    def _say(self, said: tuple[_Input, Iterator[_Input]]) -> None:
        given, following = said
        self._bus.publish(given.topic, given.key, given.event)
        self._schedule(next(following, None), following)

    def _inputs(self, topic: Topic, end: int) -> Iterator[_Input]:
        newest: dict[int, int] = {}  # moment of a record so far, by partition
        for record in read_topic(self._root, topic, 0, end):
            known_ts = record.ts // NS_PER_MS * NS_PER_MS + NS_PER_MS - 1
            newest[record.partition] = ts = max(known_ts, newest.get(record.partition, 0))
            try:
                event = None if record.value is None else decode(topic, record.value)
            except UndecodableMessageError:
                self.left_out += 1
                continue
            if not isinstance(event, PolicySignalled) or event.policy_id.startswith(OUTSIDE):
                yield _Input(ts, topic, record.key, event)


def _by_time(inputs: Iterator[_Input]) -> Iterator[_Input]:
    """Yield them by time, a day at once: in a file each partition has its own order."""
    for _, of_day in groupby(inputs, key=lambda each: each.ts // DAY_NS):
        yield from sorted(of_day, key=lambda each: each.ts)
