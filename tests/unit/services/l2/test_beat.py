"""The beat on which books are told again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from libs.common.time_units import NS_PER_MS
from services.l2.publication import next_beat, on_beat
from tests.l2_world import POLICY, World
from tests.model_exchange import BinanceModel

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


@given(now=NOW, interval=INTERVAL)
def test_the_first_beat_after_now_is_an_interval_away_at_most(now: int, interval: int) -> None:
    beat = next_beat(now, interval)
    assert beat % interval == 0
    assert now < beat <= now + interval


def test_no_health_comes_later_than_a_heartbeat_after_the_one_before_whenever_that_was() -> None:
    """Scoring believes a quiet book for half a heartbeat more, and no longer."""
    world = World(BinanceModel(11))
    world.until_live()
    publication = world.state.sessions[world.key].life.publication
    for step in range(40):
        now = world.now + step * 25 * NS_PER_MS
        publication.health(now)
        assert publication.heartbeat(now + POLICY.heartbeat_ns) != []
