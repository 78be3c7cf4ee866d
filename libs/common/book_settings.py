"""Settings of which books are kept, and where their venues are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import Field, field_validator

from libs.common.instruments import UnknownSymbolError, canonical_symbol
from libs.common.settings import ServiceSettings
from libs.common.venues import VENUES, UnknownVenueError, venue_of
from libs.common.venues.hosts import hosts_of

if TYPE_CHECKING:
    from libs.common.venues.venue import Hosts

DEFAULT_BOOKS: Final = ",".join(
    f"{venue}:{symbol}"
    for venue in ("binance", "bybit", "coinbase", "kraken", "okx")
    for symbol in ("BTC-USDT", "ETH-USDT", "SOL-USDT")
)


class BookSettings(ServiceSettings):
    """Which books are kept, and the hosts of their venues."""

    l2_books: str = Field(DEFAULT_BOOKS, description="venue:symbol[,venue:symbol], subscribed at every start")
    l2_hosts: str = Field(
        "",
        description="hosts of FEED=live in place of the table's: venue=wss://…|https://…[,…]; a half may be "
        "empty, for the table's; docs/l2.md, Hosts",
    )

    @field_validator("l2_books")
    @classmethod
    def _check_books(cls, value: str) -> str:
        for place, book in enumerate(value.split(","), 1):
            venue, separator, symbol = book.strip().partition(":")
            if not book:
                continue
            if not separator:
                raise ValueError(f"place {place} is not venue:symbol, like binance:BTC-USDT")
            try:
                known = venue_of(venue)
                alias = known.alias_of(canonical_symbol(symbol))
            except UnknownVenueError:
                raise ValueError(f"place {place} names no venue; known: {', '.join(VENUES)}") from None
            except UnknownSymbolError:
                raise ValueError(f"place {place} names no symbol; write it like BTC-USDT") from None
            if alias is not None:
                another = f"place {place} names a pair that {known.venue} serves as another"
                raise ValueError(f"{another}: {known.aliases}; write those")
        return value

    @field_validator("l2_hosts")
    @classmethod
    def _check_hosts(cls, value: str) -> str:
        hosts_of(value)
        return value

    def books(self) -> tuple[tuple[str, str], ...]:
        """Return (venue, canonical symbol) of every configured book."""
        pairs = (book.strip().partition(":") for book in self.l2_books.split(",") if book.strip())
        return tuple((venue, canonical_symbol(symbol)) for venue, _, symbol in pairs)

    def live_hosts(self, venue: str) -> Hosts:
        """Return the hosts of a venue with FEED=live."""
        return hosts_of(self.l2_hosts).get(venue, venue_of(venue).hosts)
