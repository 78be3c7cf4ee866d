from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.history.numbers import digits_of, number_array, numbers_of

DIGITS = st.integers(0, 12)
UNITS = st.integers(0, 2**51 - 1)  # above, a value times a power of ten may round to the next whole number


@given(digits=DIGITS, units=st.lists(UNITS, min_size=1))
def test_a_float_of_a_venues_digits_comes_back_from_them_and_no_more_are_needed(
    digits: int, units: list[int]
) -> None:
    texts = [f"{unit // 10**digits}.{unit % 10**digits:0{max(1, digits)}d}" for unit in units]
    values = np.array([float(text) for text in texts])
    needed = digits_of(values)
    assert needed is not None
    assert needed <= digits
    column = number_array(values, needed)
    assert numbers_of(column).tobytes() == values.tobytes()
    assert numbers_of(column.slice(1)).tobytes() == values[1:].tobytes()
    assert [float(each) for each in column.to_pylist()] == values.tolist()


@given(st.lists(st.floats(), min_size=1))
def test_any_float_comes_back_bit_for_bit_if_need_be_as_a_double(floats: list[float]) -> None:
    values = np.array(floats)
    assert numbers_of(number_array(values, digits_of(values))).tobytes() == values.tobytes()


@pytest.mark.parametrize("value", [0.1 + 0.2, -0.0, float("nan"), float("inf"), 2.0**53, 1e-300, 1e300])
def test_what_no_few_digits_give_is_a_double(value: float) -> None:
    assert digits_of(np.array([1.5, value])) is None


def test_a_column_too_fine_for_its_digits_is_refused() -> None:
    with pytest.raises(ValueError, match="not every value has 1 decimal places"):
        number_array(np.array([0.25]), 1)
