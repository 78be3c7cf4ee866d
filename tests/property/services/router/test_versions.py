"""Policies come, break, change and go, decisions are void, and the router dies: in any order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from libs.common.answered import Memory
from libs.common.codec import decode, encode
from libs.common.context_fields import features_of
from libs.common.events import (
    CommandRejected,
    DeclareFeatures,
    Event,
    PoliciesChanged,
    PolicyChosen,
    PolicyRewarded,
    PolicyState,
    RouterPolicyState,
    RouterScopeState,
)
from libs.common.topics import ROUTER_STATE
from services.router import roster
from services.router.handlers import Router
from services.router.records import policy_key, scope_key
from tests.router_world import POLICIES, World, add, choose, command_id, retire, reward

if TYPE_CHECKING:
    from libs.common.events import PolicyRegistered
    from services.router.refusals import RouterCommand

NAMES = (*POLICIES, "mine", "x_theirs", "yours")
OTHERS = ("mine", "x_theirs", "yours")
MOST = 4  # policies of a scope, so that it is soon full
VERSIONS = ("1", "2", "3")
OWN = features_of("vix:5..150:18~6")
CONTEXTS = st.fixed_dictionaries({}, optional={"obi": st.floats(-1, 1), "vix": st.floats(5, 150)})
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("choose"), CONTEXTS, st.booleans()),
        st.tuples(st.just("choose"), CONTEXTS, st.booleans()),
        st.tuples(st.sampled_from(("reward", "reward", "void")), st.integers(0, 5), st.floats(-0.02, 0.02)),
        st.tuples(st.sampled_from(("add", "retire", "unregister")), st.sampled_from(NAMES)),
        st.tuples(
            st.just("register"),
            st.sampled_from(NAMES),
            st.sampled_from(VERSIONS),
            st.sampled_from((*(PolicyState.RUNNING,) * 3, *PolicyState)),
            st.booleans(),  # joins by itself
            st.integers(0, 4).map(lambda n: not n),  # keeps its posterior
        ),
        st.tuples(st.just("instead"), st.sampled_from(OTHERS), st.sampled_from(OTHERS), CONTEXTS),
        st.tuples(st.just("declare")),
        st.tuples(st.just("restart")),
        st.tuples(st.just("wait"), st.integers(1, 40)),
    ),
    min_size=25,  # fewer seldom let a policy change between a decision and its reward
    max_size=60,
)


@dataclass
class Twin:
    """What a policy's posterior is of, kept as plainly as can be."""

    version: str = ""
    since: int = 0  # its posterior: of decisions from this one on, by number
    kept: set[str] = field(default_factory=set)  # versions whose decisions since then teach it
    rewards: list[float] = field(default_factory=list)


@dataclass
class Told:
    """A decision, by number, and whether it is closed."""

    number: int
    chosen: PolicyChosen
    closed: bool = False


