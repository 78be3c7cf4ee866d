"""Tardis.dev's downloadable CSV files: ``incremental_book_L2`` and ``trades``, plain or gzipped.

Of a book they give each change of a level with the venue's time and that of the recorder's socket, so what
comes out is a book as `l2` would have kept it, with its real latencies. They carry no sequence number and no
checksum: a loss is seen only where the recorder connected anew (a snapshot in the middle of a file), where
the book crosses, or where a venue that tells of each level deletes one that is not there.

Rows of one message have the same two times; messages of the same microsecond cannot be told apart and are
one. A message whose row is unreadable, and its neighbour where the row has no time that says whose it is, are
not used. Of trades the aggressor must be known: a side ``unknown`` is a fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from libs.common.instruments import UnknownSymbolError, canonical_symbol, kraken_v1_symbol
from libs.history.columns import TradeColumns
from libs.history.faults import FaultKind
from libs.history.formats.continuity import UNTIL_SNAPSHOT, Follower, Messages
from libs.history.formats.format import UnreadableSourceError
from libs.history.formats.lines import head_of, names_of
from libs.history.formats.sequence import AHEAD, out_of_order
from libs.history.formats.stamps import LATEST_TS, NS_PER_US, are_times
from libs.history.formats.table import LEFT_OUT, is_amount, read_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from libs.history.columns import BookColumns, Bools, Columns, Floats, Ints
    from libs.history.faults import FaultReport
    from libs.history.formats.table import Kind, Table

_BOOK: Final[Mapping[str, Kind]] = {
    "exchange": "word",
    "symbol": "word",
    "timestamp": "int",
    "local_timestamp": "int",
    "is_snapshot": "bool",
    "side": "word",
    "price": "float",
    "amount": "float",
}
_TRADES: Final[Mapping[str, Kind]] = {
    "exchange": "word",
    "symbol": "word",
    "timestamp": "int",
    "local_timestamp": "int",
    "id": "text",
    "side": "word",
    "price": "float",
    "amount": "float",
}
HEADS: Final[Mapping[str, str]] = {"tardis-book": ",".join(_BOOK), "tardis-trades": ",".join(_TRADES)}
LOST: Final = f"{LEFT_OUT}; {UNTIL_SNAPSHOT}"
# Its names of the markets whose sizes are base units; others are of contracts, or of venues not known here.
_VENUES: Final[Mapping[str, str]] = {
    "binance": "binance",
    "binance-futures": "binance-usdm",
    "bitstamp": "bitstamp",
    "bybit-spot": "bybit",
    "coinbase": "coinbase",
    "kraken": "kraken",
    "okex": "okx",
}
_TELL_EACH: Final = frozenset({"bybit", "kraken"})  # venues whose deletes all meet a level


class _Market(NamedTuple):
    exchange: str  # both as the file spells them
    symbol: str


class TardisBooks:
    """``incremental_book_L2``."""

    name = "tardis-book"

    def fits(self, path: Path) -> bool:
        """Return whether a file begins with the names of its columns."""
        return sorted(_head(path)) == sorted(_BOOK)

    def columns(self, paths: Sequence[Path], faults: FaultReport) -> Iterator[Columns]:
        """Yield stretches of books."""
        followers: dict[_Market, Follower] = {}
        for path in sorted(paths):
            yield from _Books(path, followers, faults).read()


class TardisTrades:
    """``trades``."""

    name = "tardis-trades"

    def fits(self, path: Path) -> bool:
        """Return whether a file begins with the names of its columns."""
        return sorted(_head(path)) == sorted(_TRADES)

    def columns(self, paths: Sequence[Path], faults: FaultReport) -> Iterator[Columns]:
        """Yield stretches of trades."""
        for path in sorted(paths):
            yield from _Trades(path, faults).read()


def _head(path: Path) -> list[str]:
    return names_of(head_of(path).partition(b"\n")[0])


def _tables(
    path: Path, kinds: Mapping[str, Kind], faults: FaultReport, ahead: int = 0, lost: str = LEFT_OUT
) -> Iterator[Table]:
    def is_head(line: bytes) -> bool:
        names = names_of(line)
        if sorted(names) != sorted(kinds):
            raise UnreadableSourceError(
                f"{path.name}: the head is {','.join(names)[:200]!r}; it should be {','.join(kinds)}"
            )
        return True

    return read_tables(path, kinds, faults, is_head, ahead, lost)


def _market_of(path: Path, table: Table) -> _Market:
    """Return the one market of a file's rows."""
    (_, exchanges), (_, symbols) = table.words("exchange"), table.words("symbol")
    if len(exchanges) > 1:
        raise _several(path, *exchanges[:2])
    if len(symbols) > 1:
        raise _several(path, *symbols[:2])
    return _Market(exchanges[0], symbols[0])


