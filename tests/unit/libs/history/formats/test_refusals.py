"""What cannot be read, or cannot become what is asked for, is refused with the file's name and the reason."""

from __future__ import annotations

import gzip
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from libs.common.events import Trade
from libs.history.columns import BookColumns
from libs.history.faults import FaultReport
from libs.history.formats import UnreadableSourceError, formats, lines
from libs.history.formats.binance_quotes import BinanceBands, BinanceQuotes
from libs.history.formats.binance_trades import BinanceKlines, BinanceTrades
from libs.history.formats.bybit import BybitBooks
from libs.history.formats.tardis import TardisBooks, TardisTrades
from tests.made_up_history import (
    BybitFile,
    KlinesFile,
    QuotesFile,
    TardisFile,
    TardisTradesFile,
    TradesFile,
    events_of,
    save,
)

if TYPE_CHECKING:
    from pathlib import Path


def refused(made: Any, path: Path) -> str:
    with pytest.raises(UnreadableSourceError) as error:
        for _ in made.columns([path], FaultReport()):
            pass
    assert path.name in str(error.value)
    return str(error.value)


def test_a_file_that_ends_in_the_middle_is_told_after_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "BLOCK_BYTES", 4096)
    file = TardisFile(1)
    file.say(file.book.snapshot())
    file.healthy(500)
    path = save(tmp_path / "book.csv.gz", file)
    path.write_bytes(path.read_bytes()[:-2000])
    read = 0
    stretches = TardisBooks().columns([path], FaultReport())
    try:
        for columns in stretches:
            read += len(columns)
    except UnreadableSourceError as error:
        assert "ends in the middle or is damaged" in str(error)  # noqa: PT017 -- after what it holds
    assert 100 < read < 500
    assert next(stretches, None) is None


def test_archives_hold_one_file(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-aggTrades-2025-01-01.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "1")
        archive.writestr("b.csv", "1")
    assert "holds 2 files" in refused(BinanceTrades(), path)
    path.write_bytes(b"no archive")
    assert "cannot be read" in refused(BinanceTrades(), path)
    assert "cannot be read" in refused(TardisBooks(), tmp_path / "absent.csv")


def test_bands_of_depth_cannot_become_a_book(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-bookDepth-2025-01-01.csv"
    path.write_text("timestamp,percentage,depth,notional\n2025-01-01 00:00:30,-1,10.5,1000.0\n")
    assert [each.name for each in formats() if each.fits(path)] == ["binance-bookdepth"]
    assert "no book can be made of it" in refused(BinanceBands(), path)


def test_markets_that_are_not_known_are_refused(tmp_path: Path) -> None:
    file = TardisFile(1)
    file.say(file.book.snapshot())
    file.lines = [line.replace("bybit-spot", "deribit") for line in file.lines]
    assert "'deribit'" in refused(TardisBooks(), save(tmp_path / "a.csv", file))
    file.lines = [*file.lines[:5], file.lines[5].replace("BTCUSDT", "ETHUSDT")]
    assert "several markets" in refused(TardisBooks(), save(tmp_path / "b.csv", file))
    trades = TradesFile(1)
    trades.healthy(3)
    path = save(tmp_path / "BTCUSD_PERP-aggTrades-2025-01-01.csv", trades)
    assert "COIN-margined" in refused(BinanceTrades(), path)
    candles = KlinesFile(1)
    candles.healthy(3)
    path = save(tmp_path / "BTCUSDT-5m-2025-01-01.csv", candles)
    assert "those of 1m and 1d are kept" in refused(BinanceKlines(), path)


def test_a_head_that_is_another_one_is_refused(tmp_path: Path) -> None:
    file = TardisTradesFile(1)
    file.healthy(3)
    assert "it should be exchange,symbol" in refused(TardisBooks(), save(tmp_path / "a.csv", file))


def test_a_line_without_end_is_refused_before_memory_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 100_000)
    monkeypatch.setattr(lines, "BLOCK_BYTES", 10_000)
    path = tmp_path / "2025-01-01_BTCUSDT_ob500.data.gz"
    path.write_bytes(gzip.compress(b"x" * 1_000_000))
    assert "a line of more than 100000 bytes" in refused(BybitBooks(), path)


