"""Where history stands in a folder, and what every column says.

::

    FOLDER/VENUE/SYMBOL/DATE/book.parquet      every message of a book        (a row a message)
    FOLDER/VENUE/SYMBOL/DATE/trades.parquet    public trades                  (a row a trade)
    FOLDER/VENUE/SYMBOL/DATE/candles.parquet   closed candles                 (a row a candle)
    FOLDER/topics/TOPIC/DATE.parquet           the records of any other topic (a row a record)

Dates are UTC: of `received_ts`, of a candle's `open_ts`, of a record's `ts`. A row that comes late by the
clock stays behind the row that it came after, be that in the next day. Times are int64, ns since 1970 UTC.
Every field is that of the event of its name in ``libs/common/events.py``; these are added or differ:

=========  ==============  ===================================================================================
file       column          says
=========  ==============  ===================================================================================
book       type            ``BookSnapshot`` or ``BookDelta``
book       repeated        the writer added the row, so that reading may begin there: it shows the book as of
                           the row before, whose `seq` and `received_ts` it has
book       reason, owner   of snapshots; null in deltas
book       bids, asks      lists of {price, size}; in a delta a size of 0 deletes the level
topics     ts              the record's Kafka timestamp, ns
topics     partition,      where it stood
           offset
topics     key, headers    as they were; headers are a list of {name, value}
topics     type            of the message; null for tombstones and bytes that are no message
topics     message         the message as JSON text, with its ``type``; null for the same
topics     value           the bytes themselves where `message` does not give every one of them back (a newer
                           writer's fields, bytes that are no message); both null: a tombstone
=========  ==============  ===================================================================================

Prices and sizes are decimals with as many digits as the file needs, if every float64 in it is the nearest one
to such a decimal below 2^53 units; else they are doubles. Either way they come back as the bits they were. As
files differ in their digits, other readers unite their types (`docs/history.md`).

Each row group of a book begins with a whole book, except where the deltas before the first snapshot, or
after a hole, leave it unknown. A keyframe that a stream repeats says nothing that its deltas did not: it is
left out where it shows the book that they gave.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

import pyarrow as pa

from libs.common.time_units import DAY_NS, NS_PER_S
from libs.history.errors import HistoryError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from libs.common.events import BookDelta, BookSnapshot, Candle, Trade

Kind: TypeAlias = Literal["book", "trades", "candles"]

KINDS: Final[tuple[Kind, ...]] = ("book", "trades", "candles")
TOPICS_FOLDER: Final = "topics"
SUFFIX: Final = ".parquet"
_VENUE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_SYMBOL: Final = re.compile(r"[A-Z0-9]{1,20}-[A-Z0-9]{1,20}")
_TIMES: Final = ("received_ts", "venue_ts", "open_ts")
_COUNTS: Final = ("epoch", "seq", "venue_seq", "trades")
_INT64: Final = 2**63
LAST_TS: Final = 7_258_118_400 * NS_PER_S  # the beginning of 2200
_TOPIC: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")


class Digits(NamedTuple):
    """Decimal places of a file's prices and sizes; None: its numbers are doubles."""

    price: int | None
    size: int | None


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


def number_type(digits: int | None) -> pa.DataType:
    """Return the type of a column of numbers."""
    return pa.float64() if digits is None else pa.decimal128(18, digits)


def _levels(digits: Digits) -> pa.DataType:
    fields = [_required("price", number_type(digits.price)), _required("size", number_type(digits.size))]
    return pa.list_(_required("element", pa.struct(fields)))


def book_schema(digits: Digits) -> pa.Schema:
    """Return the columns of a book's day."""
    return pa.schema(
        [
            _required("type", pa.string()),
            _required("venue", pa.string()),
            _required("symbol", pa.string()),
            _required("epoch", pa.int64()),
            _required("seq", pa.int64()),
            pa.field("venue_seq", pa.int64()),
            pa.field("venue_ts", pa.int64()),
            _required("received_ts", pa.int64()),
            pa.field("reason", pa.string()),
            pa.field("owner", pa.string()),
            _required("repeated", pa.bool_()),
            _required("bids", _levels(digits)),
            _required("asks", _levels(digits)),
        ]
    )


def trades_schema(digits: Digits) -> pa.Schema:
    """Return the columns of a day of trades."""
    return pa.schema(
        [
            _required("venue", pa.string()),
            _required("symbol", pa.string()),
            _required("trade_id", pa.string()),
            _required("price", number_type(digits.price)),
            _required("size", number_type(digits.size)),
            _required("side", pa.string()),
            _required("venue_ts", pa.int64()),
            _required("received_ts", pa.int64()),
        ]
    )


def candles_schema(_digits: Digits) -> pa.Schema:
    """Return the columns of a day of candles; there are too few to be worth decimals."""
    return pa.schema(
        [
            _required("venue", pa.string()),
            _required("symbol", pa.string()),
            _required("interval", pa.string()),
            _required("open_ts", pa.int64()),
            *(_required(name, pa.float64()) for name in ("open", "high", "low", "close", "volume")),
            _required("trades", pa.int64()),
            _required("closed", pa.bool_()),
        ]
    )


