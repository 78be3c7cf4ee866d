"""Binance's public archives: what they have in common. CSV in a zip or plain, with or without a head.

Spot files had no head, those of futures have one. Times are milliseconds, and microseconds in spot files
since 2025: each is told by its size. Nothing says when a row came out of a socket: `received_ts` is the
venue's own time, so these have no latency in them.

Which market a file is of is said by its path (``.../futures/um/...``), else by its head or its number of
columns; COIN-margined contracts are refused, as their sizes are contracts and not base units.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from libs.common.instruments import UnknownSymbolError, canonical_symbol
from libs.history.formats.format import UnreadableSourceError
from libs.history.formats.lines import bare, head_of
from libs.history.formats.table import read_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from libs.history.columns import Bools, Ints
    from libs.history.faults import FaultKind, FaultReport
    from libs.history.formats.table import Kind, Table

_HEAD: Final = re.compile(rb"[A-Za-z_ ,]+")
SPOT: Final = "binance"
FUTURES: Final = "binance-usdm"


class Named(NamedTuple):
    """What a file's name says."""

    symbol: str  # as Binance spells it
    what: str  # aggTrades, bookTicker, bookDepth or the length of a candle


def named(path: Path) -> Named | None:
    """Return what a name like ``BTCUSDT-aggTrades-2024-01-01.zip`` says; None if it is none."""
    found = re.fullmatch(r"([A-Z0-9_]+)-(\w+)-\d{4}-\d{2}(-\d{2})?\.(zip|csv|csv\.gz)", path.name)
    return None if found is None else Named(found[1], found[2])


def columns_of(path: Path) -> int:
    """Return how many columns a file's first line has."""
    return head_of(path).partition(b"\n")[0].count(b",") + 1


def has_head(path: Path) -> bool:
    """Return whether a file begins with the names of its columns."""
    return _HEAD.fullmatch(bare(head_of(path).partition(b"\n")[0])) is not None


def market_of(path: Path, *, futures: bool) -> tuple[str, str]:
    """Return a file's venue and canonical symbol.

    Parameters
    ----------
    futures
        Whether it is of futures where its path does not say.

    Raises
    ------
    UnreadableSourceError
        If its name names no symbol, or one whose sizes are contracts.
    """
    said = named(path)
    if said is None:
        raise UnreadableSourceError(
            f"{path.name} should be called as in the archive, like BTCUSDT-aggTrades-2024-01-01.zip"
        )
    if "cm" in path.parts or "_" in said.symbol:
        raise UnreadableSourceError(
            f"{path.name} is of COIN-margined contracts or of dated ones; spot and USD-margined perpetuals"
            " can be read"
        )
    if "um" in path.parts or "spot" in path.parts:
        futures = "um" in path.parts
    try:
        return (FUTURES if futures else SPOT), canonical_symbol(said.symbol)
    except UnknownSymbolError as error:
        raise UnreadableSourceError(f"{path.name}: {error}") from None


def tables(path: Path, kinds: Mapping[str, Kind], faults: FaultReport, ahead: int = 0) -> Iterator[Table]:
    """Yield a file's rows that can be read, as `read_tables` does."""
    return read_tables(path, kinds, faults, lambda line: _HEAD.fullmatch(bare(line)) is not None, ahead)


class Notes:
    """Tells the faults of one file's rows, and that they are left out."""

    def __init__(self, path: Path, faults: FaultReport) -> None:
        self._path, self._faults = path, faults

    def tell(self, kind: FaultKind, rows: Ints, ts: Ints, which: Bools, what: str) -> None:
        """Note a fault for each of some rows; `ts` in ns, 0 where a row has none."""
        for row, at in zip(rows[which].tolist(), ts[which].tolist(), strict=True):
            self._faults.note(kind, self._path.name, row, at or None, f"{what}; the row is left out")

    def one(self, kind: FaultKind, row: int, ts: int, what: str) -> None:
        """Note one fault."""
        self._faults.note(kind, self._path.name, row, ts, what)
