"""The host of policies on the bus: its core, and real processes that are asked at simulated moments.

A policy sees the market of what has arrived by the moment it is asked, answers within its real deadline, and
is heard a drawn time later. When it is asked it may open no file, as in `bookrunner policy check`: what
stands there could be what nobody knew at that moment. What a policy's own source knows of the future, no host
can tell. Sources are looked at once, at the start; a process that dies between two questions is found out by
the next one. The core is asked what is due when something is new, at the next of its turns, and when it says
that something will be: not twenty times a second.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import uvloop

from backtest.following import follow
from libs.common.events import PolicyRegistered, PolicySignalled, PolicyState
from libs.common.market_views import MarketViews
from libs.common.time_units import NS_PER_MS
from libs.common.told import OUTSIDE
from libs.common.topics import L2_BOOK_TOPS, L2_CANDLES, POLICIES_REGISTRY, POLICIES_SIGNALS, signal_key
from libs.common.views import BoundedView, View
from libs.policies.process import BrokenPolicyError
from libs.policies.sandbox import Sandbox
from services.policies.effects import Ask, Deregister, End, Register, Say, Start, Tell
from services.policies.folder import Sources
from services.policies.hosting import Hosting
from services.policies.registrar import Registrar
from services.policies.sights import Sights

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence

    from backtest.bus import Bus, Record
    from libs.policies.process import PolicyProcess
    from services.policies.effects import Effect
    from services.policies.hosting import File
    from services.policies.settings import PoliciesSettings

TURN_NS: Final = 50 * NS_PER_MS  # between two turns, as live
LOOK_NS: Final = 500 * NS_PER_MS  # between two looks at signals from outside, as live
MOST_NOTES: Final = 100


class Answers(Protocol):
    """How long policies take."""

    def answer_ns(self, policy_id: str) -> int:
        """Draw how long one takes to answer, ns."""


class PoliciesHost:
    """Hosts the policies that are asked for, and registers those from outside.

    Parameters
    ----------
    wanted
        Ids of policies; of others in the folder or among what is installed nothing is run, and of others
        from outside nothing is registered.

    Attributes
    ----------
    notes
        What a live host would have written to its log, the first lines.
    asked
        Evaluations so far.
    known
        Ids of what the folder and the installed packages have.
    """

    def __init__(self, bus: Bus, settings: PoliciesSettings, wanted: Collection[str], takes: Answers) -> None:
        self.notes: list[str] = []
        self.asked = 0
        self._bus, self._settings, self._takes = bus, settings, takes
        self._hosting = Hosting(settings.rules())
        self._registrar = Registrar(settings.external_rules())
        self._markets = MarketViews(settings.reference_venue, settings.minutes, settings.days)
        self._sights = Sights(self._markets, bus.place)
        self._registry: View[PolicyRegistered] = View(POLICIES_REGISTRY)
        self._signals: View[PolicySignalled] = BoundedView(POLICIES_SIGNALS)
        self._sources = Sources(Path(settings.dir) if settings.dir else None, lambda: 0)
        looked = self._sources.look()
        self._files: Mapping[str, File] = {each: looked[each] for each in wanted if each in looked}
        self._outside = frozenset(each for each in wanted if each.startswith(OUTSIDE))
        self.known = tuple(looked)
        self._processes: dict[int, PolicyProcess] = {}
        self._books: set[bytes] = set()  # that are known
        self._on_tops = False  # some policy is to be asked when books change
        self._turn_ts: int | None = None
        self._look_ts: int | None = None
        self._runner: asyncio.Runner | None = None
        follow(bus, (self._registry, self._signals), self._told)
        if self._files:
            self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
            self._sandbox = self._run(_entered(settings.memory_mib))
            follow(bus, self._markets.views, self._moved)

    @property
    def missing(self) -> str:
        """Which of the policies that it hosts can neither be chosen nor will be; "" where none is awaited."""
        phases = self._hosting.phases
        waiting = []
        for policy_id in self._files:
            entry = self._registry.items.get(policy_id.encode())
            if policy_id not in phases or entry is None or entry.state is PolicyState.STARTING:
                waiting.append(policy_id)
        return ", ".join(waiting)

    def start(self) -> None:
        """Look at the files."""
        found, now = self._files, self._bus.now
        self._perform(self._hosting.files(found, self._registry.items, self._signals.items, now))
        self._plan_turn(now)

    def close(self) -> None:
        """End all processes."""
        if self._runner is not None:
            self._run(self._sandbox.__aexit__(None, None, None))
            self._runner.close()
            self._runner = None

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 -- what the work returns
        assert self._runner is not None  # noqa: S101 -- there is one while a policy is hosted
        return self._runner.run(work)

    # --- when

    def _told(self, record: Record) -> None:
        del record
        if self._outside:
            self._plan_look(self._bus.now)

    def _moved(self, record: Record) -> None:
        if record.topic is L2_CANDLES or self._on_tops:
            self._plan_turn(self._bus.now)
        elif record.topic is L2_BOOK_TOPS and record.key not in self._books:
            self._books.add(record.key)
            self._plan_turn(self._bus.now)

    def _plan_turn(self, ts: int) -> None:
        ts = -(-ts // TURN_NS) * TURN_NS
        if self._turn_ts is None or ts < self._turn_ts:
            self._turn_ts = ts
            self._bus.at(ts, self._turn, ts)

    def _turn(self, ts: int) -> None:
        if self._turn_ts != ts:
            return
        self._turn_ts = None
        now, news = self._bus.now, self._markets.news()
        self._perform(self._hosting.due(news, now))
        if (due := self._hosting.next_due(news, now)) is not None:
            self._plan_turn(due)

    def _plan_look(self, ts: int) -> None:
        ts = -(-ts // LOOK_NS) * LOOK_NS
        if self._look_ts is None or ts < self._look_ts:
            self._look_ts = ts
            self._bus.at(ts, self._look, ts)

    def _look(self, ts: int) -> None:
        if self._look_ts != ts:
            return
        self._look_ts = None
        registry, now = self._registry.items, self._bus.now
        told = self._signals.items.items()
        signals = {key: each for key, each in told if each.policy_id in self._outside}
        self._perform(self._registrar.look(registry, signals, now))
        if (due := self._registrar.next_look(registry, signals, now)) is not None:
            self._plan_look(due)

    # --- what

    def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Register(entry=entry):
                    self._bus.publish(POLICIES_REGISTRY, entry.policy_id.encode(), entry)
                case Deregister(policy_id=policy_id, signals=keys):
                    for key in keys:
                        self._bus.publish(POLICIES_SIGNALS, key, None)
                    self._bus.publish(POLICIES_REGISTRY, policy_id.encode(), None)
                case Tell(signal=told):
                    self._bus.publish(POLICIES_SIGNALS, signal_key(told.policy_id, told.symbol), told)
                case Start(policy_id=policy_id, life=life):
                    self._load(policy_id, life)
                case End(life=life):
                    self._end(life)
                case Ask(life=life, symbol=symbol):
                    self._ask(life, symbol)
                case Say(event=event, facts=facts):
                    line = f"{event}: {', '.join(f'{name} {fact}' for name, fact in facts.items())}"
                    self.notes = [*self.notes, line][:MOST_NOTES]

    def _later(self, life: int, answered: Callable[[], list[Effect]]) -> None:
        """Hear an answer when it would have come."""
        policy_id = self._hosting.policy_of(life)
        self._bus.at(self._bus.now + self._takes.answer_ns(policy_id), self._hear, answered)

    def _hear(self, answered: Callable[[], list[Effect]]) -> None:
        self._perform(answered())
        self._on_tops = self._hosting.on_tops
        self._plan_turn(self._bus.now)

    def _load(self, policy_id: str, life: int) -> None:
        source = self._sources.source(policy_id, self._files[policy_id].version)
        assert source is not None  # noqa: S101 -- what has a fault is not started, and files are read once

        async def load() -> Any:  # noqa: ANN401 -- what it says of itself
            self._processes[life] = await self._sandbox.start(source.path.parent)
            return await self._processes[life].load(source, self._settings.start_s, watched=True)

        try:
            said = self._run(load())
        except BrokenPolicyError as error:
            self._break(life, error)
        else:
            self._later(life, lambda: self._hosting.loaded(life, said))

    def _ask(self, life: int, symbol: str) -> None:
        self._bus.look(self._bus.place(symbol.encode()))
        self.asked += 1
        sight = self._sights.of(symbol, self._bus.now)
        asking = self._processes[life].evaluate(sight.market, self._settings.deadline_s)
        try:
            value, reason = self._run(asking)
        except BrokenPolicyError as error:
            self._break(life, error)
        else:
            self._later(life, lambda: self._hosting.answered(life, symbol, value, reason, sight.as_of))

    def _break(self, life: int, error: BrokenPolicyError) -> None:
        fault = error.fault
        self._end(life)
        self._later(life, lambda: self._hosting.broke(life, fault, self._bus.now))

    def _end(self, life: int) -> None:
        if (process := self._processes.pop(life, None)) is not None:
            self._run(process.end())


async def _entered(memory_mib: int) -> Sandbox:
    return await Sandbox(memory_mib=memory_mib).__aenter__()
