"""`Consequences`: what conditions do to the markets themselves, so that every protocol shows the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.fault_requests import FaultKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from simulator.conditions import Condition, Conditions
    from simulator.exchange_book import BookChange
    from simulator.market import Market

    Pair = tuple[str, str]


class Consequences:
    """Begins and ends them; each returns the changes of books to be told.

    Attributes
    ----------
    resting
        Pairs (venue, symbol) in which nothing happens now.
    """

    def __init__(self, market: Market, conditions: Conditions) -> None:
        self.resting: Collection[Pair] = frozenset()
        self._market = market
        self._conditions = conditions
        self._emptied: dict[int, list[Pair]] = {}  # by condition, whose levels it has

    def begin(self, condition: Condition, now_ns: int) -> Iterator[BookChange]:
        """Let a condition take hold, and count the pairs it changes."""
        request, pairs = condition.request, self._concerned(condition)
        match request.kind:
            case FaultKind.ONE_SIDED:
                emptied = self._emptied[condition.id] = []
                for pair in pairs:
                    change = self._market.flow(*pair).withhold(request.side or "asks", now_ns)
                    if change is not None:  # else another one has a side of it
                        emptied.append(pair)
                        self._conditions.met(condition)
                        yield change
            case FaultKind.DRIFT:
                for pair in pairs:
                    self._market.flow(*pair).drift(
                        request.bps or 0.0, condition.ends_ns - condition.begins_ns, now_ns
                    )
                self._conditions.met(condition, len(pairs))
            case FaultKind.QUIET:
                self._conditions.met(condition, len(pairs))
        self._rest()

    def end(self, condition: Condition, now_ns: int) -> Iterator[BookChange]:
        """Let it go, wherever it had come to."""
        for pair in self._emptied.pop(condition.id, ()):
            change = self._market.flow(*pair).give_back(now_ns)
            if change is not None:
                yield change
        if condition.request.kind is FaultKind.DRIFT:
            for pair in self._concerned(condition):
                self._market.flow(*pair).stay(condition.begins_ns, now_ns)
        self._rest()

    def _concerned(self, condition: Condition) -> Sequence[Pair]:
        return [pair for pair in self._market.pairs if condition.concerns(*pair)]

    def _rest(self) -> None:
        self.resting = frozenset(pair for pair in self._market.pairs if self._conditions.is_resting(*pair))
