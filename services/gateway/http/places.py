"""How much of what the gateway keeps may be taken, by one address and by all; pure.

Whoever asks for more is told when to try again: 503 where all of it is taken, 429 where this address has its
share. No address is remembered for longer than it holds something.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Final, Self

from libs.common.time_units import NS_PER_S
from libs.common.token_bucket import AddressBuckets, Rate
from services.gateway.http.problems import SHARE_TAKEN, TOO_MANY, ProblemError, too_fast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from services.gateway.settings import GatewaySettings

HOUR_NS: Final = 3_600 * NS_PER_S


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
        self._held[address] = self.of(address) + amount
        if not self._held[address]:
            del self._held[address]


@dataclass(eq=False)
class Allowance:
    """Refuses what would be more than a limit, and counts what it refused."""

    name: str  # for the metrics
    what: str  # is limited: in the plural, after a number
    most: int  # there may be of it
    most_of_address: int
    _: KW_ONLY
    retry_after_s: int  # when there may be room again
    refused: Counter[str] = field(default_factory=lambda: Counter(address=0, total=0))  # by whose limit

    @classmethod
    def of(
        cls, settings: GatewaySettings, setting: str, name: str, what: str, *, retry_after_s: int = 1
    ) -> Self:
        """Return the limit that `setting` is, of which one address has `setting`_per_address."""
        most, most_of_address = getattr(settings, setting), getattr(settings, f"{setting}_per_address")
        return cls(name, what, most, most_of_address, retry_after_s=retry_after_s)

    def require(self, address: str, *held: Tally) -> None:
        """Refuse one more while `held`, together, reach the limit.

        Raises
        ------
        ProblemError
            503 if all of it is taken, 429 if this address has its share.
        """
        if sum(each.total for each in held) >= self.most:
            self.refused["total"] += 1
            detail = f"{self.most} {self.what}, the most allowed."
            raise ProblemError(TOO_MANY, detail, retry_after_s=self.retry_after_s)
        if sum(each.of(address) for each in held) >= self.most_of_address:
            self.refused["address"] += 1
            share = f"{self.most_of_address} {self.what} for {address}"
            detail = f"{share}, the most allowed to one address."
            raise ProblemError(SHARE_TAKEN, detail, retry_after_s=self.retry_after_s)


@dataclass(eq=False)
class Places(Allowance):
    """Places that are taken and given back."""

    taken: Tally = field(default_factory=Tally)

    def take(self, address: str) -> None:
        """Take a place, which `give_back` returns; raises what `require` raises."""
        self.require(address, self.taken)
        self.taken.add(address, 1)

    def give_back(self, address: str) -> None:
        """Return a place that was taken."""
        self.taken.add(address, -1)

    @contextmanager
    def held(self, address: str) -> Iterator[None]:
        """Hold a place; raises what `require` raises."""
        self.take(address)
        try:
            yield
        finally:
            self.give_back(address)


@dataclass(eq=False)
class Room:
    """Bytes that wait for slow clients, beyond the little that each may let wait in any case."""

    most: int
    most_of_address: int
    waiting: Tally = field(default_factory=Tally)

    def fits(self, address: str, size: int) -> bool:
        """Tell whether `size` bytes more may wait for this address."""
        waiting = self.waiting
        return waiting.total + size <= self.most and waiting.of(address) + size <= self.most_of_address


class NewNames:
    """Bounds how many scopes of the router, or policies from outside, one address may name first.

    Each begins with its first message, and what is kept of it stays. Its service bounds how many there are in
    all; this bounds what one address makes of them, so that it pushes out none of others.

    Parameters
    ----------
    setting
        "scopes" or "new_policies": what its settings begin with.
    known
        Tells whether there is one of this name already.
    clock
        ns that do not go back.
    """

    def __init__(
        self, settings: GatewaySettings, setting: str, known: Callable[[str], bool], clock: Callable[[], int]
    ) -> None:
        self._what = setting.removeprefix("new_")
        self._known = known
        self._clock = clock
        per_hour, burst = getattr(settings, f"{setting}_per_hour"), getattr(settings, f"{setting}_burst")
        rate = Rate(per_hour, burst, HOUR_NS)
        self._addresses = AddressBuckets(rate, settings.write_max_addresses)
        self.refused = 0  # since the start

    def require(self, name: str, address: str) -> None:
        """Refuse a name that is new, once this address has named its share of new ones.

        Raises
        ------
        ProblemError
            429 with when it may name one more.
        """
        if self._known(name):
            return
        if wait_ns := self._addresses.take(address, self._clock()):
            self.refused += 1
            detail = f"{address} has named too many new {self._what}: use one that there is, or wait."
            raise too_fast(detail, wait_ns)