def test_no_more_than_a_block_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK_BYTES", 20_000)
    file = TardisFile(2)
    file.say(file.book.snapshot())
    file.healthy(2000)
    stretches = list(TardisBooks().columns([save(tmp_path / "a.csv", file)], FaultReport()))
    assert len(stretches) > 20
    assert all(isinstance(each, BookColumns) and len(each.price) < 800 for each in stretches)


def test_times_of_spot_are_microseconds_since_2025_and_milliseconds_before(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-aggTrades-2024-12-31.csv"
    path.write_text("1,100.0,1.0,1,1,1735689599999,True,True\n2,100.5,2.0,2,3,1735689600000123,False,True\n")
    first, second = (each for each in events_of(BinanceTrades(), path) if isinstance(each, Trade))
    assert first.venue_ts == 1735689599999 * 10**6
    assert second.venue_ts == 1735689600000123 * 10**3
    assert (first.venue, first.symbol, first.trade_id) == ("binance", "BTC-USDT", "1")
    # The buyer of the first one waited, so a seller took.
    assert (first.side, second.side) == ("sell", "buy")


def test_the_path_says_whether_it_is_spot_or_futures(tmp_path: Path) -> None:
    for folders, venue in (("futures/um/daily", "binance-usdm"), ("spot/daily", "binance")):
        folder = tmp_path / folders
        folder.mkdir(parents=True)
        file = KlinesFile(1)
        file.healthy(3)
        path = save(folder / "ETHUSDT-1m-2025-01-01.zip", file)
        candles = list(events_of(BinanceKlines(), path))
        assert [(each.venue, each.symbol) for each in candles] == 3 * [(venue, "ETH-USDT")]


def test_best_quotes_are_a_book_of_one_level_a_side(tmp_path: Path) -> None:
    file = QuotesFile(3)
    file.healthy(50)
    path = save(tmp_path / "BTCUSDT-bookTicker-2025-01-01.zip", file)
    held: dict[bool, dict[float, float]] = {True: {}, False: {}}
    events = list(events_of(BinanceQuotes(), path))
    assert len(events) == 50
    for event, line in zip(events, file.lines, strict=True):
        for is_bid, levels in ((True, event.bids), (False, event.asks)):
            held[is_bid] |= dict(levels)
            held[is_bid] = {price: size for price, size in held[is_bid].items() if size}
        update, bid, bid_size, ask, ask_size, *_ = map(float, line.split(","))
        assert held == {True: {bid: bid_size}, False: {ask: ask_size}}
        assert event.venue_seq == update


def test_a_file_of_bybit_is_spot_unless_its_folder_says_linear(tmp_path: Path) -> None:
    file = BybitFile(1)
    file.say(file.book.snapshot())
    file.healthy(3)
    folder = tmp_path / "linear"
    folder.mkdir()
    venues = []
    for where in (tmp_path, folder):
        path = save(where / "2025-01-01_BTCUSDT_ob500.data.zip", file)
        venues += [event.venue for event in events_of(BybitBooks(), path)]
    assert venues == 4 * ["bybit"] + 4 * ["bybit-linear"]


def test_a_side_that_is_unknown_is_no_trade(tmp_path: Path) -> None:
    file = TardisTradesFile(1)
    file.healthy(3)
    file.lines[1] = file.lines[1].replace("buy", "unknown").replace("sell", "unknown")
    faults = FaultReport()
    trades = list(events_of(TardisTrades(), save(tmp_path / "a.csv", file), faults))
    assert (len(trades), dict(faults.counts)) == (2, {"unreadable": 1})
