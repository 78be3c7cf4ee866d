from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from backtest.importing import bring, main
from backtest.sources.frames import Frames
from libs.common.codec import encode
from libs.common.events import BookDelta, BookSnapshot, ContextInput, Trade
from libs.common.topics import CONTEXT_INPUTS
from libs.history.errors import HistoryError
from libs.history.faults import FaultKind, FaultReport
from libs.history.layout import BookFolder, book_folders
from libs.history.reader import read_book, read_trades
from libs.history.topic_files import TopicRecord, TopicWriter
from libs.history.writer import DayWriter
from tests.backtest_l2 import Heard
from tests.full_valued import full
from tests.history_market import MIDNIGHT, a_market, candles_of, trades_of
from tests.recordings import BYBIT, KRAKEN_V1, needs_recordings

if TYPE_CHECKING:
    from pathlib import Path

ALWAYS = (0, 2**62)
TRADES = """exchange,symbol,timestamp,local_timestamp,id,side,price,amount
binance,BTCUSDT,1787529600000000,1787529600001000,1,buy,100.5,0.25
binance,BTCUSDT,1787529600500000,1787529600501000,2,sell,100.25,1
"""


@needs_recordings
@pytest.mark.parametrize("recording", [BYBIT, KRAKEN_V1], ids=lambda path: path.name)
def test_a_recordings_days_say_what_l2_says_of_it(tmp_path: Path, recording: Path) -> None:
    said = Heard(Frames([recording])).run()
    faults = bring([recording], tmp_path, None, overwrite=False)
    assert not faults.counts
    assert [f"{venue}:{symbol}" for venue, symbol in book_folders(tmp_path)] == sorted(said.books)
    for key, events in said.events.items():
        book = BookFolder(*key.split(":"))
        told = [
            each
            for each in events
            if isinstance(each, BookDelta) or (isinstance(each, BookSnapshot) and each.reason == "resync")
        ]
        assert list(read_book(tmp_path, book, *ALWAYS)) == told
        trades = [each for each in events if isinstance(each, Trade)]
        assert list(read_trades(tmp_path, book, *ALWAYS)) == trades


def test_a_folder_of_history_comes_as_it_is_byte_for_byte(tmp_path: Path) -> None:
    told = a_market()
    with DayWriter(tmp_path / "theirs", FaultReport(), source="a test") as days:
        for event in (*told.events, *trades_of(told), *candles_of(MIDNIGHT, 3)):
            days.write(event)
    with TopicWriter(tmp_path / "theirs") as topics:
        record = TopicRecord(MIDNIGHT, 1, 5, b"k", encode(full(ContextInput)), (("ce_id", b"\xff"),))
        topics.write(CONTEXT_INPUTS, record)
    bring([tmp_path / "theirs"], tmp_path / "ours", None, overwrite=False)
    theirs, ours = (
        {each.relative_to(root): each.read_bytes() for each in root.rglob("*.parquet")}
        for root in (tmp_path / "theirs", tmp_path / "ours")
    )
    assert len(theirs) == 6
    assert ours == theirs