class Ledger:
    """The naive twin of the router's bookkeeping: which rewards are taught to which version."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.of: dict[str, Twin] = {name: Twin() for name in NAMES}
        self.decisions: list[Told] = []
        self.members: set[str] = set(POLICIES)
        self.joined: list[str] = []  # by themselves, the one chosen last at the end

    def running(self, name: str) -> PolicyRegistered | None:
        """Return what is registered of a policy that may be chosen."""
        found = self.world.arms.registered(name)
        return found if found is not None and found.state is PolicyState.RUNNING else None

    def make_room(self, places: int) -> None:
        """Let those go that joined by themselves and are gone, as many as have to."""
        gone = [name for name in self.joined if self.world.arms.registered(name) is None]
        for name in gone[: max(0, places - (MOST - len(self.members)))]:
            self.members.remove(name)
            self.joined.remove(name)
            self.of[name] = Twin()

    def join(self) -> None:
        """Let those join that do so at a choice."""
        new = [name for name in self.world.arms.joining("s") if name not in self.members]
        self.make_room(len(new))
        for name in new[: MOST - len(self.members)]:
            self.members.add(name)
            self.joined.append(name)
            self.of[name] = Twin(since=len(self.decisions))

    def look(self) -> None:
        """See what is registered, as a choice and a reward do."""
        for name in self.members:
            twin, registered = self.of[name], self.running(name)
            if registered is None or registered.version == twin.version:
                continue
            if twin.version and not registered.keeps_posterior:
                self.of[name] = Twin(registered.version, len(self.decisions))
            else:
                twin.kept.add(twin.version)
                twin.version = registered.version

    def teaches(self, told: Told) -> bool:
        """Tell whether the reward of a decision is to be learnt."""
        name, version = told.chosen.policy_id, told.chosen.policy_version
        if name not in self.members:
            return False
        twin = self.of[name]
        if told.closed or version == twin.version:
            return not told.closed
        return version in twin.kept and told.number >= twin.since

    def check(self) -> None:
        """Compare with what the router keeps."""
        shared = self.world.state.get(scope_key("s"))
        if isinstance(shared, RouterScopeState):
            assert {*shared.policies, *shared.retired} == self.members
            assert list(shared.joined) == self.joined
            assert {*shared.chosen, *shared.evaluation, *shared.contrasts.names} <= self.members
        for name, twin in self.of.items():
            record = self.world.state.get(policy_key("s", name), RouterPolicyState())
            assert isinstance(record, RouterPolicyState)
            assert (record.version, record.updates) == (twin.version, len(twin.rewards))
            assert abs(record.reward_sum - sum(twin.rewards)) < 1e-12
            assert bool(record.posterior) <= bool(twin.version)


def restarted(world: World) -> dict[bytes, bytes]:
    """Let the process die; return what its state says as bytes, which is all that is left."""
    records = {key: encode(kept) for key, kept in world.state.items()}
    world.state = Memory()
    for key, raw in records.items():
        world.state.put(key, decode(ROUTER_STATE, raw))  # type: ignore[arg-type]  # a record of the topic
    world.state.keep()
    world.router = Router(world.router.rules, world.live, world.arms)
    return {key: encode(kept) for key, kept in world.state.items()}


def command_of(n: int, step: tuple[Any, ...], ledger: Ledger) -> RouterCommand | None:
    match step:
        case ("choose", context, bool(waits)):
            return choose(n, context, reward_within_s=20.0 if waits else None, default_reward=0.001)
        case ("reward" | "void" as what, back, r) if len(ledger.decisions) > back:
            told = ledger.decisions[-1 - back]
            command = replace(reward(n, told.chosen.policy_id, r), decision_id=told.chosen.command_id)
            return replace(command, void="no signal") if what == "void" else command
        case ("add", name):
            return add(n, name)
        case ("retire", name):
            return retire(n, name)
        case ("declare",):
            return DeclareFeatures(command_id=command_id(n), scope="s", features=OWN)
    return None


def learn(ledger: Ledger, answer: PolicyRewarded, *, void: bool = False) -> None:
    told = next(each for each in ledger.decisions if each.chosen.command_id == answer.decision_id)
    ledger.look()
    assert answer.counted == (ledger.teaches(told) and not void)
    if answer.counted:
        ledger.of[answer.policy_id].rewards.append(answer.reward)
    told.closed = True


@given(steps=STEPS)
@settings(max_examples=120, deadline=None)
def test_no_order_of_events_teaches_a_policy_what_another_version_earned(
    steps: list[tuple[Any, ...]],
) -> None:
    """Beside a naive ledger; and a router that dies now and then answers and keeps the very same bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roster, "MOST_POLICIES", MOST)
        _try(steps)


def _try(steps: list[tuple[Any, ...]]) -> None:
    worlds = [World(remember_most=1000), World(remember_most=1000)]
    ledger = Ledger(worlds[0])
    for n, step in enumerate(steps):
        match step:
            case ("register", name, version, state, joins, keeps):
                changes = {"version": version, "state": state, "keeps_posterior": keeps, "kind": "user"}
                for world in worlds:
                    world.register_as(name, joins=("s",) if joins else (), **changes)
            case ("unregister", name):
                for world in worlds:
                    world.unregister(name)
            case ("instead", name, other, context):
                for world in worlds:
                    world.unregister(name)
                    world.register_as(other, kind="user", joins=("s",), version="1")
                _do(worlds, ledger, choose(n, context, reward_within_s=20.0))
            case ("restart",):
                restarted(worlds[1])
            case ("wait", seconds):
                for world in worlds:
                    world.defaulted.clear()
                    world.wait(seconds * 10**9)
                one, two = worlds
                assert one.defaulted == two.defaulted
                for answer in one.defaulted:
                    learn(ledger, answer)
            case _:
                command = command_of(n, step, ledger)
                if command is not None:
                    _do(worlds, ledger, command)
        ledger.check()
    first, second = map(restarted, worlds)  # what no context told yet is 0 at first, and 0.0 once it was read
    assert first == second


def _do(worlds: list[World], ledger: Ledger, command: RouterCommand) -> None:
    world = worlds[0]
    before = dict(world.state)
    answer, other = (one.do(command, Event) for one in worlds)
    assert encode(answer) == encode(other)
    assert world.snapshot == worlds[1].snapshot
    match answer:
        case CommandRejected():
            assert dict(world.state) == before
        case PolicyChosen():
            ledger.join()
            assert len(ledger.members) <= MOST
            ledger.look()
            assert abs(sum(answer.propensities.values()) - 1) < 1e-9
            assert all(map(ledger.running, answer.propensities))
            assert answer.policy_version == ledger.of[answer.policy_id].version
            assert answer.versions == {name: len(ledger.of[name].rewards) for name in answer.versions}
            if answer.policy_id in ledger.joined:
                ledger.joined.remove(answer.policy_id)
                ledger.joined.append(answer.policy_id)
            ledger.decisions.append(Told(len(ledger.decisions), answer))
        case PolicyRewarded():
            learn(ledger, answer, void=bool(getattr(command, "void", "")))
        case PoliciesChanged(policy_id=name):
            if name not in ledger.members:
                ledger.make_room(1)
            ledger.members.add(name)
            if name in ledger.joined:
                ledger.joined.remove(name)
