"""A host that looks only at news, or when the core says so, does what one does that always looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from libs.common.market_views import Newness
from libs.common.time_units import NS_PER_MS, NS_PER_S
from services.policies.effects import Ask, Deregister, Register, Start
from services.policies.hosting import AsOf, File, Hosting, HostRules
from services.policies.registrar import ExternalRules, Registrar
from tests.unit.services.policies.test_hosting import a_description
from tests.unit.services.policies.test_registrar import a_signal, by_key

if TYPE_CHECKING:
    from libs.common.events import PolicyRegistered, PolicySignalled

TURN_NS = 50 * NS_PER_MS
TURNS = 1_500
RULES = HostRules(host="policies:0", most=3, start_gap_ns=NS_PER_S // 2, tops_gap_ns=NS_PER_S)
DESCRIBED = {
    "a": a_description(on_tops=True, valid_s=7.0),
    "b": a_description(valid_s=3.1),
    "c": a_description(symbols=("ETH-USDT",), valid_s=1.0),
    "d": a_description(),  # finds no place
}


def hosted(seed: int, *, always: bool) -> tuple[list[tuple[int, object]], int]:
    """Return what is asked of four policies in a market of two symbols, and how often the core was."""
    random = np.random.Generator(np.random.Philox(key=seed))
    moved = random.random((TURNS, 2)) < 0.02
    closed = random.random((TURNS, 2)) < 0.004
    hosting = Hosting(RULES)
    hosting.files({name: File("v1", f"{name}.py") for name in DESCRIBED}, {}, {}, 0)
    market = {"BTC-USDT": [0, 0], "ETH-USDT": [0, 0]}
    done: list[tuple[int, object]] = []
    answers: list[tuple[int, Start | Ask, AsOf | None]] = []
    due, looks = 0, 0
    for turn in range(1, TURNS):
        now, new = turn * TURN_NS, False
        for each in [each for each in answers if each[0] <= turn]:
            answers.remove(each)
            new = True
            _, order, as_of = each
            if as_of is None or isinstance(order, Start):
                hosting.loaded(order.life, DESCRIBED[hosting.policy_of(order.life)])
            else:
                hosting.answered(order.life, order.symbol, 0.5, "", as_of)
        for place, seen in enumerate(market.values()):
            seen[0] += int(closed[turn, place])
            seen[1] += int(moved[turn, place])
            new |= bool(closed[turn, place]) or (hosting.on_tops and bool(moved[turn, place]))
        news = {symbol: Newness(minute, ((1, seq),)) for symbol, (minute, seq) in market.items()}
        if not (always or new or now >= due):
            continue
        looks += 1
        for effect in hosting.due(news, now):
            done.append((turn, effect))
            match effect:
                case Start():
                    answers.append((turn + 2, effect, None))
                case Ask(symbol=symbol):
                    answers.append((turn + 3, effect, AsOf(now, news[symbol], {})))
        found = hosting.next_due(news, now)
        due = TURNS * TURN_NS if found is None else found
    return done, looks


@pytest.mark.parametrize("seed", [1, 2])
def test_policies_are_asked_at_the_same_moments(seed: int) -> None:
    always, seldom = hosted(seed, always=True), hosted(seed, always=False)
    assert seldom[0] == always[0]
    assert {effect.symbol for _, effect in seldom[0] if isinstance(effect, Ask)} == {"BTC-USDT", "ETH-USDT"}
    assert len(seldom[0]) > 100
    assert seldom[1] < always[1] / 2


def registered(seed: int, *, always: bool) -> tuple[list[tuple[int, object]], int]:
    """Return what is said of policies from outside that tell signals now and then, looked at each second."""
    random = np.random.Generator(np.random.Philox(key=seed))
    registrar = Registrar(ExternalRules(most=2, idle_ns=20 * NS_PER_S, keep_ns=90 * NS_PER_S))
    registry: dict[bytes, PolicyRegistered] = {}
    signals: dict[bytes, PolicySignalled] = {}
    done: list[tuple[int, object]] = []
    due, looks = 0, 0
    for second in range(1, 1200):
        now, new = second * NS_PER_S, False
        for name in ("x_a", "x_b", "x_c"):
            if random.random() < 0.01:
                new, ends = True, now + int(random.integers(1, 40)) * NS_PER_S
                signals |= by_key(a_signal(name, inputs_ts=now, valid_until_ts=ends))
        while always or new or now >= due:
            looks += 1
            effects = registrar.look(registry, signals, now)
            new = False
            for effect in effects:
                done.append((second, effect))
                if isinstance(effect, Register):
                    registry[effect.entry.policy_id.encode()] = effect.entry
                elif isinstance(effect, Deregister):
                    registry.pop(effect.policy_id.encode(), None)
                    for key in effect.signals:
                        signals.pop(key, None)
            found = registrar.next_look(registry, signals, now)
            due = 1200 * NS_PER_S if found is None else found
            if not effects:
                break
    return done, looks


@pytest.mark.parametrize("seed", [1, 2])
def test_policies_from_outside_come_and_go_at_the_same_moments(seed: int) -> None:
    always, seldom = registered(seed, always=True), registered(seed, always=False)
    assert seldom[0] == always[0]
    assert {type(effect) for _, effect in seldom[0]} >= {Register, Deregister}
    assert seldom[1] < always[1] / 2
