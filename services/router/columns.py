"""A window of minutes as arrays, made of those of the window before where most of it is the same; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import Candle
    from services.router.har import Floats, Integers

MOST_NEW: Final = 64  # minutes behind the window before, of which more are read one by one as well


class Columns(NamedTuple):
    """What is computed with of candles, oldest first."""

    bars: Sequence[Candle]
    open_ts: Integers  # ns UTC
    closes: Floats  # quote units


def columns_of(bars: Sequence[Candle], before: Columns | None) -> Columns:
    """Return the columns of `bars`, given those of a window that may be the one before."""
    new = MOST_NEW if before is None or not before.bars else _behind(bars, before.bars[-1])
    left = len(bars) - new
    if before is None or not 0 < left <= len(before.bars) or bars[:left] != before.bars[-left:]:
        return Columns(bars, _open_ts(bars), _closes(bars))
    open_ts = np.concatenate((before.open_ts[-left:], _open_ts(bars[left:])))
    return Columns(bars, open_ts, np.concatenate((before.closes[-left:], _closes(bars[left:]))))


def _behind(bars: Sequence[Candle], last: Candle) -> int:
    """Return how many stand behind one, `MOST_NEW` at most."""
    at = len(bars)
    while at and len(bars) - at < MOST_NEW and bars[at - 1] is not last:
        at -= 1
    return len(bars) - at


def _open_ts(bars: Sequence[Candle]) -> Integers:
    return np.array([bar.open_ts for bar in bars], dtype=np.int64)


def _closes(bars: Sequence[Candle]) -> Floats:
    return np.array([bar.close for bar in bars], dtype=np.float64)
