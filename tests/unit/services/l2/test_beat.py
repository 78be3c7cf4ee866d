"""The beat on which books are told again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.l2.publication import on_beat

NOW = st.integers(0, 2**62)
INTERVAL = st.integers(1, 10**12)


@given(now=NOW, interval=INTERVAL)
def test_the_next_one_is_common_to_all_and_about_an_interval_away(now: int, interval: int) -> None:
    beat = on_beat(now, interval)
    assert beat % interval == 0
    assert 2 * now + interval < 2 * beat + 1 <= 2 * now + 3 * interval + 1


@given(now=NOW, interval=INTERVAL)
def test_who_is_late_by_less_than_half_an_interval_misses_none(now: int, interval: int) -> None:
    beat = on_beat(now, interval)
    assert on_beat(beat + (interval - 1) // 2, interval) == beat + interval
