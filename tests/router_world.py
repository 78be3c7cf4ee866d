"""A router without Kafka: its handler on a state of its own, commands by number, and a synthetic market."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from numpy.random import Generator, Philox
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # carries no type marker

from libs.common.answered import Memory
from libs.common.command_rules import refused_at_the_door
from libs.common.events import (
    AddPolicy,
    ChoosePolicy,
    CommandRejected,
    PolicyChosen,
    PolicyRewarded,
    RetirePolicy,
    RewardPolicy,
    RouterSnapshot,
)
from libs.common.handling import State, Tick, WakeAt
from libs.common.live_books import PATIENCE
from services.router.arms import Arms
from services.router.handlers import Router
from services.router.live import LiveInputs
from services.router.rules import Rules
from services.router.scopes import ScopeArchived, ScopeForgotten, step_clock
from services.router.thompson import Tuning
from tests.many_mixtures import Mixtures
from tests.registered import a_policy_registered

if TYPE_CHECKING:
    from libs.common.events import Event, PolicyRegistered
    from services.router.records import Record
    from services.router.refusals import RouterCommand
    from services.router.thompson import Floats

E = TypeVar("E", bound="Event")

threadpool_limits(1, "blas")  # as the service has it: several threads give other last bits

NOW = 1_790_000_000_000_000_000
POLICIES = ("p_sma", "p_breakout", "p_flat")
BULL: dict[str, float | str] = {"regime": "bull", "sigmaHAR": 0.02, "obi": 0.2, "rr25": 0.1}


def command_id(name: object) -> str:
    return str(uuid5(NAMESPACE_URL, f"tests/{name}"))


def choose(
    name: object, context: dict[str, float | str] | None = None, scope: str = "s", **more: Any
) -> ChoosePolicy:
    return ChoosePolicy(
        command_id=command_id(name), scope=scope, context=BULL if context is None else context, **more
    )


def reward(
    name: object,
    policy_id: str,
    r: float,
    *,
    decision: object = None,
    context: dict[str, float | str] | None = None,
    scope: str = "s",
) -> RewardPolicy:
    return RewardPolicy(
        command_id=command_id(name),
        scope=scope,
        policy_id=policy_id,
        reward=r,
        context={} if context is None else context,
        decision_id=None if decision is None else command_id(decision),
    )


def add(name: object, policy_id: str, **more: Any) -> AddPolicy:
    return AddPolicy(command_id=command_id(name), scope="s", policy_id=policy_id, **more)


def retire(name: object, policy_id: str) -> RetirePolicy:
    return RetirePolicy(command_id=command_id(name), scope="s", policy_id=policy_id)


class World:
    """A router and its state; the policies of a new scope are registered."""

    def __init__(self, **rules: Any) -> None:
        known: dict[str, Any] = {
            "policies": POLICIES,
            "priors": {},
            "tuning": Tuning(),
            "features": (),
            "remember_ns": 3_600_000_000_000,
            "remember_most": 1000,
            "scope_idle_ns": 86_400_000_000_000,
            "scopes_per_minute": 1000,
            "answers_most": 100_000,
            "scopes_most": 1000,
        }
        self.live = LiveInputs(
            reference_venue="binance", basis_venue="binance-usdm", patience=PATIENCE["features"]
        )
        known |= rules
        self.arms = Arms()
        self.register(*known["policies"])
        self.router = Router(Rules(**known), self.live, self.arms)
        self.state: State[Record] = Memory()
        self.now = NOW
        self.snapshot: RouterSnapshot | None = None
        self.wishes: list[WakeAt] = []
        self.ended: list[ScopeArchived | ScopeForgotten] = []
        self.defaulted: list[PolicyRewarded] = []  # what decisions learnt that nobody rewarded

    def register(self, *policies: str) -> None:
        """Let somebody implement these."""
        for name in policies:
            self._fold(name.encode(), a_policy_registered(name))

    def register_as(self, name: str, **changes: Any) -> None:
        """Let somebody say this of a policy on the registry."""
        self._fold(name.encode(), a_policy_registered(name, **changes))

    def unregister(self, *policies: str) -> None:
        """Let nobody implement these any more."""
        for name in policies:
            self._fold(name.encode(), None)

    def _fold(self, key: bytes, event: PolicyRegistered | None) -> None:
        self.arms.view.fold(0, self.arms.view.position(0), key, event)

    def do(self, command: RouterCommand, kind: type[E]) -> E:
        """Return the answer, which must be of this kind; keep the snapshot."""
        self.now += 1_000_000
        refused = refused_at_the_door(command, command.scope, self.now)
        answer, *rest = [refused] if refused else self.router.handle(self.state, command, self.now)
        self.state.keep()
        self.wishes += [wish for wish in rest if isinstance(wish, WakeAt)]
        self.ended += [event for event in rest if isinstance(event, ScopeForgotten)]
        for event in rest:
            if isinstance(event, RouterSnapshot):
                self.snapshot = event
            else:
                assert isinstance(event, WakeAt | ScopeForgotten)
        assert isinstance(answer, kind), answer
        return answer

    def wait(self, ns: int) -> None:
        """Let time pass, and the ticks come that were asked for."""
        until = self.now + ns
        while due := sorted((wish for wish in self.wishes if wish.ts <= until), key=lambda wish: wish.ts):
            self.wishes.remove(due[0])
            self.now = due[0].ts
            tick = Tick(due_ts=due[0].ts, key=due[0].key, causation_id=command_id("tick"), correlation_id="c")
            for event in self.router.handle(self.state, tick, self.now):
                match event:
                    case WakeAt():
                        self.wishes.append(event)
                    case PolicyRewarded():
                        self.defaulted.append(event)
                    case RouterSnapshot():
                        self.snapshot = event
                    case _:
                        assert isinstance(event, ScopeArchived)
                        self.ended.append(event)
            self.state.keep()
        self.now = until

    def step_clock(self, by_ns: int) -> None:
        """Set the machine's clock: ticks move with it."""
        self.now += by_ns
        self.wishes = [WakeAt(wish.ts + by_ns, wish.key) for wish in self.wishes]
        step_clock(self.state, by_ns)
        self.state.keep()

    def choose(self, command: ChoosePolicy) -> PolicyChosen:
        return self.do(command, PolicyChosen)

    def reward(self, command: RewardPolicy) -> PolicyRewarded:
        return self.do(command, PolicyRewarded)

    def refused(self, command: RouterCommand) -> CommandRejected:
        return self.do(command, CommandRejected)


