"""Sources of inputs that no topic carries; the two there are, are stubs and say so; pure.

A real one replaces a stub by implementing `Provider`, from a topic's view: no network in here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, Protocol

HOUR_NS: Final = 3_600_000_000_000


class Provider(Protocol):
    """One input by symbol and time."""

    @property
    def name(self) -> str:
        """The context field it fills."""

    @property
    def stub(self) -> bool:
        """Whether its values mean nothing."""

    def value(self, symbol: str, now: int) -> float | None:
        """Return the value at `now` (ns UTC), None if there is none."""


@dataclass(frozen=True, slots=True)
class StubProvider:
    """The same number for the same symbol and hour, uniform in [-1, 1], from a hash: it carries no news."""

    name: str
    stub: bool = True

    def value(self, symbol: str, now: int) -> float | None:
        """Return this hour's number."""
        digest = hashlib.sha256(f"{self.name}/{symbol}/{now // HOUR_NS}".encode()).digest()
        return int.from_bytes(digest[:4], "big") / (2**31) - 1.0


PROVIDERS: Final[tuple[Provider, ...]] = (StubProvider("sentiment"), StubProvider("onchain"))