def test_what_is_wrong_with_a_source_is_printed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "binance_trades_2026-08-24_BTCUSDT.csv"
    file.write_text(f"{TRADES}no,row\n")
    out = tmp_path / "out"
    assert main([str(file), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "tardis-trades, 1 file: 2 rows" in shown
    assert "1 unreadable" in shown
    (fault,) = [json.loads(line) for line in (out / "faults.jsonl").read_text().splitlines()]
    assert (fault["kind"], fault["file"], fault["row"]) == ("unreadable", file.name, 3)
    assert main([str(file), "--out", str(out)]) == 1
    assert "exists; give another folder, or --force to write its days anew" in capsys.readouterr().err
    assert main([str(file), "--out", str(out), "--force"]) == 0


def test_a_source_that_is_none_is_named_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, empty, out = tmp_path / "notes.txt", tmp_path / "empty", tmp_path / "out"
    text.write_text("buy low, sell high\n")
    empty.mkdir()
    for source, said in (
        (text, "starts like no known format.*it is none of the formats binance-klines"),
        (tmp_path / "none", "there is no such recording"),
        (empty, "is empty; give files, or a folder that has some"),
    ):
        with pytest.raises(HistoryError, match=f"(?s){said}"):
            bring([source], out, None, overwrite=False)
        assert main([str(source), "--out", str(out)]) == 1
        assert capsys.readouterr().err.startswith("bookrunner history import: ")
    with pytest.raises(HistoryError, match="--format 'odd' is none; there are binance-klines, "):
        bring([text], out, "odd", overwrite=False)
    assert not list(out.rglob("*"))


BOOK = """exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount
binance,BTCUSDT,1787529600000000,1787529600001000,true,bid,100.5,0.25
binance,BTCUSDT,1787529600000000,1787529600001000,true,ask,100.75,1
binance,BTCUSDT,1787529600500000,1787529600501000,false,bid,100.25,1
{}
binance,BTCUSDT,1787529600600000,1787529600601000,false,bid,100.25,2
"""


def test_a_table_of_no_known_format_is_told_its_head_and_the_right_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "trades.csv"
    file.write_text(TRADES.replace("local_timestamp", "received"))
    assert main([str(file), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert f"{file} is of no known format: its head is 'exchange,symbol,timestamp,received,id,side," in said
    assert "of tardis-book exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount" in said
    assert "of tardis-trades exchange,symbol,timestamp,local_timestamp,id,side,price,amount" in said
    assert "names like BTCUSDT-aggTrades-2024-01-01.zip" in said


@pytest.mark.parametrize("written", ["mark", "quoted", "reordered"])
def test_a_table_is_read_by_the_names_of_its_columns(tmp_path: Path, written: str) -> None:
    rows = [line.split(",") for line in TRADES.splitlines()]
    if written == "quoted":
        rows = [[f'"{cell}"' for cell in row] for row in rows]
    elif written == "reordered":
        rows = [row[::-1] for row in rows]
    text = "".join(f"{','.join(row)}\r\n" for row in rows)
    said = []
    for name, content in (("a", TRADES), ("b", f"\ufeff{text}" if written == "mark" else text)):
        file = tmp_path / f"{name}.csv"
        file.write_bytes(content.encode())
        assert not bring([file], tmp_path / name, None, overwrite=False).counts
        said.append(list(read_trades(tmp_path / name, BookFolder("binance", "BTC-USDT"), *ALWAYS)))
    assert len(said[0]) == 2
    assert said[0] == said[1]


def test_a_byte_order_mark_before_the_first_row_is_nothing(tmp_path: Path) -> None:
    file = tmp_path / "BTCUSDT-1m-2026-01-05.csv"
    row = f"{1_767_571_200_000},1,2,1,2,5,{1_767_571_259_999},0,0,0,0,0\n"
    file.write_text(f"\ufeff{row}no,row\n", encoding="utf-8")
    faults = bring([file], tmp_path / "out", None, overwrite=False)
    assert (dict(faults.counts), faults.used_rows) == ({FaultKind.UNREADABLE: 1}, 1)


def test_one_row_that_makes_all_after_it_unusable_is_told_as_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, first = tmp_path / "after.csv", tmp_path / "first.csv"
    file.write_text(BOOK.format("no,row"))
    head, *rows = BOOK.format("no,row").splitlines()
    first.write_text("\n".join([head, "no,row", *rows, ""]))
    assert main([str(file), "--out", str(tmp_path / "a")]) == 0
    said = capsys.readouterr().out
    unknown = "the book is unknown until the next snapshot"
    assert f"after.csv:4: 2 values instead of 8; the row is left out; {unknown}" in said
    assert "after.csv: 2 of 4 changes of levels are left out: what is wrong makes the book unknown" in said
    assert "tardis-book, 1 file: 1 row" in said
    assert main([str(first), "--out", str(tmp_path / "b")]) == 1
    output = capsys.readouterr()
    assert "tardis-book, 1 file: 0 rows" in output.out
    assert f"first.csv:1: 2 values instead of 8; the row is left out; {unknown}" in output.out
    assert "first.csv: 4 of 4 changes of levels are left out" in output.out
    assert "nothing of what was given could be used: no day was written" in output.err