class Market:
    """Rewards linear in x, with noise; the weights may change on the way.

    `kind` is ``stationary``, ``switch`` (others at half time), ``drift`` (a rotation by a right angle),
    ``recurring`` (three, each for `visit` rounds in turn) or ``hidden``: policy 0 earns nothing, exactly, the
    others lose 5 bps, of which policy 1 earns 5 bps from round `turns` on; noise 10 bps.
    `noise` is ``normal``, ``garch`` (1, 1; .08 and .90) or ``heavy``: the same with Student's t of 4 degrees.
    """

    def __init__(
        self,
        kind: str,
        seed: int,
        rounds: int,
        *,
        policies: int = 8,
        d: int = 16,
        noise: str = "normal",
        visit: int = 1000,
    ) -> None:
        self.kind, self.rounds, self.noise = kind, rounds, 0.001 if kind == "hidden" else 0.5
        self.visit, self.turns = visit, min(2000, 5 * rounds // 12)
        random = Generator(Philox(key=seed))
        self.first: Floats = random.normal(size=(policies, d)) / np.sqrt(d)
        self.second: Floats = random.normal(size=(policies, d)) / np.sqrt(d)
        self.x = random.normal(size=(rounds, d))
        if noise == "normal":
            self.errors = self.noise * random.normal(size=(rounds, policies))
        else:
            z = random.normal(size=rounds) if noise == "garch" else random.standard_t(4, rounds) / np.sqrt(2)
            self.errors = np.tile(self.noise * _clustered(z)[:, None], policies)
        self.third: Floats = random.normal(size=(policies, d)) / np.sqrt(d)
        if kind == "hidden":
            self.x[:, 0] = 1.0
            self.errors[:, 0] = 0.0

    def means(self, t: int) -> Floats:
        """Return the expected rewards of round t, (policies,)."""
        if self.kind == "hidden":
            earned = np.full(len(self.first), -5e-4)
            earned[0] = 0.0
            earned[1] *= -1 if t >= self.turns else 1
            return earned
        return np.asarray(self._theta(t) @ self.x[t])

    def _theta(self, t: int) -> Floats:
        match self.kind:
            case "stationary":
                return self.first
            case "switch":
                return self.first if t < self.rounds // 2 else self.second
            case "recurring":
                return (self.first, self.second, self.third)[t // self.visit % 3]
            case "drift":
                angle = np.pi / 2 * t / self.rounds
                return np.asarray(np.cos(angle) * self.first + np.sin(angle) * self.second)
            case unknown:
                raise ValueError(f"no world is called {unknown}")


def _clustered(z: Floats) -> Floats:
    """Return innovations with the volatility of a GARCH(1, 1) of mean 1."""
    h, found = 1.0, np.empty_like(z)
    for t, one in enumerate(z):
        found[t] = np.sqrt(h) * one
        h = 0.02 + 0.08 * found[t] ** 2 + 0.90 * h
    return found


class Played(NamedTuple):
    """Many runs of the router's model, a row for each."""

    regret: Floats  # (runs, rounds)
    chosen: np.ndarray[tuple[int, ...], np.dtype[np.int64]]  # (runs, rounds)
    alarms: tuple[tuple[int, ...], ...]  # rounds, by run


def play(markets: list[Market], tuning: Tuning, seed: int) -> Played:
    """Let the model choose and learn in markets of one size, all at once."""
    runs, rounds, (policies, d) = np.arange(len(markets)), markets[0].rounds, markets[0].first.shape
    many, random = Mixtures(len(runs), policies, d, tuning), Generator(Philox(key=seed))
    regret, chosen = np.empty((len(runs), rounds)), np.empty((len(runs), rounds), dtype=np.int64)
    alarms: list[tuple[int, ...]] = [()] * len(runs)
    before = many.alarms.copy()
    for t in range(rounds):
        x = np.array([market.x[t] for market in markets])
        means = np.array([market.means(t) for market in markets])
        _, p = many.project(x)
        k = np.minimum((p.cumsum(1) < random.random(len(runs))[:, None]).sum(1), policies - 1)
        errors = np.array([market.errors[t, one] for market, one in zip(markets, k, strict=True)])
        many.learn(x, k, means[runs, k] + errors)
        regret[:, t], chosen[:, t] = means.max(1) - means[runs, k], k
        for run in np.flatnonzero(many.alarms > before):
            alarms[run] = (*alarms[run], t)
        before = many.alarms.copy()
    return Played(regret, chosen, tuple(alarms))


def found_after(chosen: np.ndarray[tuple[int, ...], np.dtype[np.int64]], since: int, k: int) -> int | None:
    """Return after how many decisions policy `k` had more than half of the last 100, or nothing."""
    shares = np.convolve(chosen[since:] == k, np.ones(100), "valid")
    return int(np.argmax(shares > 50)) + 100 if (shares > 50).any() else None
