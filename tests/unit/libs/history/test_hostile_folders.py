from __future__ import annotations

import resource
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from libs.history.errors import HistoryError
from libs.history.faults import FaultReport
from libs.history.layout import BookFolder, book_folders, day_path, days_of
from libs.history.reader import read_book, read_candles, read_trades
from libs.history.writer import DayWriter
from tests.history_market import MIDNIGHT, SYMBOL, VENUE, a_market, candles_of, trades_of, without_keyframes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from libs.history.layout import Kind
    from tests.history_market import Told

BOOK = BookFolder(VENUE, SYMBOL)
READ = {"book": read_book, "trades": read_trades, "candles": read_candles}
# A writer that says when a day is done and it is in the middle of the next, and then never ends by itself.
KILLED = """
import sys, time
from pathlib import Path
from libs.history.faults import FaultReport
from libs.history.writer import DayWriter
from tests.history_market import a_market, trades_of
told = a_market()
with DayWriter(Path(sys.argv[1]), FaultReport(), source="a test") as days:
    for event in (*told.events, *trades_of(told)):
        days.write(event)
    print("in the middle", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    told = a_market(100, begin=MIDNIGHT)
    with DayWriter(tmp_path, FaultReport(), source="a test") as days:
        for event in (*told.events, *trades_of(told), *candles_of(MIDNIGHT, 3)):
            days.write(event)
    return tmp_path


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_text("price,size\n1,2\n" * 100)


def _garbled(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[10:200] = bytes(190)
    path.write_bytes(whole)


def _other_columns(path: Path) -> None:
    pq.write_table(pa.table({"price": [1.0]}), path)


def _other_type(path: Path) -> None:
    table = pq.read_table(path)
    at = table.schema.get_field_index("symbol")
    pq.write_table(table.set_column(at, "symbol", pa.array([1] * len(table))), path)


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let no file grow above 500 bytes, which a full disk does not either."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
def test_a_day_that_does_not_fit_is_named_and_leaves_no_file(tmp_path: Path) -> None:
    def write() -> None:
        with DayWriter(tmp_path, FaultReport(), source="a test") as days:
            for event in a_market(100, begin=MIDNIGHT).events:
                days.write(event)

    with pytest.raises(HistoryError, match=r"book\.parquet cannot be written: File too large"):
        write()
    assert not [each for each in tmp_path.rglob("*") if each.is_file()]


@pytest.mark.parametrize("kind", ["book", "trades", "candles"])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_cut, "cannot be read as Parquet"),
        (_empty, "cannot be read as Parquet"),
        (_text, "cannot be read as Parquet"),
        (_garbled, "cannot be read as Parquet"),
        (_other_columns, "has the columns price; "),
        (_other_type, "the column symbol is int64, and should be string"),
    ],
)
def test_a_spoilt_file_is_named_with_what_is_wrong(
    root: Path, kind: Kind, spoil: Callable[[Path], None], said: str
) -> None:
    path = day_path(root, VENUE, SYMBOL, MIDNIGHT, kind)
    spoil(path)
    with pytest.raises(HistoryError, match=said) as raised:
        list(READ[kind](root, BOOK, 0, 2**62))
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("folder", "right"),
    [
        ("Binance", "a venue's id like binance"),
        ("binance/btcusdt", "a canonical symbol like BTC-USDT"),
        ("binance/BTC-USDT-PERP\x1b[31m", "a canonical symbol like BTC-USDT"),
    ],
)
def test_a_folder_of_another_name_is_named_with_what_would_be_right(
    root: Path, folder: str, right: str
) -> None:
    (root / folder).mkdir(parents=True)
    with pytest.raises(HistoryError, match=right):
        book_folders(root)


def test_a_day_of_another_name_is_named(root: Path) -> None:
    odd = root / VENUE / SYMBOL / "24-08-2026"
    odd.mkdir()
    assert len(days_of(root, BOOK, "book")) == 1  # it holds nothing
    (odd / "book.parquet").touch()
    with pytest.raises(HistoryError, match="should be called by a date like 2026-08-24"):
        days_of(root, BOOK, "book")


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="there is no folder"):
        book_folders(tmp_path / "none")


@pytest.mark.parametrize(("venue", "symbol"), [("../up", SYMBOL), (VENUE, "../../UP-UP"), ("", SYMBOL)])
def test_no_name_of_a_message_leads_out_of_the_folder(tmp_path: Path, venue: str, symbol: str) -> None:
    with pytest.raises(HistoryError, match="is no book; one is like binance BTC-USDT"):
        day_path(tmp_path, venue, symbol, MIDNIGHT, "book")


def test_a_writer_that_is_killed_leaves_whole_days_only_and_the_next_one_goes_on(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "in the middle\n"
    with pytest.raises(HistoryError, match=r"another process writes .*book\.parquet\.part"):
        _write_all(tmp_path, overwrite=True, first=MIDNIGHT)
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    messages = without_keyframes(a_market())
    before = [each for each in messages if each.received_ts < MIDNIGHT]
    assert list(read_book(tmp_path, BOOK, 0, 2**62)) == before
    assert sorted(each.name for each in tmp_path.rglob("*.part")) == [
        "book.parquet.part",
        "trades.parquet.part",
    ]
    for part in tmp_path.rglob("*.part"):
        part.write_bytes(b"a beginning" * 99)
    _write_all(tmp_path, overwrite=True)
    assert list(read_book(tmp_path, BOOK, 0, 2**62)) == messages
    assert not list(tmp_path.rglob("*.part"))
    assert all(each.read_bytes()[:4] == b"PAR1" for each in tmp_path.rglob("*.parquet"))


def test_a_writer_that_is_interrupted_leaves_whole_days_only(tmp_path: Path) -> None:
    told = a_market()
    with pytest.raises(KeyboardInterrupt):
        _write_interrupted(tmp_path, told)
    assert [each.name for each in tmp_path.rglob("*") if each.is_file()] == ["book.parquet"]
    assert all(each.received_ts < MIDNIGHT for each in read_book(tmp_path, BOOK, 0, 2**62))


def _write_interrupted(root: Path, told: Told) -> None:
    with DayWriter(root, FaultReport(), source="a test") as days:
        for event in told.events:
            days.write(event)
        raise KeyboardInterrupt


def _write_all(root: Path, *, overwrite: bool, first: int = 0) -> None:
    with DayWriter(root, FaultReport(), source="a test", overwrite=overwrite) as days:
        told = a_market()
        for event in (*told.events, *trades_of(told)):
            if event.received_ts >= first:
                days.write(event)
