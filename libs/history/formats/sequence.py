"""What a column that should rise says where it does not: rows before their time, and holes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from libs.history.columns import Bools, Ints

AHEAD: Final = 2  # rows that must be seen ahead to say which of two is out of its place


class Hole(NamedTuple):
    """Something is missing before a row."""

    at: int  # which row, from 0
    missing: int  # steps


def out_of_order(values: Ints, floor: int) -> Bools:
    """Return which rows lie before their time.

    Where a value falls, the row at fault is the one that fits least: the earlier one, if without it all would
    rise, else the later one. Of what is left, all that lies before what was read is at fault.

    Parameters
    ----------
    floor
        What was read before.
    """
    guilty = np.zeros(len(values), bool)
    for at in (np.flatnonzero(values[1:] < values[:-1]) + 1).tolist():
        ahead, before = at - 1, (values[at - 2] if at > 1 else floor)
        leapt = at + 1 < len(values) and values[at + 1] < values[ahead] and before <= values[at]
        guilty[ahead if leapt else at] = True
    if not len(values):
        return guilty
    reached = np.maximum.accumulate(np.where(guilty, floor, values))
    late: Bools = guilty | (values < np.maximum(reached, floor))
    return late


def holes(values: Ints, rows: Ints, step: int, strays: Ints, last: tuple[int, int] | None) -> list[Hole]:
    """Return where more is missing than the rows that stand there, and could not be used, account for.

    Parameters
    ----------
    values
        Of the rows that are used, rising by `step`.
    strays
        Values of rows that stand elsewhere than they should.
    last
        Value and number of the row that was used before.
    """
    if not len(values):
        return []
    value, row = last if last is not None else (int(values[0]) - step, int(rows[0]) - 1)
    steps = np.diff(values, prepend=value) // step
    missing = steps - np.diff(rows, prepend=row)
    found = []
    for at in np.flatnonzero(missing > 0).tolist():
        before = int(values[at - 1]) if at else value
        elsewhere = int(((strays > before) & (strays < values[at])).sum())
        if missing[at] > elsewhere:
            found.append(Hole(at, int(missing[at]) - elsewhere))
    return found