def _ours(path: Path, market: _Market) -> tuple[str, str]:
    """Return a market's venue and canonical symbol."""
    venue = _VENUES.get(market.exchange)
    if venue is None:
        raise UnreadableSourceError(
            f"{path.name} is of {market.exchange[:40]!r}; those that can be read are {', '.join(_VENUES)}"
        )
    try:
        symbol = (kraken_v1_symbol if venue == "kraken" else canonical_symbol)(market.symbol)
    except UnknownSymbolError as error:
        raise UnreadableSourceError(f"{path.name}: {error}") from None
    return venue, symbol


class _Rows(NamedTuple):
    """Changes of levels whose times are known, in the order of the file."""

    row: Ints
    after_lost: Bools  # whether rows without a time stand before it
    wrong: Bools  # whether its values cannot be used
    timestamp: Ints  # us, as the next
    local: Ints
    snapshot: Bools
    is_bid: Bools
    price: Floats
    size: Floats

    def only(self, kept: Bools | slice) -> _Rows:
        """Return some of them."""
        columns: tuple[Any, ...] = self
        return _Rows(*(column[kept] for column in columns))


class _Books:
    """One file of a book; changes in place."""

    def __init__(self, path: Path, followers: dict[_Market, Follower], faults: FaultReport) -> None:
        self._path, self._faults, self._followers = path, faults, followers
        self._market: _Market | None = None
        self._rest: _Rows | None = None  # of the last message, which may go on
        self._floor = 0  # local time of what was judged, us
        self._row = 0  # the last one that has a time

    def read(self) -> Iterator[BookColumns]:
        """Yield the book in stretches."""
        lost = False
        for table in _tables(self._path, _BOOK, self._faults, lost=LOST):
            lost = not len(table.rows) or int(table.rows[-1]) != table.last
            if len(table.rows):
                rows = self._rows(table)
                lost |= not len(rows.row) or int(rows.row[-1]) != table.last
                yield from self._follow(self._without_repeated(rows), whole=False)
        if self._rest is not None:
            self._rest.wrong[:] |= lost
            yield from self._follow(self._rest, whole=True)

    def _rows(self, table: Table) -> _Rows:
        """Return the rows of a block that have times; tell of values that cannot be."""
        self._take_market(_market_of(self._path, table))
        codes, words = table.words("side")
        side = np.array([{"bid": 1, "ask": 0}.get(word, -1) for word in words])[codes]
        timestamp, local = table.numbers("timestamp"), table.numbers("local_timestamp")
        timed = are_times(timestamp, NS_PER_US) & are_times(local, NS_PER_US)
        price, size = table.numbers("price"), table.numbers("amount")
        wrong = (side < 0) | ~is_amount(price, positive=True) | ~is_amount(size)
        self._note(FaultKind.UNREADABLE, table.rows[~timed], f"a time that cannot be; {LOST}")
        bad = timed & wrong
        what = f"a side, price or amount that cannot be; {UNTIL_SNAPSHOT}"
        self._note(FaultKind.UNREADABLE, table.rows[bad], what, local[bad])
        row = table.rows[timed]
        lost = np.diff(row, prepend=self._row) > 1
        self._row = int(row[-1]) if len(row) else self._row
        snapshot, is_bid = table.numbers("is_snapshot"), side == 1
        return _Rows(
            row,
            lost,
            wrong[timed],
            timestamp[timed],
            local[timed],
            snapshot[timed],
            is_bid[timed],
            price[timed],
            size[timed],
        )

    def _without_repeated(self, rows: _Rows) -> _Rows:
        """Return them behind the rest of the block before, each once."""
        fresh = 1
        if self._rest is not None:
            fresh = len(self._rest.row)
            rows = _Rows(*(np.concatenate(pair) for pair in zip(self._rest, rows, strict=True)))
        same = ~rows.after_lost
        same[:fresh] = False
        for column in rows[2:]:
            same[1:] &= column[1:] == column[:-1]
        self._note(
            FaultKind.DUPLICATE, rows.row[same], "equal to the row before, and left out", rows.local[same]
        )
        return rows.only(~same) if same.any() else rows

    def _follow(self, rows: _Rows, *, whole: bool) -> Iterator[BookColumns]:
        """Yield the book after all messages, or after all but the last, which may go on and is kept."""
        if not len(rows.row):
            return
        starts = _starts(rows)
        back = out_of_order(rows.local[starts], self._floor)
        broken = _broken(rows, starts, back)
        if not whole:
            self._rest = rows.only(slice(int(starts[-1]), None))
            self._rest.wrong[:] |= broken[-1]
            rows = rows.only(slice(0, int(starts[-1])))
            starts, back, broken = starts[:-1], back[:-1], broken[:-1]
        if len(starts):
            self._floor = max(self._floor, int(rows.local[starts][~back].max(initial=0)))
            what = f"its local_timestamp lies before its time; {UNTIL_SNAPSHOT}"
            self._note(FaultKind.ORDER, rows.row[starts][back], what, rows.local[starts][back])
            assert self._market is not None  # noqa: S101 -- there are rows
            yield self._followers[self._market].follow(_messages(rows, starts, broken))

    def _take_market(self, market: _Market) -> None:
        if self._market is None:
            self._market = market
            if market not in self._followers:
                venue, symbol = _ours(self._path, market)
                follower = Follower(venue, symbol, self._faults, tells_each=venue in _TELL_EACH)
                self._followers[market] = follower
            self._followers[market].begin(self._path.name)
        elif market != self._market:
            raise _several(self._path, self._market.symbol, market.symbol)

    def _note(self, kind: FaultKind, rows: Ints, what: str, local: Ints | None = None) -> None:
        _note(self._faults, self._path, kind, rows, what, local)


