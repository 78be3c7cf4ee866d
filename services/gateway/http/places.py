"""How much of what the gateway keeps may be taken, by one address and by all; pure.

Whoever asks for more is told when to try again: 503 where all of it is taken, 429 where this address has its
share. No address is remembered for longer than it holds something.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.gateway.http.problems import SHARE_TAKEN, TOO_MANY, ProblemError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Limit:
    """The most there may be of something."""

    what: str  # in the plural, after a number
    most: int
    most_of_address: int
    retry_after_s: int  # when there may be room again


class Tally:
    """How much of something each address holds."""

    def __init__(self) -> None:
        self.total = 0
        self._held: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._held)

    def of(self, address: str) -> int:
        """Return how much this address holds."""
        return self._held.get(address, 0)

    def add(self, address: str, amount: int) -> None:
        """Let an address hold `amount` more, or less if it is negative."""
        self.total += amount
        held = self.of(address) + amount
        if held:
            self._held[address] = held
        else:
            self._held.pop(address, None)


class Allowance:
    """Refuses what would be more than a limit, and counts what it refused.

    Parameters
    ----------
    name
        For the metrics.
    """

    def __init__(self, name: str, limit: Limit) -> None:
        self.name = name
        self.refused = {"address": 0, "total": 0}  # since the start, by whose limit
        self._limit = limit

    def require(self, address: str, *held: Tally) -> None:
        """Refuse one more while `held`, together, reach the limit.

        Raises
        ------
        ProblemError
            503 if all of it is taken, 429 if this address has its share.
        """
        limit = self._limit
        if sum(each.total for each in held) >= limit.most:
            self.refused["total"] += 1
            detail = f"{limit.most} {limit.what}, the most allowed."
            raise ProblemError(TOO_MANY, detail, retry_after_s=limit.retry_after_s)
        if sum(each.of(address) for each in held) >= limit.most_of_address:
            self.refused["address"] += 1
            detail = f"{limit.most_of_address} {limit.what} for {address}, the most allowed to one address."
            raise ProblemError(SHARE_TAKEN, detail, retry_after_s=limit.retry_after_s)


class Room:
    """Bytes that wait for slow clients, beyond the little that each may let wait in any case."""

    def __init__(self, most: int, most_of_address: int) -> None:
        self.waiting = Tally()
        self._most = most
        self._most_of_address = most_of_address

    def fits(self, address: str, size: int) -> bool:
        """Tell whether `size` bytes more may wait for this address."""
        waiting = self.waiting
        return waiting.total + size <= self._most and waiting.of(address) + size <= self._most_of_address


class Places:
    """Places that are taken and given back."""

    def __init__(self, name: str, limit: Limit) -> None:
        self.allowance = Allowance(name, limit)
        self.taken = Tally()

    def take(self, address: str) -> None:
        """Take a place, which `give_back` returns.

        Raises
        ------
        ProblemError
            503 if all are taken, 429 if this address has its share.
        """
        self.allowance.require(address, self.taken)
        self.taken.add(address, 1)

    def give_back(self, address: str) -> None:
        """Return a place that was taken."""
        self.taken.add(address, -1)

    @contextmanager
    def held(self, address: str) -> Iterator[None]:
        """Hold a place; raises what `take` raises."""
        self.take(address)
        try:
            yield
        finally:
            self.give_back(address)
