"""A thousand faults planted in files of every format: each is found, and none is invented."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from libs.common.events import BookSnapshot
from libs.common.order_book import OrderBook
from libs.history.faults import FaultKind, FaultReport
from libs.history.formats import lines
from libs.history.formats.binance_quotes import BinanceQuotes
from libs.history.formats.binance_trades import BinanceKlines, BinanceTrades
from libs.history.formats.bybit import BybitBooks
from libs.history.formats.tardis import TardisBooks, TardisTrades
from tests.made_up_history import (
    BookFile,
    BybitFile,
    KlinesFile,
    Planted,
    QuotesFile,
    RowFile,
    TardisFile,
    TardisTradesFile,
    TradesFile,
    events_of,
    save,
)

if TYPE_CHECKING:
    from pathlib import Path

FORMATS: dict[str, tuple[Any, type[BookFile | RowFile], str, int]] = {
    "tardis book": (TardisBooks(), TardisFile, "book.csv.gz", 170),
    "tardis trades": (TardisTrades(), TardisTradesFile, "trades.csv.gz", 170),
    "bybit book": (BybitBooks(), BybitFile, "2025-01-01_BTCUSDT_ob500.data.zip", 170),
    "klines": (BinanceKlines(), KlinesFile, "BTCUSDT-1m-2025-01-01.zip", 165),
    "aggTrades": (BinanceTrades(), TradesFile, "BTCUSDT-aggTrades-2025-01-01.csv", 165),
    "bookTicker": (BinanceQuotes(), QuotesFile, "BTCUSDT-bookTicker-2025-01-01.zip", 160),
}
SMALL, WHOLE = 3_000, 1 << 20  # bytes of a block


def test_they_are_a_thousand() -> None:
    assert sum(count for *_, count in FORMATS.values()) == 1000


def found_in(name: str, path: Path) -> list[Planted]:
    told = io.BytesIO()
    report = FaultReport(told)
    made, *_ = FORMATS[name]
    for _ in made.columns([path], report):
        pass
    faults = [msgspec.json.decode(line) for line in told.getvalue().splitlines()]
    assert {each["file"] for each in faults} <= {path.name}
    assert all(each["what"] for each in faults)
    return sorted(Planted(FaultKind(each["kind"]), each["row"]) for each in faults)


@pytest.mark.parametrize("block", [SMALL, WHOLE])
@pytest.mark.parametrize("name", FORMATS)
def test_each_planted_fault_is_found_and_none_is_invented(
    name: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "BLOCK_BYTES", block)
    _, kind, file_name, count = FORMATS[name]
    file = kind(seed=block)
    file.write(count)
    found = found_in(name, save(tmp_path / file_name, file))
    missed, invented = Counter(file.planted) - Counter(found), Counter(found) - Counter(file.planted)
    assert (missed, invented) == (Counter(), Counter())
    assert len(found) == count


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_without_faults_has_none(name: str, tmp_path: Path) -> None:
    _, kind, file_name, _ = FORMATS[name]
    for seed in range(3):
        file = kind(seed=100 + seed)
        file.write(0)
        file.healthy(400)
        assert found_in(name, save(tmp_path / file_name, file)) == []


@pytest.mark.parametrize("block", [SMALL, WHOLE])
@pytest.mark.parametrize("name", ["tardis book", "bybit book"])
def test_what_is_let_through_among_faults_is_the_true_book(
    name: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "BLOCK_BYTES", block)
    made, kind, file_name, _ = FORMATS[name]
    file = kind(seed=9)
    assert isinstance(file, BookFile)
    file.write(60)
    path = save(tmp_path / file_name, file)
    unit = 1000 if name == "tardis book" else 1_000_000
    truth = {at * 1000 // unit: shown for at, shown in file.truth.items()}
    book, followed, epochs = OrderBook(), 0, set()
    for event in events_of(made, path):
        assert book.follow(event)
        assert (book.bids(), book.asks()) == truth[event.received_ts // unit]
        if isinstance(event, BookSnapshot):
            assert (event.seq, event.reason) == (1, "resync")
        epochs.add(event.epoch)
        followed += 1
    breaks = sum(each.kind is not FaultKind.DUPLICATE for each in file.planted)
    assert len(epochs) == breaks + 1
    assert followed > 3 * 60
