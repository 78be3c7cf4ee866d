"""Two hosts whose clocks differ look at the same topics: what one says, the other leaves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from libs.common.events import PolicyRegistered, PolicySignalled, PolicyState
from libs.common.live_books import EARLY_NS
from libs.common.time_units import NS_PER_S
from libs.common.told import signal_fault
from libs.common.topics import signal_key
from services.policies.effects import Deregister, Register
from services.policies.registrar import ExternalRules, Registrar

NOW = 1_800_000_000_000_000_000
RULES = ExternalRules(most=2, idle_ns=10 * NS_PER_S, keep_ns=100 * NS_PER_S)
POLICIES, SYMBOLS = ("x_a", "x_b", "x_c"), ("BTC-USDT", "ETH-USDT")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(1, 30)),
        st.tuples(
            st.just("say"),
            st.sampled_from(POLICIES),
            st.sampled_from(SYMBOLS),
            st.sampled_from((0.5, -1.0, 2.0)),
            st.integers(-20, 20),  # how long it holds, s
        ),
        st.tuples(st.just("end"), st.sampled_from(POLICIES), st.sampled_from(SYMBOLS)),
        st.tuples(st.just("restart")),
    ),
    max_size=40,
)


@given(steps=STEPS, behind_ns=st.integers(-EARLY_NS, EARLY_NS))
def test_the_registry_comes_to_rest_whoever_looks(steps: list[tuple], behind_ns: int) -> None:  # type: ignore[type-arg]  # drawn
    registry: dict[bytes, PolicyRegistered] = {}
    signals: dict[bytes, PolicySignalled] = {}
    hosts = [(Registrar(RULES), 0), (Registrar(RULES), -behind_ns)]
    now = NOW

    def look() -> int:
        changes = 0
        for registrar, ahead_ns in hosts:
            for effect in registrar.look(registry, signals, now + ahead_ns):
                match effect:
                    case Register(entry=entry):
                        registry[entry.policy_id.encode()] = entry
                        changes += 1
                    case Deregister(policy_id=policy_id, signals=keys):
                        del registry[policy_id.encode()]
                        for key in keys:
                            del signals[key]
                        changes += 1
                    case _:
                        pass
        return changes

    for step in steps:
        match step:
            case ("wait", seconds):
                now += seconds * NS_PER_S
            case ("say", policy_id, symbol, value, holds_s):
                signals[signal_key(policy_id, symbol)] = PolicySignalled(
                    policy_id=policy_id,
                    symbol=symbol,
                    value=value,
                    inputs_ts=now,
                    valid_until_ts=now + holds_s * NS_PER_S,
                )
            case ("end", policy_id, symbol):
                signals.pop(signal_key(policy_id, symbol), None)
            case _:
                hosts = [(Registrar(RULES), ahead_ns) for _, ahead_ns in hosts]
        look()
        assert look() == 0, "both have said what they had to say"
        for entry in registry.values():
            usable = any(
                not signal_fault(each, entry, now) and not signal_fault(each, entry, now - behind_ns)
                for each in signals.values()
                if each.policy_id == entry.policy_id
            )
            assert entry.state is PolicyState.RUNNING or not usable
