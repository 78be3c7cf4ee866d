"""Faults of a client itself: what it does wrong whatever the exchange, and where that can be read.

A run fails when a client is not equal and no fault here says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class KnownFault:
    """A fault of a client at a venue."""

    says: str  # that it says or shows, as a regular expression; of anything else the run fails
    why: str  # and the evidence


KNOWN: Final[Mapping[tuple[str, str], KnownFault]] = {
    ("ccxt.pro", "kraken"): KnownFault(
        says="'float' object has no attribute 'split'",
        why="its check of Kraken's checksum cannot work in Python: `format_number` "
        "(ccxt/pro/kraken.py of 4.5.90) splits a text and is given the floats of the book. It is "
        "asked with one here, and says so; the check is off, as it is by default",
    ),
    ("cryptofeed", "okx"): KnownFault(
        says="BadChecksum",
        why="its `checksum_validation` (cryptofeed/exchanges/okx.py of 2.4.1) wants a CRC32 in a "
        "field that OKX has sent as 0 since 2026-06-23 (okx.com/docs-v5, changelog), so the check"
        " is off; it looks at no seqId",
    ),
    ("cryptofeed", "coinbase"): KnownFault(
        says=r"^[A-Z]+-USDT: (ask \d+ is|\d+ of \d+ asks)|best bid .* >= best ask",
        why="it drops every ask of a snapshot: `_pair_level2_snapshot` "
        "(cryptofeed/exchanges/coinbase.py of 2.4.1) looks for the side `ask`, and Coinbase "
        "writes `offer` (docs.cdp.coinbase.com, level2); its asks are those that changed since. "
        "It asks for the products by a route of accounts, which is replaced by the public one",
    ),
}
