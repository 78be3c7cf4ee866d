from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from libs.common.events import PolicyRegistered, PolicySignalled, PolicyState
from libs.common.market_views import Newness
from libs.common.time_units import MINUTE_NS, NS_PER_S
from libs.common.topics import signal_key
from libs.policies.described import Described
from services.policies.effects import Ask, Deregister, End, Register, Say, Start, Tell
from services.policies.hosting import MOST_STARTING, AsOf, File, Hosting, HostRules, Phase

NOW = 1_800_000_000_000_000_000
RULES = HostRules(host="policies:0", most=64, start_gap_ns=0, tops_gap_ns=NS_PER_S)
SYMBOL = "BTC-USDT"


def a_description(**changes: Any) -> Described:
    fields: dict[str, Any] = {
        "summary": "does what the test says",
        "parameters": {"n": 3.0},
        "horizon_s": 60.0,
        "valid_s": 100.0,
        "on_tops": False,
        "symbols": (),
        "joins": ("default",),
        "keeps_posterior": False,
    }
    return Described(**fields | changes)


def an_entry(policy_id: str, **changes: Any) -> PolicyRegistered:
    fields: dict[str, Any] = {"kind": "user", "summary": "", "version": "v1", "host": "policies:0"}
    return PolicyRegistered(policy_id=policy_id, **fields | changes)


def news(minute: int = 0, seq: int = 1) -> dict[str, Newness]:
    return {SYMBOL: Newness(NOW + minute * MINUTE_NS, ((1, seq),))}


def as_of(ts: int = NOW, minute: int = 0, seq: int = 1) -> AsOf:
    return AsOf(ts, news(minute, seq)[SYMBOL], {"l2.book-tops.v1": 7})


def a_host(*names: str, rules: HostRules = RULES) -> Hosting:
    hosting = Hosting(rules)
    hosting.files({name: File("v1", f"{name}.py") for name in names}, {}, {}, NOW)
    return hosting


def live(**changes: Any) -> Hosting:
    """Return a host of one policy that was loaded, whose life is 1."""
    hosting = a_host("mine")
    assert hosting.due({}, NOW) == [Start("mine", 1)]
    hosting.loaded(1, a_description(**changes))
    return hosting


def asked(hosting: Hosting, now: int, minute: int = 0, seq: int = 1) -> bool:
    return hosting.due(news(minute, seq), now) == [Ask(1, SYMBOL)]


def told(hosting: Hosting, value: float, moment: AsOf) -> list[PolicySignalled]:
    effects = hosting.answered(1, SYMBOL, value, "because", moment)
    return [each.signal for each in effects if isinstance(each, Tell)]


def test_a_new_file_is_registered_as_starting_and_runs_with_its_first_signal() -> None:
    hosting = Hosting(RULES)
    [registered] = hosting.files({"mine": File("v1", "mine.py")}, {}, {}, NOW)
    assert registered == Register(
        an_entry("mine", state=PolicyState.STARTING, source="mine.py", ts=NOW, version="v1")
    )
    assert hosting.due({}, NOW) == [Start("mine", 1)]
    [described] = hosting.loaded(1, a_description())
    assert isinstance(described, Register)
    assert described.entry.state is PolicyState.STARTING
    assert described.entry.parameters == {"n": 3.0, "horizon_s": 60.0}
    assert described.entry.joins == ("default",)
    assert asked(hosting, NOW)
    signal, running = hosting.answered(1, SYMBOL, 0.5, "because", as_of())
    assert signal == Tell(
        PolicySignalled(
            policy_id="mine",
            symbol=SYMBOL,
            value=0.5,
            reason="because",
            inputs_ts=NOW,
            valid_until_ts=NOW + 100 * NS_PER_S,
            version="v1",
            seen={"l2.book-tops.v1": 7},
        )
    )
    assert isinstance(running, Register)
    assert running.entry.state is PolicyState.RUNNING


def test_it_is_asked_one_thing_at_a_time_at_each_minute_and_before_its_signal_ends() -> None:
    hosting = live()
    assert asked(hosting, NOW)
    assert not asked(hosting, NOW), "it has not answered yet"
    told(hosting, 0.5, as_of())
    assert not asked(hosting, NOW + 49 * NS_PER_S, seq=9), "it does not ask for tops"
    assert asked(hosting, NOW + 20 * NS_PER_S, minute=1)
    told(hosting, 0.5, as_of(NOW + 20 * NS_PER_S, minute=1))
    assert not asked(hosting, NOW + 69 * NS_PER_S, minute=1)
    assert asked(hosting, NOW + 70 * NS_PER_S, minute=1), "half of its validity has passed"