def _starts(rows: _Rows) -> Ints:
    """Return the first row of each message."""
    begins = np.ones(len(rows.row), bool)
    begins[1:] = np.diff(rows.timestamp) != 0
    begins[1:] |= np.diff(rows.local) != 0
    begins[1:] |= rows.snapshot[1:] != rows.snapshot[:-1]
    return np.flatnonzero(begins)


def _broken(rows: _Rows, starts: Ints, back: Bools) -> Bools:
    """Return which messages cannot be used.

    Those with a wrong value; those before their time, or beside a row without a time, and their neighbours:
    nobody knows which message the row belongs to.
    """
    inside = np.logical_or.reduceat(rows.wrong | rows.after_lost, starts)
    doubt = rows.after_lost[starts] | back
    broken = inside | back
    broken[:-1] |= doubt[1:]
    broken[1:] |= back[:-1]
    return broken


def _messages(rows: _Rows, starts: Ints, broken: Bools) -> Messages:
    return Messages(
        row=rows.row[starts],
        snapshot=rows.snapshot[starts],
        broken=broken,
        venue_ts=rows.timestamp[starts] * NS_PER_US,
        received_ts=rows.local[starts] * NS_PER_US,
        venue_seq=None,
        first=np.append(starts, len(rows.row)),
        is_bid=rows.is_bid,
        price=rows.price,
        size=rows.size,
    )


