"""What a hosted policy said, made again from the log cut at the place that its signal names.

`PolicySignalled.seen` says, by topic, before which offset of its symbol's partition the policy saw all of it.
Who has these topics, taped while they were written or not compacted yet, finds its market again, and with it
its value. So on a running system::

    differences = await unlike(settings, "mine", POLICY, lambda: MarketViews("binance", 180, 120))
"""

from __future__ import annotations

from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING

from msgspec.structs import replace

from libs.common.events import PolicySignalled
from libs.common.kafka import partition_of, read
from libs.common.topics import POLICIES_SIGNALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from libs.common.kafka import Record, Undecodable
    from libs.common.market_views import MarketViews
    from libs.common.policy import Market, Policy
    from libs.common.settings import ServiceSettings


class Cut:
    """A partition's log of the topics of markets, read up to where a signal says; reads on, and never back.

    Parameters
    ----------
    records
        Of one partition of each topic in `seen`, at least; each topic's in the order of its log.
    views
        That have read nothing yet, set as those of the host.
    """

    def __init__(self, records: Iterable[Record], views: MarketViews) -> None:
        self._views = views
        self._by_topic = {view.topic.name: view for view in views.views}
        self._left: dict[str, deque[Record]] = {name: deque() for name in self._by_topic}
        for record in records:
            if record.topic.name in self._left:
                self._left[record.topic.name].append(record)
        self._read: dict[str, int] = {}

    def reaches(self, signal: PolicySignalled) -> bool:
        """Tell whether it has not read beyond what a policy saw."""
        return all(signal.seen.get(name, 0) >= end for name, end in self._read.items())

    def market(self, signal: PolicySignalled) -> Market:
        """Return the market that a policy saw."""
        assert self.reaches(signal)
        for name, view in self._by_topic.items():
            left, end = self._left[name], signal.seen.get(name, 0)
            while left and left[0].offset < end:
                record = left.popleft()
                if view.wants(record.key):
                    view.fold(record.partition, record.offset, record.key, record.event)
            self._read[name] = end
        return self._views.market(signal.symbol, signal.inputs_ts)


def market_again(records: Iterable[Record], signal: PolicySignalled, views: MarketViews) -> Market:
    """Return the market that a policy saw; see `Cut`."""
    return Cut(records, views).market(signal)


def differences(
    records: Sequence[Record],
    signals: Iterable[PolicySignalled],
    policy: Policy,
    new_views: Callable[[], MarketViews],
    partitions: int,
) -> list[str]:
    """Return in words which signals come out otherwise on the log cut at their instant.

    Parameters
    ----------
    new_views
        Gives views that have read nothing, set as those of the host.
    partitions
        Of each topic.
    """
    found = []
    by_partition: dict[int, list[Record]] = {}
    for record in records:
        by_partition.setdefault(record.partition, []).append(record)
    cuts: dict[int, Cut] = {}
    for signal in sorted(signals, key=_moment):
        place = partition_of(signal.symbol.encode(), partitions)
        if place not in cuts or not cuts[place].reaches(signal):
            cuts[place] = Cut(by_partition.get(place, ()), new_views())
        market = cuts[place].market(signal)
        again = policy.signal(replace(market, parameters=dict(policy.parameters)))
        if (again.value, again.reason) != (signal.value, signal.reason):
            said = f"{signal.policy_id} said {signal.value} of {signal.symbol} at {signal.inputs_ts}"
            found.append(f"{said} ({signal.reason}); the log cut there gives {again.value} ({again.reason})")
    return found


def _moment(signal: PolicySignalled) -> int:
    return signal.inputs_ts


async def unlike(
    settings: ServiceSettings, policy_id: str, policy: Policy, new_views: Callable[[], MarketViews]
) -> list[str]:
    """Return the same of all signals that a policy's present version has on the log; see `taped`."""
    records, signals = await taped(settings, policy_id, new_views)
    return differences(records, signals, policy, new_views, settings.topic_partitions)


async def taped(
    settings: ServiceSettings, policy_id: str, new_views: Callable[[], MarketViews]
) -> tuple[list[Record], list[PolicySignalled]]:
    """Return what the topics of markets hold, and the signals of a policy's present version.

    Raises
    ------
    LookupError
        If there is none.
    """
    records, told = await all_taped(settings, new_views)
    mine = [signal for signal in told if signal.policy_id == policy_id]
    if not mine:
        raise LookupError(f"{policy_id} has no signal on {POLICIES_SIGNALS.name} that says what it saw")
    return records, [signal for signal in mine if signal.version == mine[-1].version]


async def all_taped(
    settings: ServiceSettings, new_views: Callable[[], MarketViews]
) -> tuple[list[Record], list[PolicySignalled]]:
    """Return what the topics of markets hold, and all signals that say what they saw."""
    topics = [view.topic for view in new_views().views]
    records: list[Record] = []
    batches = read(settings, [POLICIES_SIGNALS, *topics], on_undecodable=_refuse, stop_at_end=True)
    async with aclosing(batches):
        async for batch in batches:
            records += batch
    told = [e for e in (record.event for record in records) if isinstance(e, PolicySignalled)]
    return records, [signal for signal in told if signal.seen]


def holes(records: Iterable[Record]) -> list[str]:
    """Return where the topics of markets, which no transaction writes, lack what stood there once."""
    offsets: dict[tuple[str, int], list[int]] = {}
    for record in records:
        if record.topic is not POLICIES_SIGNALS:
            offsets.setdefault((record.topic.name, record.partition), []).append(record.offset)
    return [f"{place} has {len(found)} records" for place, found in offsets.items() if not _whole(found)]


def _whole(offsets: list[int]) -> bool:
    return sorted(offsets) == list(range(len(offsets)))


async def _refuse(undecodable: Undecodable) -> None:
    raise AssertionError(undecodable)