def test_one_that_asks_for_tops_is_asked_when_they_change_and_not_too_often() -> None:
    hosting = live(on_tops=True)
    assert asked(hosting, NOW)
    told(hosting, 0.5, as_of())
    assert not asked(hosting, NOW + NS_PER_S - 1, seq=2)
    assert not asked(hosting, NOW + NS_PER_S, seq=1), "nothing changed"
    assert asked(hosting, NOW + NS_PER_S, seq=2)


def test_a_signal_is_told_when_its_value_the_minute_or_half_of_its_validity_is_new() -> None:
    hosting = live(on_tops=True)
    assert told(hosting, 0.5, as_of())
    assert not told(hosting, 0.5, as_of(NOW + NS_PER_S, seq=2))
    assert told(hosting, 0.6, as_of(NOW + 2 * NS_PER_S, seq=3))
    assert told(hosting, 0.6, as_of(NOW + 3 * NS_PER_S, minute=1, seq=4))
    assert not told(hosting, 0.6, as_of(NOW + 52 * NS_PER_S, minute=1, seq=5))
    assert told(hosting, 0.6, as_of(NOW + 53 * NS_PER_S, minute=1, seq=6))


def test_symbols_are_those_it_names_that_have_a_book_or_all() -> None:
    hosting = live(symbols=("ETH-USDT", SYMBOL))
    assert asked(hosting, NOW), "ETH-USDT has no book"
    assert live(symbols=("ETH-USDT",)).due(news(), NOW) == []


def test_the_symbol_that_was_asked_of_the_longest_ago_comes_first() -> None:
    hosting = live()
    both = {name: news()[SYMBOL] for name in ("A-USDT", "B-USDT")}
    assert hosting.due(both, NOW) == [Ask(1, "A-USDT")]
    hosting.answered(1, "A-USDT", 0.1, "", as_of())
    assert hosting.due(both, NOW) == [Ask(1, "B-USDT")]


def test_what_broke_is_quarantined_and_not_run_again() -> None:
    hosting = live()
    registered, line = hosting.broke(1, "it sleeps\nin line 3", NOW + 1)
    assert isinstance(registered, Register)
    assert (registered.entry.state, registered.entry.fault) == (
        PolicyState.QUARANTINED,
        "it sleeps\nin line 3",
    )
    facts = {"policy": "mine", "version": "v1", "reason": "it sleeps"}
    assert line == Say("policy_quarantined", facts)
    assert hosting.due(news(9), NOW + MINUTE_NS) == []
    assert hosting.files({"mine": File("v1", "mine.py")}, {}, {}, NOW + 2) == []
    assert hosting.quarantines == 1


def test_a_changed_file_ends_the_old_process_and_lifts_the_quarantine() -> None:
    hosting = live()
    hosting.broke(1, "it sleeps", NOW)
    ended, registered = hosting.files({"mine": File("v2", "mine.py")}, {}, {}, NOW + 1)
    assert ended == End(1)
    assert isinstance(registered, Register)
    assert (registered.entry.version, registered.entry.state) == ("v2", PolicyState.STARTING)
    assert registered.entry.fault == ""
    assert hosting.due({}, NOW + 1) == [Start("mine", 2)]


def test_what_an_old_version_still_answers_counts_for_nothing() -> None:
    hosting = live()
    hosting.files({"mine": File("v2", "mine.py")}, {}, {}, NOW)
    assert hosting.answered(1, SYMBOL, 0.5, "", as_of()) == []
    assert hosting.broke(1, "late", NOW) == []
    assert hosting.loaded(1, a_description()) == []


def test_a_removed_file_is_deregistered_with_its_signals_and_no_others() -> None:
    hosting = live()
    told(hosting, 0.5, as_of())
    signals: dict[bytes, Any] = {signal_key(name, "ETH-USDT"): None for name in ("mine", "mine2", "other")}
    keys = (signal_key("mine", SYMBOL), signal_key("mine", "ETH-USDT"))
    assert hosting.files({}, {}, signals, NOW) == [End(1), Deregister("mine", keys)]
    lagging = {b"mine": an_entry("mine")}
    assert hosting.files({}, lagging, signals, NOW) == [], "the registry does not know of it yet"


