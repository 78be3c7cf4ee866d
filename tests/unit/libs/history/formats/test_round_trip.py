"""Files of others, through days in the layout, and back: equal to the byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from libs.common.events import BookSnapshot
from libs.history.faults import FaultReport
from libs.history.formats import formats
from libs.history.formats.binance_trades import BinanceKlines, BinanceTrades
from libs.history.formats.bybit import BybitBooks
from libs.history.formats.tardis import TardisBooks, TardisTrades
from libs.history.layout import BookFolder
from libs.history.reader import read_book, read_candles, read_trades
from libs.history.writer import DayWriter
from tests.made_up_history import (
    BookFile,
    BybitFile,
    KlinesFile,
    RowFile,
    TardisFile,
    TardisTradesFile,
    TradesFile,
    events_of,
    save,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from libs.common.events import BookDelta, Trade
    from libs.history.formats import Format

EVER = 1 << 62
BYBIT = BookFolder("bybit", "BTC-USDT")
BINANCE = BookFolder("binance", "BTC-USDT")


def imported(made: Format, path: Path, root: Path) -> FaultReport:
    """Import a file in bulk."""
    faults = FaultReport()
    with DayWriter(root, faults, source=path.name) as writer:
        for columns in made.columns([path], faults):
            writer.write_columns(columns)
    return faults


def a_book_file(kind: type[BookFile]) -> BookFile:
    file = kind(seed=4)
    file.say(file.book.snapshot())
    file.healthy(1500)
    file.say(file.book.snapshot())  # a gap
    file.healthy(200)
    return file


def as_tardis(events: Iterable[BookSnapshot | BookDelta]) -> str:
    lines = [TardisFile.head]
    for event in events:
        said = "true" if isinstance(event, BookSnapshot) else "false"
        assert event.venue_ts is not None
        times = f"{event.venue_ts // 1000},{event.received_ts // 1000}"
        lines += [
            f"bybit-spot,BTCUSDT,{times},{said},{side},{price:.2f},{size:.5f}"
            for side, levels in (("bid", event.bids), ("ask", event.asks))
            for price, size in levels
        ]
    return "".join(line + "\n" for line in lines)


def test_a_book_comes_back_from_the_days_as_the_file_it_was(tmp_path: Path) -> None:
    path = save(tmp_path / "book.csv", a_book_file(TardisFile))
    faults = imported(TardisBooks(), path, tmp_path / "days")
    assert dict(faults.counts) == {"gap": 1}
    exported = as_tardis(read_book(tmp_path / "days", BYBIT, 0, EVER))
    assert exported == path.read_text()


def test_what_is_exported_and_imported_again_is_the_same_days(tmp_path: Path) -> None:
    path = save(tmp_path / "book.csv.gz", a_book_file(TardisFile))
    imported(TardisBooks(), path, tmp_path / "one")
    again = tmp_path / "again.csv"
    again.write_text(as_tardis(read_book(tmp_path / "one", BYBIT, 0, EVER)))
    imported(TardisBooks(), again, tmp_path / "two")
    for day in (tmp_path / "one").rglob("*.parquet"):
        other = tmp_path / "two" / day.relative_to(tmp_path / "one")
        assert other.read_bytes() == day.read_bytes()


def test_what_is_written_in_bulk_is_what_is_written_one_by_one(tmp_path: Path) -> None:
    files: list[tuple[Format, BookFile | RowFile, str]] = [
        (TardisBooks(), a_book_file(TardisFile), "book.csv"),
        (BybitBooks(), a_book_file(BybitFile), "2025-01-01_BTCUSDT_ob500.data.zip"),
        (TardisTrades(), TardisTradesFile(1), "trades.csv"),
        (BinanceTrades(), TradesFile(2), "BTCUSDT-aggTrades-2025-01-01.zip"),
        (BinanceKlines(), KlinesFile(3), "BTCUSDT-1m-2025-01-01.csv"),
    ]
    for number, (made, file, name) in enumerate(files):
        if isinstance(file, RowFile):
            file.healthy(3000)
        folder = tmp_path / str(number)
        folder.mkdir()
        path = save(folder / name, file)
        imported(made, path, folder / "bulk")
        with DayWriter(folder / "single", FaultReport(), source=name) as writer:
            for event in events_of(made, path):
                writer.write(event)
        days = list((folder / "bulk").rglob("*.parquet"))
        assert days
        for day in days:
            other = folder / "single" / day.relative_to(folder / "bulk")
            assert pq.read_table(other) == pq.read_table(day)


def tardis_trade(trade: Trade) -> str:
    times = f"{trade.venue_ts // 1000},{trade.received_ts // 1000}"
    return f"binance,BTCUSDT,{times},{trade.trade_id},{trade.side},{trade.price},{trade.size}"


def test_trades_and_candles_come_back_as_they_were(tmp_path: Path) -> None:
    trades, candles = TardisTradesFile(5), KlinesFile(6)
    trades.healthy(2000)
    candles.healthy(2000)
    imported(TardisTrades(), save(tmp_path / "trades.csv.gz", trades), tmp_path / "days")
    back = [tardis_trade(trade) for trade in read_trades(tmp_path / "days", BINANCE, 0, EVER)]
    assert back == trades.lines
    # A head says that these are of futures.
    path = save(tmp_path / "BTCUSDT-1m-2025-01.zip", candles)
    imported(BinanceKlines(), path, tmp_path / "days")
    futures = BookFolder("binance-usdm", "BTC-USDT")
    told = list(read_candles(tmp_path / "days", futures, 0, EVER))
    rows = [line.split(",") for line in candles.lines]
    assert [str(each.open_ts // 1_000_000) for each in told] == [row[0] for row in rows]
    found = np.array([(c.open, c.high, c.low, c.close, c.volume, c.trades) for c in told])
    right = np.array([[float(row[at]) for at in (1, 2, 3, 4, 5, 8)] for row in rows])
    assert (found == right).all()


def test_each_file_is_known_by_its_name_or_head(tmp_path: Path) -> None:
    files: list[tuple[str, BookFile | RowFile]] = [
        ("tardis-book", TardisFile(1)),
        ("tardis-trades", TardisTradesFile(1)),
        ("bybit-book", BybitFile(1)),
        ("binance-klines", KlinesFile(1)),
        ("binance-aggtrades", TradesFile(1)),
    ]
    names = {
        "binance-klines": "BTCUSDT-1m-2025-01.csv",
        "binance-aggtrades": "BTCUSDT-aggTrades-2025-01-02.csv",
    }
    for name, file in files:
        file.healthy(2)
        path = save(tmp_path / names.get(name, "data.csv"), file)
        assert [each.name for each in formats() if each.fits(path)] == [name]
