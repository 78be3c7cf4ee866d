"""Whatever a venue, its lines and the clock do to a book: it is never wrong, and it comes back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mayhem import MODELS, Mayhem

STEPS = 120


@pytest.mark.parametrize("venue", MODELS)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_no_message_in_no_state_breaks_a_book_and_each_is_live_again_in_a_kind_world(
    venue: str, seed: int
) -> None:
    world = Mayhem(venue, seed)
    for _ in range(STEPS):
        world.play()
    world.heal()
    world.hold_against_truth(world.state.sessions[world.key].maintainer.position)
