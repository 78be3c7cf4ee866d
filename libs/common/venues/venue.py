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

    Units are the venue's: request weight for REST, connection attempts for sockets. `connection_life_s` is
    the age at which it cuts a connection; None where it says nothing of one.
    """

    rest_capacity: float
    rest_period_s: float
    snapshot_cost: float
    candles_cost: float
    connections: float
    connections_period_s: float
    instrument_cost: float = 1
    connection_life_s: float | None = None


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


def own_data(symbol: str) -> str | None:  # noqa: ARG001 -- of any symbol
    """Return that the venue sends a symbol's own data."""
    return None


@dataclass(frozen=True, slots=True)
class Venue:
    """An exchange, or one of its protocols.

    Attributes
    ----------
    spell
        Its spelling of a canonical symbol.
    taker_bps, maker_bps
        Fees of the lowest tier, bps.
    probe_path
        Something small and public of its REST: what is asked to know whether it serves us.
    compressed
        Whether permessage-deflate is offered to its sockets (RFC 7692). What is small and comes at once is
        sooner read as it is.
    table
        A row a pair: canonical symbol, tick, lot, min_qty, min_notional.
    alias_of
        The canonical symbol whose data it sends to whoever asks for this one; None where it sends its own.
    aliases
        Which those are, in words.
    """

    venue: str
    spell: Callable[[str], str]
    taker_bps: float
    maker_bps: float
    hosts: Hosts
    limits: Limits
    probe_path: str
    compressed: bool = False
    table: str = ""
    alias_of: Callable[[str], str | None] = own_data
    aliases: str = ""

    def refusal(self, symbol: str) -> str | None:
        """Return why this canonical symbol has no book here, and which to ask for; None if it has one."""
        alias = self.alias_of(symbol)
        if alias is None:
            return None
        return f"{self.venue} serves {symbol} as {alias}: subscribe {self.venue}:{alias}"

    def instruments(self) -> tuple[Instrument, ...]:
        """Return the pairs of the table."""
        rows = (line.split() for line in self.table.strip().splitlines())
        return tuple(Instrument(self.venue, symbol, *map(Decimal, numbers)) for symbol, *numbers in rows)


def joined(symbol: str) -> str:
    """Return ``BTCUSDT`` for ``BTC-USDT``."""
    return symbol.replace("-", "")
