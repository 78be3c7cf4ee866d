"""Tops folded together count as they would one by one."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.venues.lags import GRID_MS, LEAP_MS, WINDOWS, Arrival, Lags, fold_arrivals

ARRIVALS = st.lists(
    st.builds(
        Arrival,
        offset=st.integers(0, 30),
        epoch=st.integers(1, 3),
        window=st.integers(0, 12),  # a clock may be set back
        step=st.sampled_from((-2_000, 0, 1, 2, 3, 2_000)),
    ),
    max_size=30,
)


def one_by_one(lags: Lags, arrivals: list[Arrival]) -> Lags:
    """Fold as plainly as can be, each top into a copy."""
    for each in arrivals:
        if each.offset <= lags.offset:
            continue
        windows = dict(lags.windows)
        if windows and each.epoch != lags.epoch:
            newest = sorted(Counter(windows[max(windows)]).elements())
            usual = newest[(len(newest) - 1) // 2]
            if abs(each.step - usual) * GRID_MS > LEAP_MS:
                windows = {}
        counts = Counter(windows.get(each.window, {}))
        counts[each.step] += 1
        windows[each.window] = dict(counts)
        kept = {at: found for at, found in windows.items() if each.window - WINDOWS < at <= each.window}
        lags = Lags(each.offset, kept, each.epoch)
    return lags


@given(arrivals=ARRIVALS, cuts=st.sets(st.integers(0, 30)))
def test_however_tops_are_folded_together_they_count_as_one_by_one(
    arrivals: list[Arrival], cuts: set[int]
) -> None:
    found = Lags()
    for begin, end in pairwise(sorted(cuts | {0, len(arrivals)})):
        found = fold_arrivals(found, arrivals[begin:end])
    assert found == one_by_one(Lags(), arrivals)
