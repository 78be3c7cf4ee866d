from __future__ import annotations

import numpy as np
import pytest

from libs.history.faults import FaultKind, FaultReport
from libs.history.formats.continuity import Follower, Messages, _highest
from libs.history.formats.sequence import holes, out_of_order
from tests.made_up_history import made_up_number

BEGIN = 1_735_700_000_000_000_000


@pytest.mark.parametrize(
    ("values", "floor", "guilty"),
    [
        ([1, 2, 3], 0, []),
        ([1, 2, 2, 3], 0, []),
        ([1, 3, 2, 4], 0, [2]),  # swapped: the later one
        ([1, 2, 9, 3, 4], 0, [2]),  # it leapt ahead
        ([5, 6, 1, 7], 0, [2]),  # it fell behind
        ([1, 2], 5, [0, 1]),  # both before what was read
        ([9, 6, 7], 5, [0]),
        ([], 0, []),
    ],
)
def test_the_row_that_fits_least_is_out_of_order(values: list[int], floor: int, guilty: list[int]) -> None:
    assert np.flatnonzero(out_of_order(np.array(values, np.int64), floor)).tolist() == guilty


def test_what_is_left_of_a_disorder_always_rises() -> None:
    rng = made_up_number(8)
    for _ in range(300):
        values = np.sort(rng.integers(0, 60, int(rng.integers(1, 40))))
        for _ in range(int(rng.integers(0, 4))):
            values[int(rng.integers(0, len(values)))] = int(rng.integers(0, 60))
        floor = int(rng.integers(0, 10))
        left = values[~out_of_order(values, floor)]
        assert (np.diff(left, prepend=floor) >= 0).all()


def test_rows_that_could_not_be_used_leave_no_hole() -> None:
    def found(
        values: list[int], rows: list[int], strays: list[int], last: tuple[int, int] | None
    ) -> list[int]:
        arrays = (np.array(each, np.int64) for each in (values, rows, strays))
        first, second, third = arrays
        return [hole.missing for hole in holes(first, second, 1, third, last)]

    assert found([5, 6, 9], [1, 2, 3], [], None) == [2]
    assert found([5, 6, 9], [1, 2, 5], [], None) == []  # two rows stand there
    assert found([5, 7, 8], [1, 2, 4], [6], None) == []  # it stands elsewhere
    assert found([9], [1], [], (5, 0)) == [3]
    assert found([], [], [], (5, 0)) == []


def test_the_highest_of_intervals_is_that_of_a_loop_over_them() -> None:
    rng = made_up_number(5)
    for _ in range(200):
        count = int(rng.integers(1, 60))
        since = rng.integers(0, count, int(rng.integers(1, 30)))
        until = np.minimum(count, since + rng.integers(1, 40, len(since)))
        value = rng.random(len(since))
        naive = np.full(count, -np.inf)
        for low, high, each in zip(since, until, value, strict=True):
            naive[low:high] = np.maximum(naive[low:high], each)
        assert (_highest(since, until, value, count) == naive).all()


def a_message_each(*levels: tuple[bool, float, float], snapshots: int = 2) -> Messages:
    """Return messages of a level each; the first `snapshots` of the levels are one snapshot."""
    count = len(levels) - snapshots + 1
    starts = np.append(0, np.arange(snapshots, len(levels) + 1))
    is_bid, price, size = (np.array(column) for column in zip(*levels, strict=True))
    ts = BEGIN + np.arange(count) * 1_000_000
    snapshot = np.arange(count) == 0
    return Messages(
        np.arange(1, count + 1), snapshot, np.zeros(count, bool), ts, ts, None, starts, is_bid, price, size
    )


def test_a_book_that_crosses_only_within_a_message_does_not_cross() -> None:
    # The ask side alone would cross; the bid goes in the same message.
    levels = [
        (True, 100.0, 1.0),
        (False, 101.0, 1.0),
        (False, 100.0, 2.0),
        (True, 100.0, 0.0),
        (True, 99.0, 1.0),
    ]
    given = a_message_each(*levels)
    joined = given._replace(
        first=np.array([0, 2, 5]),
        row=given.row[:2],
        snapshot=given.snapshot[:2],
        broken=given.broken[:2],
        venue_ts=given.venue_ts[:2],
        received_ts=given.received_ts[:2],
    )
    faults = FaultReport()
    assert len(Follower("okx", "BTC-USDT", faults, tells_each=True).follow(joined)) == 2
    assert not faults.counts
    alone = FaultReport()
    assert len(Follower("okx", "BTC-USDT", alone, tells_each=True).follow(given)) == 1
    assert dict(alone.counts) == {FaultKind.CROSSED: 1}


def test_deletes_of_unknown_levels_matter_where_a_venue_tells_of_each() -> None:
    given = a_message_each((True, 100.0, 1.0), (False, 101.0, 1.0), (True, 42.0, 0.0))
    for tells_each, counts in ((True, {FaultKind.ORPHAN: 1}), (False, {})):
        faults = FaultReport()
        Follower("okx", "BTC-USDT", faults, tells_each=tells_each).follow(given)
        assert dict(faults.counts) == counts


def test_a_book_goes_on_from_one_stretch_to_the_next() -> None:
    whole = a_message_each((True, 100.0, 1.0), (False, 101.0, 1.0), (True, 100.0, 0.0), (False, 100.0, 1.0))
    second = whole._replace(
        row=whole.row[1:],
        snapshot=whole.snapshot[1:],
        broken=whole.broken[1:],
        venue_ts=whole.venue_ts[1:],
        received_ts=whole.received_ts[1:],
        first=whole.first[1:] - 2,
        is_bid=whole.is_bid[2:],
        price=whole.price[2:],
        size=whole.size[2:],
    )
    first = whole._replace(
        row=whole.row[:1],
        snapshot=whole.snapshot[:1],
        broken=whole.broken[:1],
        venue_ts=whole.venue_ts[:1],
        received_ts=whole.received_ts[:1],
        first=whole.first[:2],
        is_bid=whole.is_bid[:2],
        price=whole.price[:2],
        size=whole.size[:2],
    )
    faults = FaultReport()
    follower = Follower("okx", "BTC-USDT", faults, tells_each=True)
    told = [follower.follow(each) for each in (first, second)]
    assert [each.seq.tolist() for each in told] == [[1], [2, 3]]
    assert len({*told[0].epoch.tolist(), *told[1].epoch.tolist()}) == 1
    assert not faults.counts
