from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.codec import decode, encode
from libs.common.context_fields import FIELDS, REGIMES
from libs.common.events import CommandRejected, PolicyChosen, PolicyRewarded, RouterSnapshot
from libs.common.handling import WakeAt
from libs.common.topics import ROUTER_STATE
from tests.router_world import BULL, POLICIES, World, add, choose, retire, reward

NAMES = (*POLICIES, "p_new", "p_other")
CONTEXTS = st.fixed_dictionaries(
    {},
    optional={"regime": st.sampled_from(REGIMES)}
    | {field.name: st.floats(field.low, field.high) for field in FIELDS},
)
REWARDS = st.floats(-1, 1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("choose"), CONTEXTS),
        st.tuples(st.just("reward"), st.sampled_from(NAMES), REWARDS, CONTEXTS),
        st.tuples(st.just("decision"), REWARDS),
        st.tuples(st.sampled_from(("add", "retire", "register", "unregister")), st.sampled_from(NAMES)),
        st.tuples(st.just("again")),
    ),
    max_size=40,
)


@given(steps=STEPS)
@settings(max_examples=60, deadline=None)
def test_no_sequence_of_commands_breaks_what_the_router_promises(steps: list[tuple[object, ...]]) -> None:
    """Probabilities sum to one over registered policies, nothing is infinite, state is exact.

    Refusals and repeats change nothing, nor does a registration by itself.
    """
    world = World(remember_most=10)
    chosen: PolicyChosen | None = None
    last = None
    counted = 0
    for n, step in enumerate(steps):
        match step:
            case ("choose", context):
                command = choose(n, context)  # type: ignore[arg-type]  # drawn as such
            case ("reward", name, r, context):
                command = reward(n, name, r, context=context or {"regime": "bull"})  # type: ignore[arg-type, assignment]
            case ("decision", r) if chosen is not None:
                command = reward(n, chosen.policy_id, r, context=BULL)  # type: ignore[arg-type, assignment]
            case ("add", name):
                command = add(n, name)  # type: ignore[arg-type, assignment]
            case ("retire", name):
                command = retire(n, name)  # type: ignore[arg-type, assignment]
            case ("register", name):
                world.register(name)  # type: ignore[arg-type]  # drawn as such
                continue
            case ("unregister", name):
                world.unregister(name)  # type: ignore[arg-type]  # drawn as such
                continue
            case _ if last is not None:
                command = last
            case _:
                continue
        before = dict(world.state)
        answer, *shown = world.router.handle(world.state, command, world.now + n)
        world.state.keep()
        if command is last or isinstance(answer, CommandRejected):
            assert dict(world.state) == before
            continue
        last = command
        if isinstance(answer, PolicyChosen):
            chosen = answer
            assert math.isclose(sum(answer.propensities.values()), 1)
            assert min(answer.propensities.values()) > 0
            assert answer.policy_id in answer.propensities
            assert all(name in world.arms for name in answer.propensities)
            assert answer.scores.keys() == answer.means.keys() == answer.versions.keys()
            assert all(map(math.isfinite, answer.scores.values()))
            assert 0 < answer.width < math.inf
            assert 0 < answer.prior_width < math.inf
        counted += isinstance(answer, PolicyRewarded) and answer.counted
        for snapshot in shown:
            if isinstance(snapshot, WakeAt):
                continue
            assert isinstance(snapshot, RouterSnapshot)
            assert snapshot.pending <= 20  # decisions, and other answers
            for policy in snapshot.policies:
                assert policy.low <= policy.estimate <= policy.high
            chances = [policy.belief.best for policy in snapshot.policies if policy.belief]
            if any(chance is not None for chance in chances):
                assert math.isclose(sum(chance or 0.0 for chance in chances), 1)
    records = world.state.values()
    assert sum(getattr(record, "updates", 0) for record in records) == counted
    for record in records:
        assert decode(ROUTER_STATE, encode(record)) == record
