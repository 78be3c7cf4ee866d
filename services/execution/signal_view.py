"""What policies told of symbols on `policies.signals.v1`: of each key the newest that counts; pure.

The newest is the one with the greatest `inputs_ts`, whenever it came and in whichever partition; of equal
ones that with the later offset. Whether one counts depends on who asks and when: one that is ahead of the
clock, or of another version of its policy, hides none before it. So the `KEEP` newest of each key are kept,
and the `KEEP` that came last: of a producer whose clock was ahead for a while, those it says since are found.
What can never be used, whoever asks, is kept in words alone.
"""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict
from typing import Final, NamedTuple

from msgspec.structs import replace

from libs.common.command_rules import MAX_TEXT
from libs.common.events import PolicyRegistered, PolicySignalled
from libs.common.told import EXTERNAL, OWN, signal_fault
from libs.common.topics import POLICIES_SIGNALS, TOPICS, signal_key
from libs.common.views import MOST_KEYS, View

KEEP: Final = 4  # of each key: the newest, and again those that came last
KEY_BYTES: Final = 128  # more than a policy's name and a symbol can have


class Heard(NamedTuple):
    """A signal, and its order among those of its key."""

    order: tuple[int, int, int]  # its moment, then its offset; two partitions may give both alike
    signal: PolicySignalled


class Newest(NamedTuple):
    """What there is to use of a key."""

    signal: PolicySignalled | None
    unfit: str = ""  # why the last one that came is none, where there is no other


class _Kept(NamedTuple):
    newest: tuple[Heard, ...] = ()  # ascending
    latest: tuple[Heard, ...] = ()  # as they came
    unfit: str = ""


class SignalView(View[PolicySignalled]):
    """A view that keeps signals by key, and no `items`."""

    def __init__(self) -> None:
        super().__init__(POLICIES_SIGNALS)
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()  # the one told last at the end

    @property
    def patient(self) -> bool:
        """Whether its records may wait for others: of whatever anybody writes there none holds up a halt."""
        return True

    def wants(self, key: bytes) -> bool:
        """Return whether it may be a policy's that is not built in; it may be registered later."""
        return len(key) <= KEY_BYTES and b":" in key and not key.startswith(OWN.encode())

    def fold(self, partition: int, offset: int, key: bytes, event: PolicySignalled | None) -> None:
        """Apply one record; see `View.fold`."""
        self._pass(partition, offset)
        if event is None or not self.wants(key):
            self._kept.pop(key, None)
            return
        kept = self._kept.get(key, _Kept())
        if unfit := _unfit(key, event):
            kept = kept._replace(unfit=unfit)
        else:
            kept = _with(kept, Heard((event.inputs_ts, offset, partition), _bounded(event)))
        self._kept[key] = kept  # at once, as a handler in a thread may read
        self._kept.move_to_end(key)
        if len(self._kept) > MOST_KEYS:
            self._kept.popitem(last=False)

    def newest(self, policy_id: str, symbol: str, policy: PolicyRegistered | None, now: int) -> Newest:
        """Return the newest signal that was usable at some moment until `now` (ns UTC), else the newest.

        So one that has expired hides those before it, and one that nobody may use hides none.
        """
        kept = self._kept.get(signal_key(policy_id, symbol), _Kept())
        by_order = {heard.order: heard.signal for heard in (*kept.newest, *kept.latest)}
        told = [by_order[order] for order in sorted(by_order, reverse=True)]
        for signal in told:
            if not signal_fault(signal, policy, min(now, signal.valid_until_ts)):
                return Newest(signal)
        return Newest(told[0]) if told else Newest(None, kept.unfit)


def _with(kept: _Kept, heard: Heard) -> _Kept:
    newest = list(kept.newest)
    insort(newest, heard, key=_order)
    return _Kept(tuple(newest[-KEEP:]), (*kept.latest, heard)[-KEEP:])


def _order(heard: Heard) -> tuple[int, int, int]:
    return heard.order


def _bounded(event: PolicySignalled) -> PolicySignalled:
    """Return a signal without what nobody reads: records and audits tell it, and have a greatest size."""
    seen = {topic: offset for topic, offset in event.seen.items() if topic in TOPICS}
    version = event.version[: MAX_TEXT + 1]  # one that is longer than may be stays another
    return replace(event, reason=event.reason[:MAX_TEXT], version=version, seen=seen)


def _unfit(key: bytes, event: PolicySignalled) -> str:
    """Return why a record is no signal, whoever asks; "" for one that is."""
    if key != signal_key(event.policy_id, event.symbol):
        return "the signal does not stand under its policy and symbol"
    if event.valid_until_ts < event.inputs_ts:
        return "the signal ends before it begins"
    anyone = PolicyRegistered(policy_id=event.policy_id, kind=EXTERNAL, summary="", version=event.version)
    return signal_fault(event, anyone, event.inputs_ts)
