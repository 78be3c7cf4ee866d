"""The budget of replays, held against its sentence in fractions, over the whole past."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from libs.common.time_units import NS_PER_S
from services.gateway.http.byte_budget import ByteBudget

SPENDS = st.lists(
    st.tuples(st.integers(0, 5 * NS_PER_S), st.integers(0, 50_000)), min_size=1, max_size=30
)  # after how many ns, how many bytes


@given(per_s=st.integers(1, 20_000), burst=st.integers(0, 20_000), spends=SPENDS)
def test_a_spend_waits_until_all_that_was_spent_has_come_back_and_not_longer(
    per_s: int, burst: int, spends: list[tuple[int, int]]
) -> None:
    budget, now, level = ByteBudget(per_s, burst, 0), 0, Fraction(burst)
    for after, count in spends:
        now += after
        level = min(Fraction(burst), level + Fraction(per_s * after, NS_PER_S)) - count
        wait = budget.spend(count, now)
        at_end = level + Fraction(per_s * wait, NS_PER_S)
        assert at_end >= 0
        assert wait == 0 or level + Fraction(per_s * (wait - 1), NS_PER_S) < 0


@given(
    per_s=st.integers(1, 20_000),
    burst=st.integers(0, 20_000),
    pieces=st.lists(st.lists(st.integers(1, 5_000), min_size=1, max_size=8), min_size=1, max_size=5),
)
def test_whoever_waits_until_a_piece_is_paid_for_spends_no_more_than_the_rate_and_the_last_pieces(
    per_s: int, burst: int, pieces: list[list[int]]
) -> None:
    """Several readers, each with one piece under way: what is spent up to t is at most b + r t + the last."""
    budget, spent = ByteBudget(per_s, burst, 0), 0
    ready = [(0, number) for number in range(len(pieces))]
    last = max(max(each) for each in pieces)
    while ready:
        now, number = min(ready)
        ready.remove((now, number))
        piece = pieces[number].pop(0)
        spent += piece
        assert spent <= burst + Fraction(per_s * now, NS_PER_S) + len(pieces) * last
        wait = budget.spend(piece, now)
        if pieces[number]:
            ready.append((now + wait, number))
