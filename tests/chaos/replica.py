"""`Replica`: a book as a stranger rebuilds it from ``l2.book-deltas.v1``, with dicts and nothing of ours.

Each event is held against the topic's promises: epochs rise and have one owner, deltas are contiguous, a
repeated keyframe shows the book that its deltas gave, the best bid stays under the best ask. A book's
fingerprint is a sum over its levels, so it is known after every delta at the price of the delta.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Levels: TypeAlias = "Iterable[Sequence[float]]"  # (price, size)

KEPT_S: Final = 30.0  # of a book's past, for truths that were asked before the book got there
BID: Final = 1.0
ASK: Final = -1.0


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a book stood."""

    at_s: float  # monotonic, when it was read
    epoch: int
    seq: int
    venue_seq: int | None
    fingerprint: int


class Replica:
    """One book; `take` brings it to an event and notes what the event broke."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.bids: dict[float, float] = {}
        self.asks: dict[float, float] = {}
        self.epoch = 0
        self.seq = 0
        self.venue_seq: int | None = None
        self.owner = ""
        self.fingerprint = 0
        self.events = 0
        self.epochs = 0
        self.keyframes_equal = 0
        self.late = 0  # of an epoch that is over
        self.broken: list[str] = []
        self._best_bid = float("-inf")
        self._best_ask = float("inf")
        self._lost = True  # until the next keyframe
        self._past: deque[Moment] = deque()
        self._by_id: dict[int, Moment] = {}
        self._by_fingerprint: dict[int, Moment] = {}

    def take(self, event: Mapping[str, Any], at_s: float) -> None:
        """Bring the book to an event of its topic."""
        self.events += 1
        if event["epoch"] < self.epoch:
            self.late += 1
            if event.get("reason") == "resync":
                self._break(f"epoch {event['epoch']} begins after epoch {self.epoch}")
            return
        if event["type"] == "BookSnapshot":
            self._take_snapshot(event)
        elif not self._take_delta(event):
            return
        if self._best_bid >= self._best_ask:
            self._break(f"crossed: bid {self._best_bid} is not under ask {self._best_ask}")
        self._remember(at_s)

    def at_id(self, venue_seq: int) -> Moment | None:
        """Return where the book was when it carried this id of the venue, if it did lately."""
        return self._by_id.get(venue_seq)

    def at_fingerprint(self, fingerprint: int) -> Moment | None:
        """Return when the book lately was exactly this one, if it was."""
        return self._by_fingerprint.get(fingerprint)

    def top(self, depth: int) -> tuple[list[list[float]], list[list[float]]]:
        """Return the best levels, bids descending and asks ascending."""
        bids = sorted(self.bids.items(), reverse=True)[:depth]
        asks = sorted(self.asks.items())[:depth]
        return [list(level) for level in bids], [list(level) for level in asks]

    def _take_snapshot(self, event: Mapping[str, Any]) -> None:
        bids, asks = _side(event["bids"]), _side(event["asks"])
        begins = event["reason"] == "resync"
        if begins != (event["epoch"] > self.epoch):
            self._break(f"a {event['reason']} keyframe of epoch {event['epoch']} in epoch {self.epoch}")
        elif begins:
            self.epochs += 1
        elif event["owner"] != self.owner:
            self._break(f"epoch {self.epoch} is published by {self.owner} and by {event['owner']}")
        elif not self._lost:
            if event["seq"] != self.seq:
                self._break(f"a keyframe of seq {event['seq']} at seq {self.seq}")
            elif (bids, asks) != (self.bids, self.asks):
                self._break(f"the keyframe at seq {self.seq} is not the book that its deltas gave")
            else:
                self.keyframes_equal += 1
        self.bids, self.asks = bids, asks
        self.epoch, self.seq, self.venue_seq = event["epoch"], event["seq"], event["venue_seq"]
        self.owner, self._lost = event["owner"], False
        self.fingerprint = fingerprint(bids.items(), asks.items())
        self._best_bid = max(bids, default=float("-inf"))
        self._best_ask = min(asks, default=float("inf"))

    def _take_delta(self, event: Mapping[str, Any]) -> bool:
        if event["epoch"] > self.epoch:
            self._break(f"epoch {event['epoch']} begins with a delta")
            self.epoch, self._lost = event["epoch"], True
        if self._lost:
            return False
        if event["seq"] != self.seq + 1:
            self._break(f"seq {event['seq']} follows seq {self.seq}")
            self._lost = True
            return False
        self.seq, self.venue_seq = event["seq"], event["venue_seq"]
        best = self._best_bid
        for price, size in event["bids"]:
            self._set(self.bids, BID, price, size)
            best = max(best, price) if size else best
        self._best_bid = best if best in self.bids else max(self.bids, default=float("-inf"))
        best = self._best_ask
        for price, size in event["asks"]:
            self._set(self.asks, ASK, price, size)
            best = min(best, price) if size else best
        self._best_ask = best if best in self.asks else min(self.asks, default=float("inf"))
        return True

    def _set(self, side: dict[float, float], sign: float, price: float, size: float) -> None:
        before = side.pop(price, 0.0)
        if before:
            self.fingerprint -= hash((sign, price, before))
        if size:
            side[price] = size
            self.fingerprint += hash((sign, price, size))

    def _remember(self, at_s: float) -> None:
        moment = Moment(at_s, self.epoch, self.seq, self.venue_seq, self.fingerprint)
        self._past.append(moment)
        if self.venue_seq is not None:
            self._by_id[self.venue_seq] = moment
        self._by_fingerprint[self.fingerprint] = moment
        while self._past[0].at_s < at_s - KEPT_S:
            old = self._past.popleft()
            if old.venue_seq is not None and self._by_id.get(old.venue_seq) is old:
                del self._by_id[old.venue_seq]
            if self._by_fingerprint.get(old.fingerprint) is old:
                del self._by_fingerprint[old.fingerprint]

    def _break(self, what: str) -> None:
        self.broken.append(f"{self.name}: {what}")


def fingerprint(bids: Levels, asks: Levels) -> int:
    """Return a number that two books share only if all their levels are equal (hashes of 61 bits)."""
    return sum(hash((BID, price, size)) for price, size in bids) + sum(
        hash((ASK, price, size)) for price, size in asks
    )


def _side(levels: Levels) -> dict[float, float]:
    return {price: size for price, size in levels if size}
