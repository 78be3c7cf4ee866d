"""How fast archives of others are read and judged, and written as days: rows a second of one core.

The files are made up: random sizes, so days of real markets are smaller; of books a row is a changed level.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from libs.history.columns import BookColumns
from libs.history.faults import FaultReport
from libs.history.formats.binance_quotes import BinanceQuotes
from libs.history.formats.binance_trades import BinanceKlines, BinanceTrades
from libs.history.formats.bybit import BybitBooks
from libs.history.formats.tardis import TardisBooks, TardisTrades
from libs.history.writer import DayWriter
from tests.bench.report import Result
from tests.made_up_history import (
    BookFile,
    BybitFile,
    KlinesFile,
    QuotesFile,
    RowFile,
    TardisFile,
    TardisTradesFile,
    TradesFile,
    save,
)

if TYPE_CHECKING:
    from libs.history.columns import Columns
    from tests.bench.report import Report

MESSAGES: Final = 20_000
ROWS: Final = 100_000
FILES: Final[tuple[tuple[Any, type[BookFile | RowFile], str], ...]] = (
    (TardisBooks(), TardisFile, "book.csv.gz"),
    (TardisTrades(), TardisTradesFile, "trades.csv.gz"),
    (BybitBooks(), BybitFile, "2025-01-01_BTCUSDT_ob500.data.zip"),
    (BinanceTrades(), TradesFile, "BTCUSDT-aggTrades-2025-01-01.zip"),
    (BinanceQuotes(), QuotesFile, "BTCUSDT-bookTicker-2025-01-01.zip"),
    (BinanceKlines(), KlinesFile, "BTCUSDT-1m-2025-01.zip"),
)


def run(report: Report) -> None:
    """Measure each format, first read alone, then with its days written."""
    report.say(f"history_formats: {MESSAGES:,} messages of books, {ROWS:,} rows of others")
    with tempfile.TemporaryDirectory() as folder:
        for made, kind, name in FILES:
            file = kind(seed=1)
            if isinstance(file, BookFile):
                file.say(file.book.snapshot())
                file.healthy(MESSAGES)
            else:
                file.healthy(ROWS)
            path = save(Path(folder) / name, file)
            read = _rate(made, path, None)
            written = _rate(made, path, Path(folder) / made.name)
            figures = {"read, rows/s": round(read), "written, rows/s": round(written)}
            report.add(Result(bench="history_formats", case=name, contender=made.name, figures=figures))


def _rate(made: Any, path: Path, out: Path | None) -> float:
    """Return how many rows a second of CPU are read, and written where there is a folder for it."""
    faults, rows = FaultReport(), 0
    begun = time.process_time()
    if out is None:
        rows = sum(_rows(columns) for columns in made.columns([path], faults))
    else:
        with DayWriter(out, faults, source=path.name) as writer:
            for columns in made.columns([path], faults):
                rows += _rows(columns)
                writer.write_columns(columns)
    return rows / (time.process_time() - begun)


def _rows(columns: Columns) -> int:
    return len(columns.price) if isinstance(columns, BookColumns) else len(columns)
