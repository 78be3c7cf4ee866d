"""Folding of a compacted topic: decode and `View.fold` per record against decoding into a plain dict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.common.codec import decode, encode
from libs.common.events import BookTop
from libs.common.topics import L2_BOOK_TOPS, book_key
from libs.common.views import View
from tests.bench.chunks import in_turn, on_cores
from tests.bench.report import Result, quartiles

if TYPE_CHECKING:
    from tests.bench.report import Report

RECORDS: Final = 2000  # a chunk
CHUNKS: Final = 30
BOOKS: Final = 60
LEVELS: Final = 50  # a side, the most a top carries
BASELINE: Final = "decode into a dict"
OURS: Final = "decode and View.fold"


def run(report: Report) -> None:
    """Measure chunks of both."""
    report.say(f"view_fold: {CHUNKS} chunks of {RECORDS} tops of {LEVELS} levels a side, {BOOKS} keys")
    records = [_record(at) for at in range(RECORDS)]
    view: View[BookTop] = View(L2_BOOK_TOPS)
    plain: dict[bytes, object] = {}

    def fold(chunk: int) -> None:
        for offset, (key, value) in enumerate(records, start=chunk * RECORDS):
            event = decode(L2_BOOK_TOPS, value)
            assert isinstance(event, BookTop)
            view.fold(0, offset, key, event)

    def put(_chunk: int) -> None:
        for key, value in records:
            plain[key] = decode(L2_BOOK_TOPS, value)

    with on_cores(1) as pinning:
        taken = in_turn({BASELINE: put, OURS: fold}, range(CHUNKS))
    if dict(view.items) != plain:
        raise AssertionError("the view is not the newest message per key")
    for name, chunks in taken.items():
        found = quartiles([ns / RECORDS / 1000 for ns in chunks[1:]])
        report.add(
            Result(
                bench="view_fold",
                case=f"tops of {LEVELS} levels a side",
                contender=name,
                figures={"CPU us/record": found.median, "records/s": round(1e6 / found.median)},
                ratio=quartiles(
                    [ns / bare for ns, bare in zip(chunks[1:], taken[BASELINE][1:], strict=True)]
                ),
                baseline=BASELINE,
                assumptions={"bytes_per_record": len(records[0][1]), "keys": BOOKS, "process": pinning},
            )
        )


def _record(at: int) -> tuple[bytes, bytes]:
    symbol = f"COIN{at % BOOKS}-USDT"
    top = BookTop(
        venue="binance",
        symbol=symbol,
        epoch=1,
        seq=at,
        venue_seq=at,
        bids=tuple((60000.0 - level / 100, 1.0 + level) for level in range(LEVELS)),
        asks=tuple((60000.01 + level / 100, 1.0 + level) for level in range(LEVELS)),
        features=None,
        venue_ts=at,
        received_ts=at,
    )
    return book_key("binance", symbol), encode(top)