def test_after_a_restart_a_quarantined_version_stays_so_and_another_runs() -> None:
    registry = {
        b"bad": an_entry("bad", state=PolicyState.QUARANTINED, fault="it sleeps"),
        b"mended": an_entry("mended", state=PolicyState.QUARANTINED, fault="it sleeps"),
        b"good": an_entry("good", state=PolicyState.RUNNING),
        b"gone": an_entry("gone", state=PolicyState.RUNNING),
        b"elsewhere": an_entry("elsewhere", host="policies:1"),
        b"p_sma": an_entry("p_sma", kind="builtin", host=""),
    }
    hosting = Hosting(RULES)
    files = {name: File(v, f"{name}.py") for name, v in (("bad", "v1"), ("mended", "v2"), ("good", "v1"))}
    effects = hosting.files(files, registry, {signal_key("gone", SYMBOL): None}, NOW)  # type: ignore[dict-item]
    assert [each.entry.policy_id for each in effects if isinstance(each, Register)] == ["mended"]
    assert [each for each in effects if not isinstance(each, Register)] == [
        Deregister("gone", (signal_key("gone", SYMBOL),))
    ]
    started = [each.policy_id for _ in range(9) for each in hosting.due({}, NOW) if isinstance(each, Start)]
    assert sorted(started) == ["good", "mended"]
    assert hosting.phases["bad"] is Phase.QUARANTINED


def test_names_that_may_not_be_and_those_of_others_are_refused_once() -> None:
    registry = {b"theirs": an_entry("theirs", host="policies:1")}
    names = {"p_mine": "built in", "x_mine": "outside", "a b": "1-64 of", "theirs": "policies:1 has a policy"}
    hosting = Hosting(RULES)
    files = {name: File("v1", "") for name in names}
    said = hosting.files(files, registry, {}, NOW)
    assert all(isinstance(each, Say) for each in said)
    for each, words in zip(said, names.values(), strict=True):
        assert isinstance(each, Say)
        assert words in each.facts["reason"]
    assert hosting.files(files, registry, {}, NOW) == []
    assert hosting.due({}, NOW) == []
    [freed] = hosting.files(files, {}, {}, NOW)
    assert isinstance(freed, Register)
    assert freed.entry.policy_id == "theirs"


def test_a_file_that_cannot_be_read_is_quarantined_without_a_process() -> None:
    hosting = Hosting(RULES)
    files = {"mine": File("unreadable", "mine.py", "mine.py cannot be read: Permission denied")}
    registered, _ = hosting.files(files, {}, {}, NOW)
    assert isinstance(registered, Register)
    assert registered.entry.state is PolicyState.QUARANTINED
    assert hosting.due({}, NOW) == []


def test_few_start_at_once_and_no_more_live_than_have_a_place() -> None:
    names = [f"n{n}" for n in range(9)]
    hosting = a_host(*names, rules=RULES._replace(most=6))
    starts = [each for each in hosting.due({}, NOW) if isinstance(each, Start)]
    assert len(starts) == MOST_STARTING
    for each in starts:
        hosting.loaded(each.life, a_description())
    more = [each for each in hosting.due({}, NOW) if isinstance(each, Start)]
    assert len(more) == 2
    assert hosting.due({}, NOW) == []
    hosting.broke(starts[0].life, "it sleeps", NOW)
    assert len(hosting.due({}, NOW)) == 1, "a quarantined one frees its place"


def test_starts_are_paced() -> None:
    hosting = a_host("a", "b", rules=RULES._replace(start_gap_ns=NS_PER_S))
    assert hosting.due({}, NOW) == [Start("a", 1)]
    assert hosting.due({}, NOW + NS_PER_S - 1) == []
    assert hosting.due({}, NOW + NS_PER_S) == [Start("b", 2)]


def test_a_policy_that_ran_before_a_restart_keeps_running() -> None:
    hosting = Hosting(RULES)
    entry = an_entry("mine", summary="does what the test says", parameters={"n": 3.0, "horizon_s": 60.0})
    entry = replace(entry, joins=("default",), state=PolicyState.RUNNING)
    assert hosting.files({"mine": File("v1", "mine.py")}, {b"mine": entry}, {}, NOW) == []
    assert hosting.due({}, NOW) == [Start("mine", 1)]
    assert hosting.loaded(1, a_description()) == []
    [signal] = hosting.answered(1, SYMBOL, 0.5, "", as_of())
    assert isinstance(signal, Tell)


def test_an_entry_under_another_key_is_nobodys() -> None:
    hosting = a_host()
    forged = an_entry("p_sma")
    assert hosting.files({}, {b"other": forged}, {}, NOW) == [], "it ends no policy of others"


def test_a_file_whose_name_is_no_text_is_refused_like_others() -> None:
    [said] = Hosting(RULES).files({"caf\udce9": File("v1", "")}, {}, {}, NOW)
    assert isinstance(said, Say)
    assert "1-64 of A-Za-z0-9._-" in said.facts["reason"]
