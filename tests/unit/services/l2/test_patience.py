"""How long a book waits before it asks again."""

from __future__ import annotations

from libs.common.time_units import NS_PER_S
from services.l2.patience import SHORT_LIFE_NS, SHORT_LIVES, Patience

SHORTEST, LONGEST = NS_PER_S // 4, 30 * NS_PER_S


def a_patience() -> Patience:
    return Patience("binance:BTC-USDT", SHORTEST, LONGEST)


def lives(patience: Patience, now: int, life_ns: int) -> int:
    """Let the book be LIVE for so long, and return the pause after it fell."""
    patience.on_live(now)
    patience.on_tick(now + life_ns)
    patience.on_loss(now + life_ns)
    return patience.pause(now + life_ns)


def test_pauses_grow_with_failures_up_to_the_longest() -> None:
    patience = a_patience()
    pauses = [patience.pause(at * NS_PER_S) for at in range(12)]
    assert 0.75 * SHORTEST <= pauses[0] <= 1.25 * SHORTEST
    assert all(0.75 * LONGEST <= pause <= 1.25 * LONGEST for pause in pauses[8:])


def test_a_book_that_never_lives_for_long_waits_ever_longer_and_one_long_life_is_forgiven() -> None:
    patience = a_patience()
    pauses = [lives(patience, at * NS_PER_S, SHORT_LIFE_NS // 2) for at in range(SHORT_LIVES + 10)]
    assert max(pauses[: SHORT_LIVES + 1]) <= 1.25 * SHORTEST, "a few falls are forgiven"
    assert pauses[-1] >= 0.75 * LONGEST
    assert lives(patience, 10**6 * NS_PER_S, 2 * SHORT_LIFE_NS) <= 1.25 * SHORTEST


def test_a_venue_that_says_no_is_asked_once_more_after_long_and_then_believed_until_the_book_lives() -> None:
    patience = a_patience()
    patience.on_refusal()
    assert not patience.refused_for_good
    assert patience.pause(0) >= 0.75 * LONGEST
    patience.on_refusal()
    assert patience.refused_for_good
    patience.on_live(0)
    assert not patience.refused_for_good