TOPIC_SCHEMA: Final = pa.schema(
    [
        _required("ts", pa.int64()),
        _required("partition", pa.int32()),
        _required("offset", pa.int64()),
        _required("key", pa.binary()),
        pa.field("type", pa.string()),
        pa.field("message", pa.string()),
        pa.field("value", pa.binary()),
        _required(
            "headers",
            pa.list_(
                _required(
                    "element", pa.struct([_required("name", pa.string()), _required("value", pa.binary())])
                )
            ),
        ),
    ]
)


class BookFolder(NamedTuple):
    """The folder of a venue's symbol."""

    venue: str
    symbol: str


def date_of(ts: int) -> str:
    """Return the UTC date of a time (ns)."""
    return datetime.fromtimestamp(ts // DAY_NS * DAY_NS // NS_PER_S, UTC).date().isoformat()


def day_of(named: str) -> int:
    """Return the number of a date's day since 1970."""
    return date.fromisoformat(named).toordinal() - date(1970, 1, 1).toordinal()


def day_path(root: Path, venue: str, symbol: str, ts: int, kind: Kind) -> Path:
    """Return the file of the day of a time (ns).

    Raises
    ------
    HistoryError
        If venue or symbol are not what a folder is called.
    """
    if not (_VENUE.fullmatch(venue) and _SYMBOL.fullmatch(symbol)):
        raise HistoryError(f"{venue[:60]!r} {symbol[:60]!r} is no book; one is like binance BTC-USDT")
    return root / venue / symbol / date_of(ts) / f"{kind}{SUFFIX}"


def unfit(event: BookSnapshot | BookDelta | Trade | Candle) -> str | None:
    """Return why a message from outside cannot stand in a file of the layout; None if it can."""
    if not _VENUE.fullmatch(event.venue):
        return f"{event.venue[:60]!r} is no venue; an id is like binance: a-z, 0-9 and -"
    if not _SYMBOL.fullmatch(event.symbol):
        return f"{event.symbol[:60]!r} is no symbol; canonical ones are like BTC-USDT"
    for name in _TIMES:
        ts = getattr(event, name, 0) or 0
        if not 0 <= ts <= LAST_TS:
            return f"{name} {ts} lies outside 1970 to 2200"
    for name in _COUNTS:
        if not -_INT64 <= (getattr(event, name, 0) or 0) < _INT64:
            return f"{name} {getattr(event, name)} is no int64"
    return None


def topic_path(root: Path, topic: str, ts: int) -> Path:
    """Return the file of a topic's day; raises HistoryError if it is no name of a topic."""
    if not _TOPIC.fullmatch(topic):
        raise HistoryError(f"{topic[:60]!r} is no topic; their names are like policies.signals.v1")
    return root / TOPICS_FOLDER / topic / f"{date_of(ts)}{SUFFIX}"


def book_folders(root: Path) -> list[BookFolder]:
    """Return the books of a folder, by name.

    Raises
    ------
    HistoryError
        If there is no such folder, or something in it is called as nothing of the layout is.
    """
    _check_folder(root)
    found = []
    for venue in _folders(root):
        if venue.name == TOPICS_FOLDER:
            continue
        _check(venue, _VENUE, "a venue's id like binance")
        for symbol in _folders(venue):
            _check(symbol, _SYMBOL, "a canonical symbol like BTC-USDT")
            found.append(BookFolder(venue.name, symbol.name))
    return found


def days_of(root: Path, book: BookFolder, kind: Kind) -> Mapping[int, Path]:
    """Return the files of a book by their day (since 1970), the oldest first; raises HistoryError."""
    found = {}
    for folder in _folders(root / book.venue / book.symbol):
        path = folder / f"{kind}{SUFFIX}"
        if path.exists():
            found[_day_named(folder, folder.name)] = path
    return found


def topic_days(root: Path, topic: str) -> Mapping[int, Path]:
    """Return the files of a topic by their day (since 1970), the oldest first; raises HistoryError."""
    _check_folder(root)
    folder = root / TOPICS_FOLDER / topic
    if not folder.is_dir():
        return {}
    return {
        _day_named(path, path.name.removesuffix(SUFFIX)): path for path in sorted(folder.glob(f"*{SUFFIX}"))
    }


def _check_folder(root: Path) -> None:
    if not root.is_dir():
        raise HistoryError(f"there is no folder {root}; `bookrunner history import` or `export` makes one")


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise HistoryError(f"there is no folder {folder}")
    return sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))


def _check(folder: Path, pattern: re.Pattern[str], right: str) -> None:
    if not pattern.fullmatch(folder.name):
        raise HistoryError(
            f"the folder {folder} should be called {right}; is {folder.parent} one of history?"
        )


def _day_named(path: Path, named: str) -> int:
    try:
        return day_of(named)
    except ValueError:
        raise HistoryError(f"{path} should be called by a date like 2026-08-24") from None
