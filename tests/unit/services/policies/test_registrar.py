from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from libs.common.events import PolicyRegistered, PolicySignalled, PolicyState
from libs.common.time_units import NS_PER_S
from libs.common.told import signal_fault
from libs.common.topics import signal_key
from services.policies.effects import Deregister, Register, Say
from services.policies.registrar import ExternalRules, Registrar, entry_of

NOW = 1_800_000_000_000_000_000
RULES = ExternalRules(most=2, idle_ns=10 * NS_PER_S, keep_ns=100 * NS_PER_S)


def a_signal(policy_id: str = "x_mine", **changes: Any) -> PolicySignalled:
    fields: dict[str, Any] = {
        "symbol": "BTC-USDT",
        "value": 0.5,
        "inputs_ts": NOW,
        "valid_until_ts": NOW + 60 * NS_PER_S,
    }
    return PolicySignalled(policy_id=policy_id, **fields | changes)


def by_key(*signals: PolicySignalled) -> dict[bytes, PolicySignalled]:
    return {signal_key(each.policy_id, each.symbol): each for each in signals}


def looked(
    registry: dict[bytes, PolicyRegistered], signals: dict[bytes, PolicySignalled], now: int = NOW
) -> list[Any]:
    return Registrar(RULES).look(registry, signals, now)


def test_the_first_valid_signal_registers_its_policy() -> None:
    [registered] = looked({}, by_key(a_signal()))
    entry = PolicyRegistered(
        policy_id="x_mine",
        kind="external",
        summary="Signals from outside; its code is not here.",
        version="outside",
        source="policies.signals.v1",
        joins=("default",),
        ts=NOW,
    )
    assert registered == Register(entry)
    assert entry.state is PolicyState.RUNNING
    assert signal_fault(a_signal(), entry, NOW) == "", "so it can be used at once"
    assert looked({b"x_mine": entry}, by_key(a_signal())) == []


def test_a_signal_that_may_not_be_used_registers_nobody() -> None:
    for changes in (
        {"value": 2.0},
        {"value": float("nan")},
        {"inputs_ts": NOW + 10 * NS_PER_S, "valid_until_ts": NOW + 20 * NS_PER_S},
        {"valid_until_ts": NOW - 1},
        {"valid_until_ts": NOW + 10**18},
    ):
        assert looked({}, by_key(a_signal(**changes))) == [], changes
    assert looked({}, by_key(a_signal("mine"))) == [], "only names from outside"
    assert looked({}, by_key(a_signal("x_" + "a" * 70))) == []
    assert looked({}, {b"x_other:BTC-USDT": a_signal()}) == [], "it stands under another's key"


def test_no_more_are_registered_than_may_be_and_that_is_said_once() -> None:
    registrar = Registrar(RULES)
    signals = by_key(*(a_signal(f"x_{n}") for n in range(3)))
    first, second, said = registrar.look({}, signals, NOW)
    assert isinstance(first, Register)
    assert isinstance(second, Register)
    assert isinstance(said, Say)
    assert said.facts["policy"] == "x_2"
    registry = {each.entry.policy_id.encode(): each.entry for each in (first, second)}
    assert registrar.look(registry, signals, NOW) == []


def test_one_whose_last_signal_ended_long_ago_is_forgotten_with_its_signals() -> None:
    registry = {b"x_mine": entry_of("x_mine", NOW)}
    signals = by_key(a_signal(), a_signal(symbol="ETH-USDT", valid_until_ts=NOW + 5 * NS_PER_S))
    [waits] = looked(registry, signals, NOW + 160 * NS_PER_S)
    assert isinstance(waits, Register)
    [gone] = looked(registry, signals, NOW + 160 * NS_PER_S + 1)
    assert gone == Deregister("x_mine", tuple(signals))


def test_one_that_claims_a_future_moment_does_not_stay_for_ever() -> None:
    registry = {b"x_mine": entry_of("x_mine", NOW)}
    signals = by_key(a_signal(inputs_ts=NOW + 10**18, valid_until_ts=NOW + 10**18 + 1))
    assert isinstance(looked(registry, signals, NOW + 101 * NS_PER_S)[0], Deregister)


def test_an_entry_under_another_key_keeps_nobody_out() -> None:
    entry = entry_of("x_mine", NOW)
    [registered] = looked({b"other": entry}, by_key(a_signal()))
    assert registered == Register(entry)


# --- one that fell silent ---


def waiting(ts: int = NOW + 70 * NS_PER_S + 1) -> PolicyRegistered:
    return replace(entry_of("x_mine", ts), state=PolicyState.STARTING)


def test_one_whose_signals_have_all_ended_for_a_while_waits_for_the_next() -> None:
    registry = {b"x_mine": replace(entry_of("x_mine", NOW), joins=("default", "desk"))}
    signals = by_key(a_signal(), a_signal(symbol="ETH-USDT", valid_until_ts=NOW + 5 * NS_PER_S))
    assert looked(registry, signals, NOW + 70 * NS_PER_S) == [], "BTC-USDT ended 10 s ago"
    assert looked(registry, signals, NOW + 70 * NS_PER_S + 1) == [
        Register(replace(waiting(), joins=("default", "desk")))
    ]


def test_its_next_usable_signal_lets_it_run_again_as_the_version_that_it_was() -> None:
    registry, now = {b"x_mine": waiting()}, NOW + 80 * NS_PER_S
    ended = a_signal()
    assert looked(registry, by_key(ended), now) == [], "once said is enough"
    for wrong in ({"value": 2.0}, {"inputs_ts": now + 10 * NS_PER_S}, {"valid_until_ts": NOW + 10**18}):
        fields = {"inputs_ts": now, "valid_until_ts": now + 60 * NS_PER_S} | wrong
        assert looked(registry, by_key(ended, a_signal(symbol="ETH-USDT", **fields)), now) == [], wrong
    fresh = a_signal(symbol="ETH-USDT", inputs_ts=now, valid_until_ts=now + NS_PER_S)
    [again] = looked(registry, by_key(ended, fresh), now)
    assert again == Register(entry_of("x_mine", now))


def test_what_can_never_be_used_does_not_keep_one_running() -> None:
    registry, now = {b"x_mine": entry_of("x_mine", NOW)}, NOW + 11 * NS_PER_S
    for wrong in ({"value": 2.0}, {"valid_until_ts": NOW + 10**18}, {"inputs_ts": now + 10 * NS_PER_S}):
        signals = by_key(a_signal(**({"valid_until_ts": now + NS_PER_S} | wrong)))
        [waits] = looked(registry, signals, now)
        assert waits == Register(waiting(now)), wrong


def test_a_registration_ahead_of_the_clock_hides_no_silence_and_stops_no_signal() -> None:
    registry = {b"x_mine": entry_of("x_mine", NOW + 10**15)}
    assert looked(registry, by_key(a_signal()), NOW) == []
    assert looked(registry, by_key(a_signal(valid_until_ts=NOW - 1, inputs_ts=NOW - 2)), NOW) == [
        Register(waiting(NOW))
    ]


def test_what_is_quarantined_is_not_from_outside_or_stands_under_another_key_is_left_alone() -> None:
    now = NOW + 90 * NS_PER_S
    entry = entry_of("x_mine", NOW)
    for key, other in (
        (b"x_mine", replace(entry, state=PolicyState.QUARANTINED, fault="why")),
        (b"x_mine", replace(entry, kind="user")),
        (b"mine", replace(entry, policy_id="mine")),
        (b"x_other", entry),
    ):
        assert looked({key: other}, {}, now) == [], other
