from __future__ import annotations

import pytest

from libs.common.counted import counted


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 trades"), (1, "1 trade"), (2, "2 trades"), (1_234, "1,234 trades")]
)
def test_one_is_singular(number: int, said: str) -> None:
    assert counted(number, "trade") == said


def test_a_plural_may_be_another_word() -> None:
    assert (counted(1, "entry", "entries"), counted(2, "entry", "entries")) == ("1 entry", "2 entries")
