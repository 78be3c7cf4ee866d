"""float64 columns as decimals and back, bit for bit.

The digits of a venue are a decimal ``k / 10^d`` with a whole `k`; the float64 parsed from them is the nearest
one to it. With ``|k| < 2^53`` and ``d <= 22`` both `k` and ``10^d`` are floats, and IEEE 754 division rounds
correctly, so ``float(k) / 10^d`` is that very float. It is checked for every value. Where ``|k| < 2^51`` the
rounded product of the float and ``10^d`` is `k`; above it may be its neighbour, and the value stays a double.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from libs.history.layout import number_type

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_DIGITS: Final = 15
_EXACT: Final = 2.0**53


def digits_of(values: NDArray[np.float64], least: int = 0) -> int | None:
    """Return the least number of decimal places, from `least` on, that hold all values; None if none does."""
    for digits in range(least, MOST_DIGITS + 1):
        if _units(values, digits) is not None:
            return digits
    return None


def number_array(values: NDArray[np.float64], digits: int | None) -> pa.Array:
    """Return a column of numbers that `digits_of` says can be written so."""
    if digits is None:
        return pa.array(values, pa.float64())
    units = _units(values, digits)
    if units is None:
        raise ValueError(f"not every value has {digits} decimal places")
    halves = np.empty(2 * len(units), np.int64)  # of 128 bits, the lower first
    halves[0::2] = units
    halves[1::2] = units >> 63
    return pa.Array.from_buffers(number_type(digits), len(units), [None, pa.py_buffer(halves)])


def numbers_of(column: pa.Array) -> NDArray[np.float64]:
    """Return the floats of a column of numbers."""
    if pa.types.is_floating(column.type):
        floats: NDArray[np.float64] = column.to_numpy(zero_copy_only=False)
        return floats
    halves: NDArray[np.int64] = np.frombuffer(_bytes(column), np.int64)
    first = 2 * column.offset
    scaled: NDArray[np.float64] = halves[first : first + 2 * len(column) : 2] / 10.0**column.type.scale
    return scaled


def _bytes(column: pa.Array) -> Any:  # noqa: ANN401 -- a buffer, or nothing of an empty column
    return column.buffers()[1] or b""


def _units(values: NDArray[np.float64], digits: int) -> NDArray[np.int64] | None:
    """Return the values in units of ``10^-digits``; None if one of them is not the float of a whole one."""
    power = 10.0**digits
    with np.errstate(over="ignore", invalid="ignore"):
        units = np.rint(values * power)
        if not (np.abs(units) < _EXACT).all():
            return None
    whole: NDArray[np.int64] = units.astype(np.int64)
    same = (whole / power).view(np.int64) == values.view(np.int64)  # by its bits: -0.0 is no decimal
    return whole if same.all() else None
