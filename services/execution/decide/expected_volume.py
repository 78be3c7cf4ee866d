"""How much is expected to trade from now on, by the profile of the day and the level of the last hour.

======  ================================================  ===========
symbol  meaning                                           unit
======  ================================================  ===========
v_b     expected volume of 5-minute bucket b of the day   base units
l       what is traded now over what the profile expects  1
======  ================================================  ===========
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from libs.common.time_units import DAY_S, NS_PER_S
from services.execution.decide.profile import BUCKET_S, BUCKETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.execution.decide.profile import VolumeProfile


def volume_over(profile: VolumeProfile, now: int, span_s: float) -> float | None:
    """Return the volume expected in the `span_s` seconds from `now` (ns), base units; None: unknown.

    Notes
    -----
    ``l sum_b v_b x (share of bucket b within the span)``; l is ``rate / (v_now / 300)``, and 1 while the last
    hour is unknown. Without a day of volume nothing is known: the profile is then one of weights.
    """
    level = _level(profile, now)
    if level is None:
        return None
    within = math.fsum(v * part for v, part, _ in _buckets(profile, now, span_s))
    return level * within


def volume_of_day(profile: VolumeProfile, now: int) -> float | None:
    """Return the volume expected in the 24 hours from `now` (ns), base units; None: unknown."""
    level = _level(profile, now)
    return None if level is None else level * math.fsum(profile.expected)


def span_of(profile: VolumeProfile, now: int, volume: float, most_s: float) -> float | None:
    """Return in how many seconds from `now` (ns) so much `volume` is expected to trade.

    None if it is not within `most_s`, or if no volume is known.
    """
    level = _level(profile, now)
    if level is None:
        return None
    rest, elapsed = volume, 0.0
    for v, part, seconds in _buckets(profile, now, most_s):
        traded = level * v * part
        if traded >= rest:
            return elapsed + (seconds * rest / traded if traded > 0 else 0.0)
        rest -= traded
        elapsed += seconds
    return None


def _level(profile: VolumeProfile, now: int) -> float | None:
    usual = profile.weight_at(now) / BUCKET_S
    if profile.rate is not None and usual > 0:
        return profile.rate / usual
    return 1.0 if profile.days else None


def _buckets(profile: VolumeProfile, now: int, span_s: float) -> Iterator[tuple[float, float, float]]:
    """Yield the volume of each bucket that the span meets, the part of it within, and the seconds of that."""
    at_s = now / NS_PER_S % DAY_S
    left = span_s
    bucket = int(at_s // BUCKET_S)
    room = (bucket + 1) * BUCKET_S - at_s
    while left > 0:
        seconds = min(left, room)
        yield profile.expected[bucket % BUCKETS], seconds / BUCKET_S, seconds
        left -= seconds
        bucket += 1
        room = float(BUCKET_S)
