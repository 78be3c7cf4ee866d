"""Whatever happens to files, policies and the host: the registry tells what is in the folder."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from libs.common.events import PolicyRegistered, PolicySignalled, PolicyState
from libs.common.market_views import Newness
from libs.common.time_units import MINUTE_NS, NS_PER_S
from libs.common.topics import signal_key
from services.policies.effects import Ask, Deregister, Effect, End, Register, Say, Start, Tell
from services.policies.hosting import AsOf, File, Hosting, HostRules
from tests.unit.services.policies.test_hosting import a_description

NAMES = st.sampled_from(["a", "b", "c", "d"])
VERSIONS = st.sampled_from(["v1", "v2", "v3"])
SYMBOLS = ("BTC-USDT", "ETH-USDT")
FOREIGN = PolicyRegistered(policy_id="theirs", kind="user", summary="", version="v1", host="policies:1")
MOST = 2


class Folder(RuleBasedStateMachine):
    """A host, its files, and a registry that is told everything at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_800_000_000_000_000_000
        self.files: dict[str, str] = {}
        self.registry: dict[bytes, PolicyRegistered] = {b"theirs": FOREIGN}
        self.signals: dict[bytes, PolicySignalled] = {}
        self.bad: set[tuple[str, str]] = set()  # quarantined as it stands in the folder
        self.start_anew()

    def start_anew(self) -> None:
        self.hosting = Hosting(HostRules("policies:0", MOST, 0, NS_PER_S))
        self.running: dict[int, tuple[str, str]] = {}
        self.loaded: set[int] = set()
        self.asked: dict[int, str] = {}
        self.ended: set[int] = set()

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Register(entry=entry):
                    self.registry[entry.policy_id.encode()] = entry
                case Deregister(policy_id=policy_id, signals=keys):
                    del self.registry[policy_id.encode()]
                    for key in keys:
                        self.signals.pop(key, None)
                case Tell(signal=signal):
                    self.signals[signal_key(signal.policy_id, signal.symbol)] = signal
                case Start(policy_id=policy_id, life=life):
                    what = policy_id, self.files[policy_id]
                    assert what not in self.bad, "a quarantined version is run again"
                    self.running[life] = what
                case End(life=life):
                    self.ended.add(life)
                    self.running.pop(life, None)
                    self.asked.pop(life, None)
                case Ask(life=life, symbol=symbol):
                    assert life in self.running
                    assert life not in self.asked, "one thing at a time"
                    self.asked[life] = symbol
                case Say(event=event):
                    assert event == "policy_quarantined"
                case _:
                    raise AssertionError(effect)

    @rule(name=NAMES, version=VERSIONS)
    def write(self, name: str, version: str) -> None:
        if self.files.get(name) != version:
            self.bad = {each for each in self.bad if each[0] != name}
        self.files[name] = version
        self.look()

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        self.files.pop(name, None)
        self.bad = {each for each in self.bad if each[0] != name}
        self.look()

    @rule()
    def look(self) -> None:
        files = {name: File(version, f"{name}.py") for name, version in self.files.items()}
        self.perform(self.hosting.files(files, self.registry, self.signals, self.now))

    @rule(seconds=st.integers(0, 90))
    def turn(self, seconds: int) -> None:
        self.now += seconds * NS_PER_S
        news = {symbol: Newness(self.now // MINUTE_NS * MINUTE_NS, ()) for symbol in SYMBOLS}
        self.perform(self.hosting.due(news, self.now))

    @rule(data=st.data())
    def load(self, data: st.DataObject) -> None:
        if waiting := sorted(self.running.keys() - self.loaded):
            life = data.draw(st.sampled_from(waiting))
            self.loaded.add(life)
            self.perform(self.hosting.loaded(life, a_description()))

    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        if self.running:
            life = data.draw(st.sampled_from(sorted(self.running)))
            self.bad.add(self.running.pop(life))
            self.asked.pop(life, None)
            self.perform(self.hosting.broke(life, "it raised", self.now))

    @rule(data=st.data(), value=st.sampled_from([-1.0, 0.0, 1.0]))
    def answer(self, data: st.DataObject, value: float) -> None:
        if self.asked:
            life = data.draw(st.sampled_from(sorted(self.asked)))
            symbol = self.asked.pop(life)
            moment = AsOf(self.now, Newness(self.now // MINUTE_NS * MINUTE_NS, ()), {})
            self.perform(self.hosting.answered(life, symbol, value, "", moment))

    @rule(data=st.data())
    def late(self, data: st.DataObject) -> None:
        """Let a life that has ended answer nevertheless."""
        if self.ended:
            life = data.draw(st.sampled_from(sorted(self.ended)))
            moment = AsOf(self.now, Newness(0, ()), {})
            assert self.hosting.answered(life, SYMBOLS[0], 1.0, "", moment) == []

    @rule()
    def restart(self) -> None:
        self.start_anew()
        self.look()

    @invariant()
    def the_registry_is_the_folder(self) -> None:
        own = {key.decode(): entry for key, entry in self.registry.items() if entry is not FOREIGN}
        assert {name: entry.version for name, entry in own.items()} == self.files
        assert self.registry[b"theirs"] is FOREIGN
        for name, entry in own.items():
            quarantined = (name, entry.version) in self.bad
            assert (entry.state is PolicyState.QUARANTINED) == quarantined
            assert bool(entry.fault) == quarantined

    @invariant()
    def signals_are_of_policies_that_are_there(self) -> None:
        assert {key.split(b":")[0].decode() for key in self.signals} <= self.files.keys()

    @invariant()
    def only_what_has_a_place_runs(self) -> None:
        assert len(self.running) <= MOST
        assert all(self.files.get(name) == version for name, version in self.running.values())


TestFolder = Folder.TestCase
TestFolder.settings = settings(max_examples=150, stateful_step_count=40)
