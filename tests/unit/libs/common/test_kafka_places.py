from __future__ import annotations

import pytest

from libs.common.kafka_places import RECENT_MS, recent_ms

NOW_MS = 1_800_000_000_000


@pytest.mark.parametrize(
    ("newest_ms", "found_ms"),
    [
        (NOW_MS - 5_000, NOW_MS - 5_000 - RECENT_MS),
        (NOW_MS - 86_400_000, NOW_MS - 86_400_000 - RECENT_MS),  # of a system that stood for a day
        (NOW_MS + 3_600_000, NOW_MS - RECENT_MS),  # by a clock that is ahead
        (RECENT_MS - 1, 0),
        (0, 0),
        (-1, 0),  # a record without a time
    ],
)
def test_recent_records_begin_before_the_newest_whatever_its_stamp(newest_ms: int, found_ms: int) -> None:
    assert recent_ms(newest_ms, NOW_MS) == found_ms