class _Trades:
    """One file of trades; changes in place."""

    def __init__(self, path: Path, faults: FaultReport) -> None:
        self._path, self._faults = path, faults
        self._market: _Market | None = None
        self._ours = ("", "")
        self._floor = 0  # local time of what was read, us
        self._last_id: str | None = None

    def read(self) -> Iterator[TradeColumns]:
        """Yield the trades in stretches."""
        for table in _tables(self._path, _TRADES, self._faults, AHEAD):
            if len(table.rows):
                yield self._trades(table)

    def _trades(self, table: Table) -> TradeColumns:
        market = _market_of(self._path, table)
        if self._market is None:
            self._market, self._ours = market, _ours(self._path, market)
        elif market != self._market:
            raise _several(self._path, self._market.symbol, market.symbol)
        codes, words = table.words("side")
        side = np.array([{"buy": 1, "sell": 0}.get(word, -1) for word in words])[codes]
        timestamp, local = table.numbers("timestamp"), table.numbers("local_timestamp")
        price, size = table.numbers("price"), table.numbers("amount")
        timed = are_times(timestamp, NS_PER_US) & are_times(local, NS_PER_US)
        good = timed & (side >= 0) & is_amount(price, positive=True) & is_amount(size)
        self._note(FaultKind.UNREADABLE, table, ~good, "a time, side, price or amount that cannot be")
        ids = table.columns["id"].to_numpy(zero_copy_only=False)
        back = np.zeros(len(good), bool)
        back[good] = out_of_order(local[good], self._floor)
        self._note(FaultKind.ORDER, table, back, "its local_timestamp lies before its time")
        good &= ~back & table.sure
        repeated = self._repeated(ids, good)
        self._note(FaultKind.DUPLICATE, table, repeated, "the id of the trade before it")
        good &= ~repeated
        self._floor = int(local[good].max(initial=self._floor))
        venue, symbol = self._ours
        return TradeColumns(
            venue=venue,
            symbol=symbol,
            trade_id=ids[good],
            price=price[good],
            size=size[good],
            is_buy=side[good] == 1,
            venue_ts=timestamp[good] * NS_PER_US,
            received_ts=local[good] * NS_PER_US,
        )

    def _repeated(self, ids: NDArray[np.object_], good: Bools) -> Bools:
        """Return which good trades have the id of the good one before them; an empty id is none."""
        known = ids[good]
        same = np.empty(len(known), bool)
        same[1:] = known[1:] == known[:-1]
        same[:1] = known[:1] == self._last_id
        same &= known != ""
        self._last_id = known[-1] if len(known) else self._last_id
        repeated = np.zeros(len(ids), bool)
        repeated[good] = same
        return repeated

    def _note(self, kind: FaultKind, table: Table, which: Bools, what: str) -> None:
        which = which & table.sure
        local = table.numbers("local_timestamp")[which]
        _note(self._faults, self._path, kind, table.rows[which], f"{what}; the row is left out", local)


def _several(path: Path, one: str, other: str) -> UnreadableSourceError:
    return UnreadableSourceError(
        f"{path.name} holds several markets ({one[:40]}, {other[:40]}); a file of one symbol can be read"
    )


def _note(
    faults: FaultReport, path: Path, kind: FaultKind, rows: Ints, what: str, local: Ints | None = None
) -> None:
    times = [None] * len(rows) if local is None else [_ts_of(each) for each in local.tolist()]
    for row, ts in zip(rows.tolist(), times, strict=True):
        faults.note(kind, path.name, row, ts, what)


def _ts_of(local: int) -> int | None:
    """Return a time in ns, None if it is none."""
    return local * NS_PER_US if 0 < local < LATEST_TS // NS_PER_US else None
