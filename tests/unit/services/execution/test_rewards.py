"""When and by which prices an execution rewards its policy, and an answer that comes when nobody waits."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from libs.common.events import BookState, CancelExecution, PolicyRewarded, RewardPolicy, VenueScored
from services.execution.holdings import Held, held_key
from services.execution.saga import Done, asked_key, saga_key
from tests.execution_market import a_book_health, a_book_top
from tests.execution_world import VENUES, ExecutionWorld, S, a_ready_world, an_id

if TYPE_CHECKING:
    from libs.common.events import Level


def levels(mid: float, sizes: float, step: float) -> dict[str, tuple[Level, ...]]:
    return {
        "bids": tuple((mid - 0.25 - step * n, sizes) for n in range(50)),
        "asks": tuple((mid + 0.25 + step * n, sizes) for n in range(50)),
    }


def tell(world: ExecutionWorld, book: dict[str, tuple[Level, ...]]) -> None:
    """Let the books be so, and alive, at this moment."""
    for venue in VENUES:
        key = f"{venue}:BTC-USDT".encode()
        top = a_book_top(venue=venue, received_ts=world.now, **book)
        world.fold(world.market.tops, key, top)
        world.fold(world.market.healths, key, a_book_health(venue=venue, ts=world.now))


def until_rewarded(world: ExecutionWorld, later: dict[str, tuple[Level, ...]], after_ns: int) -> RewardPolicy:
    """Answer and tick until the reward is sent; from `after_ns` on the books are `later`."""
    now = levels(60_000.25, 2.0, 0.5)
    for _ in range(20_000):
        tell(world, later if world.now >= after_ns else now)
        for command in world.unanswered:
            if isinstance(command, RewardPolicy):
                world.unanswered.remove(command)
                return command
        if world.unanswered:
            world.answer()
        else:
            assert world.advance(), "nothing is due and no reward was sent"
    raise AssertionError("no reward")


def inputs_of(world: ExecutionWorld, execution_id: str, kind: str) -> dict[str, str]:
    (entry,) = (entry for entry in world.audit(execution_id) if entry.kind == kind)
    return dict(json.loads(entry.payload)["inputs"])


@pytest.mark.parametrize("state", [BookState.LIVE, BookState.SYNCING])
def test_the_reward_counts_from_the_command_or_from_the_first_mid_used_never_from_the_horizon(
    state: BookState,
) -> None:
    world = a_ready_world()
    world.state.put(held_key("BTC-USDT"), Held(quantity=Decimal(1), fills=1))  # so the order trims a long
    world.books(state=state, venues=("bybit",))
    execution_id = world.execute()
    world.answer()
    world.books()
    scored = world.answer_to(world.unanswered.pop(0))
    assert isinstance(scored, VenueScored)
    first = sorted(scored.candidates, key=lambda each: each.venue != "bybit")
    world.deliver(replace(scored, candidates=tuple(first), venue="bybit"))
    reward = until_rewarded(world, levels(60_600.25, 2.0, 0.5), world.now + 30 * S)
    assert world.records[execution_id].venue == "bybit"
    assert reward.reward > 0.005, "a long signal and a rise of 1 %"
    inputs = inputs_of(world, execution_id, "reward")
    assert Decimal(inputs["decision_px"]) == Decimal("60000.25")
    assert Decimal(inputs["horizon_px"]) == Decimal("60600.25")
    assert inputs["decision_px"] == inputs_of(world, execution_id, "shortfall")["decision_px"]


def work(world: ExecutionWorld, seconds: float) -> str:
    """Begin a patient execution in a thin book and let it work for so long."""
    thin = levels(60_000.25, 0.03, 20.0)
    tell(world, thin)
    execution_id = world.execute(urgency=0.0)
    until = world.now + round(seconds * S)
    while world.unanswered or world.next_due < until:
        if world.unanswered:
            world.answer()
        else:
            world.now = max(world.now, world.next_due)
            tell(world, thin)
            world.advance()
    return execution_id


def test_an_execution_longer_than_the_horizon_is_rewarded_at_its_end_and_then_waits_for_a_book() -> None:
    world = ExecutionWorld(participation_cap=0.05)  # so it takes 300 s, and does not follow the volume
    world.ready()
    execution_id = work(world, 4 * world.settings.horizon_s)
    assert not world.records[execution_id].status.final
    assert not world.all(RewardPolicy), "it is not over"
    world.books(state=BookState.GAP)
    cancel = CancelExecution(command_id=an_id("cancel"), symbol="BTC-USDT", execution_id=execution_id)
    world.deliver(cancel)
    ended = world.now
    assert world.records[execution_id].filled > 0
    assert world.advance()
    assert not world.unanswered
    assert world.records[execution_id].reward is None, "patience begins at the end"
    reward = until_rewarded(world, levels(60_000.25, 2.0, 0.5), 0)
    assert reward.reward < 0, "prices stood still, so it cost its costs"
    assert world.now - ended < world.settings.patience_s * S


def test_a_reward_that_is_answered_after_its_execution_was_forgotten_is_nobodys() -> None:
    world = a_ready_world()
    execution_id = world.execute()
    reward = until_rewarded(world, levels(60_000.25, 2.0, 0.5), 0)
    while not isinstance(world.state[saga_key(execution_id)], Done):
        assert world.advance(), "it was never forgotten"
    assert asked_key(reward.command_id) not in world.state, "a question nobody waits for is not kept"
    assert world.deliver(world.answer_to(reward)) == []


def test_a_state_that_still_waits_for_a_forgotten_execution_drops_the_answer() -> None:
    world = a_ready_world()
    execution_id = world.execute()
    reward = until_rewarded(world, levels(60_000.25, 2.0, 0.5), 0)
    key = asked_key(reward.command_id)
    asked = world.state[key]
    while not isinstance(world.state[saga_key(execution_id)], Done):
        assert world.advance(), "it was never forgotten"
    for forgotten in (False, True):
        if forgotten:
            world.state.remove(saga_key(execution_id))
        world.state.put(key, asked)
        assert world.deliver(world.answer_to(reward)) == []
        assert key not in world.state


def test_a_decision_that_expired_at_the_router_is_told_as_not_counted_and_why() -> None:
    world = a_ready_world()
    execution_id = world.execute()
    command = until_rewarded(world, levels(60_000.25, 2.0, 0.5), world.now)
    answer = world.answer_to(command)
    assert isinstance(answer, PolicyRewarded)
    world.deliver(replace(answer, counted=False, reason="decision expired"))
    outcome = world.records[execution_id].reward
    assert outcome is not None
    assert (outcome.counted, outcome.reason) == (False, "the router did not count it: decision expired")
