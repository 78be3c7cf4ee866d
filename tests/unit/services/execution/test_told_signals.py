"""Policies that are not built in: what they told is traded on, or the decision is void."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from libs.common.command_rules import MAX_POLICIES, MAX_TEXT, refused_at_the_door, rejected
from libs.common.events import (
    ChoosePolicy,
    ExecutionStatus,
    HaltTrading,
    PolicyChosen,
    PolicyRewarded,
    PolicySignal,
    PolicyState,
    Refusal,
    RewardPolicy,
)
from libs.common.topics import signal_key
from services.execution.audit.rerun import rerun
from services.execution.decide.policies import POLICIES
from services.execution.saga.phases import window_key
from services.execution.saga.rewarding import rewarded_within_s
from tests.deciding_world import EQUITY, SYMBOL, DecidingWorld
from tests.execution_market import a_policy_signalled
from tests.execution_world import DAY, S, an_id
from tests.registered import a_policy_registered

if TYPE_CHECKING:
    from libs.common.events import Event, PolicyRegistered, PolicySignalled

MINE = "x_mine"
RISE = 60_600.25  # 1 %


def register(world: DecidingWorld, policy_id: str = MINE, **changes: Any) -> PolicyRegistered:
    """Let a policy of others be registered."""
    policy = a_policy_registered(policy_id, **{"kind": "external", "version": "outside"} | changes)
    world.fold(world.market.policies, policy_id.encode(), policy)
    return policy


def tell(world: DecidingWorld, value: float = 0.8, policy_id: str = MINE, **changes: Any) -> PolicySignalled:
    """Let it signal as of this moment."""
    signal = a_policy_signalled(policy_id, value, **{"inputs_ts": world.now} | changes)
    world.fold(world.market.signals, signal_key(policy_id, SYMBOL), signal)
    return signal


def told(world: DecidingWorld, execution_id: str) -> dict[str, Any]:
    """Return the entry that says how the signal was found."""
    (entry,) = (each for each in world.audit(execution_id) if each.kind == "told")
    return dict(json.loads(entry.payload))


def kinds(world: DecidingWorld, execution_id: str) -> list[str]:
    return [each.kind for each in world.audit(execution_id)]


def test_a_signal_from_outside_is_traded_on_as_that_of_any_policy() -> None:
    world = DecidingWorld()
    register(world)
    signal = tell(world, 0.8, reason="funding is low")
    decided = world.decide(MINE)
    record = world.records[decided]
    assert (record.status, record.signal) == ("completed", PolicySignal(0.8, "funding is low"))
    assert world.held > 0
    assert kinds(world, decided)[1:5] == ["policy_chosen", "told", "sizing", "venue_scored"]
    inputs = told(world, decided)["inputs"]
    assert inputs["signal"]["value"] == signal.value
    assert (inputs["policy"]["version"], inputs["now"]) == ("outside", str(signal.inputs_ts))
    world.decide("p_flat", RISE)
    assert world.taught(decided) > 0
    again = rerun(world.audit(decided))
    assert (again.differences, again.others) == ((), ())


@pytest.mark.parametrize("change", [{"value": -0.2}, {"reason": "another"}, {"inputs_ts": "1"}])
def test_a_told_signal_that_is_altered_on_the_log_is_found(change: dict[str, Any]) -> None:
    world = DecidingWorld()
    register(world)
    tell(world)
    decided = world.decide(MINE)
    (entry,) = (each for each in world.audit(decided) if each.kind == "told")
    payload = json.loads(entry.payload)
    payload["inputs"]["signal"] |= change
    altered = replace(entry, payload=json.dumps(payload))
    assert rerun([entry]).differences == ()
    assert len(rerun([altered]).differences) == 1


def silent(world: DecidingWorld) -> None:
    register(world)


def expired(world: DecidingWorld) -> None:
    register(world)
    tell(world, inputs_ts=world.now - 72 * S - S * 3 // 10)


def of_another_version(world: DecidingWorld) -> None:
    register(world, kind="user", version="b" * 12)
    tell(world, version="a" * 12)


def quarantined(world: DecidingWorld) -> None:
    register(world, state=PolicyState.QUARANTINED, fault="it took 3 s\nTraceback: secret")
    tell(world)


def gone(world: DecidingWorld) -> None:
    register(world)
    tell(world)
    world.fold(world.market.policies, MINE.encode(), None)


def never_there(world: DecidingWorld) -> None:
    tell(world)


def ahead(world: DecidingWorld) -> None:
    register(world)
    tell(world, inputs_ts=world.now + 3600 * S)


def no_number(world: DecidingWorld) -> None:
    register(world)
    tell(world, float("nan"))


def for_too_long(world: DecidingWorld) -> None:
    register(world)
    tell(world, valid_until_ts=world.now + 8 * DAY)


def of_another_symbol(world: DecidingWorld) -> None:
    register(world)
    tell(world, symbol="ETH-USDT")


def withdrawn(world: DecidingWorld) -> None:
    register(world)
    tell(world)
    world.fold(world.market.signals, signal_key(MINE, SYMBOL), None)


UNUSABLE = [
    (silent, "there is no signal yet"),
    (expired, "the signal expired 12.3 s ago"),
    (of_another_version, "the signal is of version aaaaaaaaaaaa, the policy is bbbbbbbbbbbb"),
    (quarantined, "the policy is quarantined: it took 3 s"),
    (gone, "the policy is not registered"),
    (never_there, "the policy is not registered"),
    (ahead, "the signal is of a moment 3.6e+03 s ahead of this clock"),
    (no_number, "its value nan is not within -1 and 1"),
    (for_too_long, "the signal claims to hold for 6.91e+05 s, over 604800"),
    (of_another_symbol, "the signal does not stand under its policy and symbol"),
    (withdrawn, "there is no signal yet"),
]


@pytest.mark.parametrize(("how", "fault"), UNUSABLE, ids=[how.__name__ for how, _ in UNUSABLE])
def test_without_a_usable_signal_an_execution_is_skipped_and_its_decision_void(how: Any, fault: str) -> None:
    world = DecidingWorld()
    how(world)
    decided = world.begin(MINE)
    world.answer()
    record, why = world.records[decided], f"no signal of {MINE} to act on: {fault}"
    assert (record.status, record.reason, record.policy_id) == ("skipped", why, MINE)
    assert (record.signal, record.sizing) == (None, None)
    assert kinds(world, decided) == ["requested", "policy_chosen", "told", "ended"]
    assert told(world, decided)["output"] == {"signal": None, "fault": why}
    assert rerun(world.audit(decided)).differences == ()
    (void,) = world.all(RewardPolicy)
    assert (void.void, void.reward, void.decision_id, void.policy_id) == (why, 0.0, record.decision_id, MINE)
    assert refused_at_the_door(void, SYMBOL, world.now) is None
    assert window_key(decided) not in world.state
    outcome = world.outcome(decided)
    assert (outcome.reward, outcome.reason, outcome.counted) == (None, why, None)


class Versioned(DecidingWorld):
    """The router names the version that it chose."""

    chosen = ""

    def answer_to(self, command: Event) -> Event:
        answer = super().answer_to(command)
        return replace(answer, policy_version=self.chosen) if isinstance(answer, PolicyChosen) else answer


@pytest.mark.parametrize("chosen", ["a" * 12, "b" * 12, ""])
def test_only_a_signal_of_the_version_that_was_chosen_is_acted_on(chosen: str) -> None:
    """The router and this service may read of another version at different moments."""
    world = Versioned()
    world.chosen = chosen
    register(world, "mine", kind="user", version="b" * 12)
    tell(world, policy_id="mine", version="b" * 12)
    decided = world.begin("mine")
    world.work()
    record = world.records[decided]
    if chosen == "a" * 12:
        fault = "version aaaaaaaaaaaa was chosen, the signal is of version bbbbbbbbbbbb"
        assert (record.status, record.reason) == ("skipped", f"no signal of mine to act on: {fault}")
        assert [each.void for each in world.all(RewardPolicy)] == [record.reason]
    else:
        assert record.status == "completed"
    assert rerun(world.audit(decided)).differences == ()


def test_a_signal_from_outside_has_no_version_and_is_acted_on() -> None:
    world = Versioned()
    world.chosen = "outside"
    register(world)
    tell(world)
    decided = world.decide(MINE)
    assert world.records[decided].status == "completed"


def void(world: DecidingWorld) -> str:
    """Decide for a policy that is silent."""
    register(world)
    execution_id = world.begin(MINE)
    world.answer()
    return execution_id


def uncounted(command: RewardPolicy, now: int, *, counted: bool = False) -> PolicyRewarded:
    return PolicyRewarded(
        command_id=command.command_id,
        scope=command.scope,
        policy_id=command.policy_id,
        reward=0.0,
        decision_id=command.decision_id,
        counted=counted,
        reason="it is void",
        updates=0,
        mean_reward=0.0,
        ts=now,
    )


def test_the_answer_to_a_void_is_noted_and_the_router_is_told_once_whatever_restarts() -> None:
    world = DecidingWorld()
    decided = void(world)
    world.restart()
    (command,) = world.all(RewardPolicy)
    why = world.outcome(decided).reason
    world.deliver(uncounted(command, world.now))
    world.restart()
    assert (world.outcome(decided).counted, world.outcome(decided).reason) == (False, why)
    world.decide("p_sma")
    world.decide("p_flat", RISE)
    told = [each for each in world.all(RewardPolicy) if each.decision_id == command.decision_id]
    assert told == [command]
    while world.remembers(decided) and window_key(decided) not in world.state and world.advance():
        pass
    assert sum(each.decision_id == command.decision_id for each in world.all(RewardPolicy)) == 1


def test_a_void_that_the_router_counts_or_refuses_says_so() -> None:
    counted, refused = DecidingWorld(), DecidingWorld()
    for world in (counted, refused):
        void(world)
    (command,) = counted.all(RewardPolicy)
    counted.deliver(uncounted(command, counted.now, counted=True))
    assert counted.outcome(an_id("decision 1")).reason.endswith("; it is void")
    (command,) = refused.all(RewardPolicy)
    no = rejected(command, SYMBOL, Refusal.UNAVAILABLE, refused.now, detail="not today")
    refused.deliver(no)
    outcome = refused.outcome(an_id("decision 1"))
    assert outcome.counted is False
    assert outcome.reason.startswith(f"no signal of {MINE} to act on")
    assert outcome.reason.endswith("the router refused it: not today")


def test_what_was_decided_before_answers_for_what_is_held_over_a_void_decision() -> None:
    world = DecidingWorld()
    entered = world.decide("p_sma")
    held, began = world.held, world.began(entered)
    skipped = void(world)
    world.unanswered = [each for each in world.unanswered if not isinstance(each, RewardPolicy)]
    assert world.records[entered].reward is None, "its window is open"
    world.decide("p_flat", RISE)
    outcome = world.outcome(entered)
    assert (outcome.begin_ts, outcome.closed) == (began, "next decision")
    cost = outcome.cost
    assert cost is not None
    assert world.taught(entered) == pytest.approx(float((held * 600 - cost) / EQUITY))
    assert world.taught(skipped) == 0.0
    assert all(kind != "earned" for kind in kinds(world, skipped))


def test_an_expired_signal_does_not_bring_back_an_older_one_that_would_still_hold() -> None:
    world = DecidingWorld()
    register(world)
    tell(world, 1.0, inputs_ts=world.now - 20 * S, valid_until_ts=world.now + 600 * S)
    tell(world, 0.0, inputs_ts=world.now - 10 * S, valid_until_ts=world.now - 5 * S)
    decided = world.decide(MINE)
    assert world.records[decided].reason.endswith("the signal expired 5 s ago")


@pytest.mark.parametrize(
    "other",
    [
        {"inputs_ts": 3600 * S},
        {"value": float("nan")},
        {"value": 1.5},
        {"valid_until_ts": 30 * DAY},
        {"version": "0" * 12},
        {"symbol": "ETH-USDT"},
        {"policy_id": "x_other"},
    ],
)
def test_what_cannot_be_used_hides_nothing_that_can(other: dict[str, Any]) -> None:
    world = DecidingWorld()
    register(world, kind="user", version="1" * 12)
    tell(world, 0.5, version="1" * 12)
    fields: dict[str, Any] = {"version": "1" * 12, "inputs_ts": world.now + 1} | other
    if "inputs_ts" in other:
        fields["inputs_ts"] += world.now
    if "valid_until_ts" in other:
        fields["valid_until_ts"] += world.now
    value, policy_id = fields.pop("value", -1.0), fields.pop("policy_id", MINE)
    signal = a_policy_signalled(policy_id, value, **fields)
    for _ in range(20):
        world.fold(world.market.signals, signal_key(MINE, SYMBOL), signal)
        tell(world, 0.5, version="1" * 12)
    decided = world.decide(MINE)
    signal_used = world.records[decided].signal
    assert signal_used is not None
    assert signal_used.value == 0.5


def test_a_halted_policy_of_others_is_canceled_and_not_void() -> None:
    world = DecidingWorld()
    register(world)
    scope = f"policy:{MINE}"
    halt = HaltTrading(command_id=an_id("halt"), scope=scope, reason="so", by="cli")
    (done,) = (each for each in world.deliver(halt) if type(each).__name__ == "TradingHalted")
    world.fold(world.market.controls, scope.encode(), done)
    decided = world.begin(MINE)
    world.answer()
    assert world.records[decided].status is ExecutionStatus.CANCELED
    assert world.all(RewardPolicy) == []
    assert window_key(decided) in world.state


def test_the_router_is_told_what_policies_of_others_want_now() -> None:
    world = DecidingWorld()
    signals = {"x_long": 1.0, "x_short": -1.0, "x_old": 0.5, "x_starts": 0.5, "x_broken": 0.5, "x_mute": 0.5}
    states = {"x_starts": PolicyState.STARTING, "x_broken": PolicyState.QUARANTINED}
    for name, value in signals.items():
        register(world, name, state=states.get(name, PolicyState.RUNNING))
        if name != "x_mute":
            tell(world, value, name, inputs_ts=world.now - (DAY if name == "x_old" else 0))
    tell(world, 1.0, "x_unregistered")
    world.begin("p_sma")
    (asked,) = (each for each in world.unanswered if isinstance(each, ChoosePolicy))
    told = {name: known["signal"] for name, known in asked.arms.items() if name not in POLICIES}
    assert told == {"x_long": 1.0, "x_short": -1.0}
    assert {*POLICIES} <= {*asked.arms}


def test_however_many_policies_and_whatever_they_are_called_the_router_can_be_asked() -> None:
    world = DecidingWorld()
    for name in (*(f"x_{n:03}" for n in range(200)), "x_ spaces", "x_" + "y" * 80, "x_é"):
        register(world, name)
        tell(world, 0.5, name)
    world.begin("p_sma")
    (asked,) = (each for each in world.unanswered if isinstance(each, ChoosePolicy))
    assert refused_at_the_door(asked, SYMBOL, world.now) is None
    assert len(asked.arms) == MAX_POLICIES
    register(world, "x_000", state=PolicyState.QUARANTINED)
    world.fold(world.market.policies, b"x_001", None)
    world.begin("p_sma")
    asked = next(each for each in reversed(world.unanswered) if isinstance(each, ChoosePolicy))
    assert {"x_000", "x_001"}.isdisjoint(asked.arms)
    assert len(asked.arms) == MAX_POLICIES


@pytest.mark.parametrize(
    ("horizon_s", "most_s", "is_s"),
    [
        (600.0, 86_400.0, 600.0),
        (600, 86_400.0, 600.0),
        (1e9, 172_800.0, 172_800.0),
        (1e9, 3600.0, 3600.0),
        ("600", 172_800.0, 86_400.0),
        (True, 172_800.0, 86_400.0),
        (0.0, 172_800.0, 86_400.0),
        (-5.0, 172_800.0, 86_400.0),
        (float("inf"), 172_800.0, 86_400.0),
        (float("nan"), 172_800.0, 86_400.0),
        (None, 172_800.0, 86_400.0),
    ],
)
def test_a_decision_is_its_policys_own_for_the_horizon_that_it_registered(
    horizon_s: Any, most_s: float, is_s: float
) -> None:
    world = DecidingWorld(horizon_s=most_s)
    register(world, parameters={} if horizon_s is None else {"horizon_s": horizon_s})
    tell(world)
    decided = world.decide(MINE)
    kept = world.state[window_key(decided)]
    assert kept.horizon_ts - kept.window.begin_ts == round(is_s * S)
    assert rewarded_within_s(world.settings) > is_s


def test_no_signal_is_so_long_that_a_record_or_an_audit_cannot_be_written() -> None:
    world = DecidingWorld()
    register(world, kind="user", version="1", summary="s" * 10**6, parameters={"a": "b" * 10**6})
    tell(world, 0.5, reason="r" * 10**6, version="1", seen={f"t{n}": n for n in range(10**5)})
    traded = world.decide(MINE)
    signal = world.records[traded].signal
    assert signal is not None
    assert signal.reason == "r" * MAX_TEXT
    register(world, state=PolicyState.QUARANTINED, fault="f" * 10**6, version="v" * 10**6)
    skipped = world.begin(MINE)
    world.answer()
    assert len(world.records[skipped].reason) == MAX_TEXT
    assert max(len(each.payload) for each in world.audit(skipped) + world.audit(traded)) < 200_000


def test_a_built_in_policy_sees_its_symbol_and_the_moment() -> None:
    world = DecidingWorld()
    decided = world.begin("p_sma")
    now = world.now
    world.answer()
    (entry,) = (each for each in world.audit(decided) if each.kind == "signal")
    market = json.loads(entry.payload)["inputs"]["market"]
    assert (market["symbol"], market["ts"]) == (SYMBOL, str(now))
    del market["ts"]  # of an older version
    payload = json.loads(entry.payload)
    del payload["inputs"]["market"]["ts"]
    assert rerun([replace(entry, payload=json.dumps(payload))]).differences == ()
