"""What is known of an exchange before it is asked; pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Hosts(NamedTuple):
    """Base addresses of the public endpoints: WebSocket streams and REST."""

    stream: str
    rest: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What we allow ourselves of a venue's limits on one address: half, since other programs may share it.

    Units are the venue's: request weight for REST, connection attempts for sockets.
    """

    rest_capacity: float
    rest_period_s: float
    snapshot_cost: float
    candles_cost: float
    connections: float
    connections_period_s: float


@dataclass(frozen=True, slots=True)
class Instrument:
    """One pair at one venue.

    `tick` and `min_notional` are in quote units, `lot` and `min_qty` in base units.
    """

    venue: str
    symbol: str
    tick: Decimal
    lot: Decimal
    min_qty: Decimal
    min_notional: Decimal


@dataclass(frozen=True, slots=True)
class Venue:
    """An exchange, or one of its protocols.

    Attributes
    ----------
    spell
        Its spelling of a canonical symbol.
    taker_bps, maker_bps
        Fees of the lowest tier, bps.
    table
        A row a pair: canonical symbol, tick, lot, min_qty, min_notional.
    """

    venue: str
    spell: Callable[[str], str]
    taker_bps: float
    maker_bps: float
    hosts: Hosts
    limits: Limits
    table: str = ""

    def instruments(self) -> tuple[Instrument, ...]:
        """Return the pairs of the table."""
        rows = (line.split() for line in self.table.strip().splitlines())
        return tuple(Instrument(self.venue, symbol, *map(Decimal, numbers)) for symbol, *numbers in rows)


def joined(symbol: str) -> str:
    """Return ``BTCUSDT`` for ``BTC-USDT``."""
    return symbol.replace("-", "")
