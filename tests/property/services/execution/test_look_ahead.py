"""No decision knows what was told after it: each is the same for who has the log cut at its instant.

The worlds tell candles and signals late, out of order, twice and otherwise; books begin new epochs and are
not LIVE at times; policies get new versions. A thousand of their decisions are made again in another process,
each by a service that has read nothing but what stood on the log then. A service that looks at a record that
comes later is found out.
"""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from libs.common.events import Candle, PolicySignalled
from services.execution.audit.rerun import MODELS
from services.execution.saga import signals, sizing_inputs
from services.execution.signal_view import SignalView
from tests.taped_world import Handled, Tape, TapedWorld, all_made_again, made_again, minutes_told

if TYPE_CHECKING:
    from libs.common.events import AuditEntry
    from libs.common.policy import Market
    from services.execution.signal_view import Newest

DECISIONS = 1_000  # made again
WORLDS = 9
EXECUTIONS = 42  # of each world
REFERENCE = "binance"
LATE = 0.2  # share of decisions, at least, of which something was told too late


def worlds() -> list[TapedWorld]:
    made = [TapedWorld(seed) for seed in range(WORLDS)]
    for world in made:
        world.run(EXECUTIONS)
    return made


@pytest.fixture(scope="module")
def tapes() -> list[Tape]:
    return [world.tape for world in worlds()]


def recorded(tape: Tape) -> list[tuple[int, int]]:
    """Return where decisions stand: their message, and their place among what it wrote."""
    return [
        (at, n)
        for at, handled in enumerate(tape.handled)
        for n, entry in enumerate(handled.entries)
        if entry.kind in MODELS
    ]


@pytest.mark.timeout(300)  # 12 s of CPU time, on a machine that does much else
def test_a_thousand_decisions_are_the_same_on_the_log_cut_at_their_instant(tapes: list[Tape]) -> None:
    every = [(tape, at, n) for tape, of in enumerate(tapes) for at, n in recorded(of)]
    chosen = Random(20_261_130).sample(every, DECISIONS)
    kinds = Counter[str]()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        for number, tape in enumerate(tapes):
            mine = [(at, n) for of, at, n in chosen if of == number]
            places = sorted({at for at, _ in mine})
            again = dict(zip(places, other.submit(all_made_again, tape, places).result(), strict=True))
            for at, n in mine:
                entry = tape.handled[at].entries[n]
                assert again[at][n] == entry, entry.payload
                kinds[entry.kind] += 1
    assert sum(kinds.values()) == DECISIONS
    assert min(kinds[kind] for kind in ("signal", "told", "sizing", "split", "plan")) >= 10, kinds


def logged_minutes(entry: AuditEntry) -> list[tuple[int, float]]:
    market = json.loads(entry.payload)["inputs"]["market"]
    rows = [line.split(",") for line in market["minutes"].splitlines()]
    return [(int(row[0]), float(row[4])) for row in rows]


def signals_of(tape: Tape) -> list[tuple[Handled, AuditEntry]]:
    return [(each, entry) for each in tape.handled for entry in each.entries if entry.kind == "signal"]


def test_what_a_built_in_policy_saw_is_what_had_been_told_and_no_more(tapes: list[Tape]) -> None:
    """Found without the service's own views."""
    late = seen = 0
    for tape in tapes:
        whole = minutes_told(tape, tape.handled[-1], REFERENCE)
        for handled, entry in signals_of(tape):
            market = json.loads(entry.payload)["inputs"]["market"]
            assert (market["venue"], int(market["ts"])) == (REFERENCE, handled.now)
            wanted = minutes_told(tape, handled, REFERENCE)
            assert logged_minutes(entry) == wanted[-tape.settings.minutes :]
            late += [each for each in whole if each[0] <= wanted[-1][0]] != wanted
            seen += 1
    assert late >= LATE * seen > 0, "too little was told late for the test to mean something"


def changed(tape: Tape, kind: str) -> set[tuple[str, int]]:
    """Return the decisions of a kind that come out otherwise on the log cut at their instant."""
    found = set()
    for handled in tape.handled:
        mine = [entry for entry in handled.entries if entry.kind == kind]
        if mine:
            again = {(each.execution_id, each.seq): each for each in made_again(tape, handled)}
            found |= {(e.execution_id, e.seq) for e in mine if again.get((e.execution_id, e.seq)) != e}
    return found


def test_a_market_that_sees_one_candle_too_early_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    world, honest = TapedWorld(7), sizing_inputs.market_seen

    def peeking(*seen: Any) -> Market:
        market = honest(*seen)
        coming = (told.event for _, told in world.coming if isinstance(told.event, Candle))
        early = [candle for candle in coming if candle.venue == REFERENCE][:1]
        minutes = {candle.open_ts: candle for candle in (*market.minutes, *early)}
        return replace(market, minutes=tuple(minutes[ts] for ts in sorted(minutes)))

    with monkeypatch.context() as patched:
        patched.setattr(signals, "market_seen", peeking)
        world.run(60)
    cheated = {
        (entry.execution_id, entry.seq)
        for handled, entry in signals_of(world.tape)
        if logged_minutes(entry) != minutes_told(world.tape, handled, REFERENCE)
    }
    assert changed(world.tape, "signal") == cheated != set()


def test_a_signal_that_is_used_before_it_came_is_found_out() -> None:
    world = TapedWorld(8)
    view = world.market.signals

    def peeking(*asked: Any) -> Newest:
        early = SignalView()
        records = (*world.tape.told, *(told for _, told in world.coming))
        for offset, (place, key, event) in enumerate(records):
            if world.market.views[place] is view:
                assert event is None or isinstance(event, PolicySignalled)
                early.fold(0, offset, key, event)
        return early.newest(*asked)

    vars(view)["newest"] = peeking
    world.run(60)
    told = [entry for handled in world.tape.handled for entry in handled.entries if entry.kind == "told"]
    assert 0 < len(changed(world.tape, "told")) < len(told)


def test_the_cut_is_exact(tapes: list[Tape]) -> None:
    """With what came just after it, or without what came just before, decisions of the worlds differ."""
    tape = tapes[0]
    decided = [
        each for each in tape.handled if any(entry.kind in {"signal", "told"} for entry in each.entries)
    ]
    longer = shorter = 0
    for handled in decided:
        more = _moved(tape, handled, 40)
        less = _moved(tape, handled, -40)
        longer += made_again(tape, more) != handled.entries
        shorter += made_again(tape, less) != handled.entries
    assert min(longer, shorter) > len(decided) / 2


def _moved(tape: Tape, handled: Handled, by: int) -> Handled:
    return handled._replace(records=min(max(0, handled.records + by), len(tape.told)))
