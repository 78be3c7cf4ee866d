"""`Derivatives`: perpetuals and options of one market."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.funding import Perpetuals
from simulator.options import Options

if TYPE_CHECKING:
    from simulator.latent import LatentPrices


class Derivatives:
    """Contracts on the coins of a market, as pure functions of its prices."""

    def __init__(self, latent: LatentPrices) -> None:
        self.perpetuals = Perpetuals(latent)
        self.options = Options(latent, self.perpetuals)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every canonical symbol with perpetuals."""
        return self.perpetuals.symbols

    def symbols_at(self, venue: str) -> tuple[str, ...]:
        """Return the symbols that a venue without books tells of."""
        if venue == "deribit":
            return tuple(f"{coin}-USDT" for coin in self.options.coins)
        return self.symbols
