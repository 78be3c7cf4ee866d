from __future__ import annotations

import os
import subprocess
import sys
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from msgspec.structs import replace

from backtest.delays import Immediate
from backtest.profile import Profile
from backtest.world import Trading, UnknownPolicyError, World
from libs.common.audit_chain import broken_links
from libs.common.events import ContextInput, PolicySignalled
from libs.common.time_units import MINUTE_NS, NS_PER_MS, NS_PER_S
from libs.common.topics import CONTEXT_INPUTS, L2_BOOK_TOPS, POLICIES_SIGNALS, input_key, signal_key
from services.execution.audit.rerun import rerun
from tests.backtest_market import BEGIN, MarketSource
from tests.backtest_records import Kept, a_digest

if TYPE_CHECKING:
    from pathlib import Path

    from backtest.bus import Bus, Record
    from libs.common.events import BookTop

HEAD = "from bookrunner import Policy, Signal\n"
TAIL = "\nPOLICY = Policy(signal=signal, summary='of a test', valid_s=300.0)\n"


def a_run(source: MarketSource, trading: Trading | None = None, **given: Any) -> tuple[World, Kept]:
    """Return a world at its end, and what it wrote."""
    with World(source, trading or Trading(source.symbols), **given) as world:
        kept = Kept(world)
        world.run()
        return world, kept


def test_two_runs_are_equal_byte_for_byte_in_another_process_with_other_hashes_too() -> None:
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "4711",
        "PYTHONPATH": os.getcwd(),  # noqa: PTH109 -- where pytest stands
        "EXECUTION_VOL_TARGET": "0.5",  # of a shell, which counts for nothing
    }
    elsewhere = subprocess.run(
        [sys.executable, "-m", "tests.backtest_records"],
        env=environment,
        capture_output=True,
        check=True,
        text=True,
        timeout=120,
    )
    here = a_digest()
    assert elsewhere.stdout == here
    assert a_digest(seed=6) != here


def test_audits_verify_and_every_decision_is_made_again() -> None:
    _, kept = a_run(MarketSource(minutes=8))
    entries = sorted(kept.events["AuditEntry"], key=attrgetter("execution_id"))
    decisions = 0
    for _, chain in groupby(entries, key=attrgetter("execution_id")):
        whole = list(chain)
        found = rerun(whole)
        assert [*broken_links(whole), *found.differences] == []
        decisions += found.decisions
    assert decisions > 30


def test_all_that_an_execution_causes_carries_its_conversation() -> None:
    source = MarketSource(minutes=4)
    with World(source, Trading(source.symbols)) as world:
        ids, caused = set[bytes](), dict[str, list[dict[str, bytes]]]()

        def note(record: Record) -> None:
            headers = dict(record.headers)
            if "ce_id" in headers:
                caused.setdefault(headers["ce_type"].decode(), []).append(headers)
                ids.add(headers["ce_id"])

        world.bus.tap(note)
        world.run()
    executions = {headers["ce_id"] for headers in caused["PlanAndExecute"]}
    for kind in ("PolicyChosen", "VenueScored", "ExecutionPlanned", "OrderFilled", "PolicyRewarded"):
        assert {headers["ce_correlationid"] for headers in caused[kind]} <= executions, kind
    # What a tick brings about follows from the message that asked for it, and has no record of its own.
    for kind in ("PolicyChosen", "VenueScored", "ChoosePolicy"):
        assert {headers["ce_causationid"] for headers in caused[kind]} <= ids, kind


def decided_before(kept: Kept, ts: int) -> list[tuple[int, str, bytes | None]]:
    return [each for each in kept.decided if each[0] < ts]


CUTS = [int(cut) for cut in np.random.Generator(np.random.Philox(key=11)).integers(90, 600, 6)]  # seconds


def cut_runs(kind: type[MarketSource], *, every_s: float | None, cuts: list[int]) -> list[bool]:
    """Return of each cut whether everything decided before it is as it is without a cut."""
    whole = a_run(kind(minutes=10, every_s=every_s))[1]
    same = []
    for cut_s in cuts:
        cut = BEGIN + cut_s * NS_PER_S
        source = kind(minutes=10, every_s=every_s, cut=cut)
        with World(source, Trading(source.symbols)) as world:
            kept = Kept(world)
            world.run(cut)
        before = decided_before(whole, cut)
        assert len(before) > 100
        same.append(decided_before(kept, cut) == before)
    return same


@pytest.mark.parametrize("every_s", [None, 1.0])
def test_what_is_decided_before_a_cut_of_the_source_is_the_same_without_it(every_s: float | None) -> None:
    assert all(cut_runs(MarketSource, every_s=every_s, cuts=CUTS[: 6 if every_s is None else 2]))


class Peeking(MarketSource):
    """A source whose books are those of in twenty seconds, stamped as of now."""

    def tops(self, ts: int) -> list[BookTop]:
        ahead = super().tops(min(ts + 20 * NS_PER_S, self.cut - 1))
        return [replace(top, venue_ts=ts, received_ts=ts) for top in ahead]


class Early(MarketSource):
    """A source that tells a minute when it opens, as a table of bars invites to."""

    ahead_ns = MINUTE_NS


@pytest.mark.parametrize("kind", [Peeking, Early])
def test_a_source_that_shows_the_future_is_found_out_by_the_cuts(kind: type[MarketSource]) -> None:
    assert not any(cut_runs(kind, every_s=None, cuts=CUTS[:3]))


def test_a_decision_sees_only_what_has_arrived_by_then() -> None:
    source = MarketSource(minutes=4, every_s=0.5)
    with World(source, Trading(source.symbols, MINUTE_NS // 2), seed=3) as world:
        sent: dict[tuple[str, str, int], int] = {}
        arrived: dict[tuple[str, str, int], int] = {}

        def note(record: Record, when: dict[tuple[str, str, int], int]) -> None:
            top: Any = record.event
            when.setdefault((top.venue, top.symbol, top.seq), world.now)

        world.bus.subscribe(L2_BOOK_TOPS, lambda record: note(record, arrived))
        world.bus.tap(lambda record: note(record, sent) if record.topic is L2_BOOK_TOPS else None)
        kept = Kept(world)
        world.run()
    filled = kept.events["OrderFilled"]
    assert len(filled) > 3
    for fill in filled:
        place = (fill.venue, fill.symbol, fill.seq)
        assert sent[place] < arrived[place] <= fill.ts
    late = [arrived[each] - sent[each] for each in arrived]
    assert 1.2 * NS_PER_MS < float(np.median(late)) < 2.6 * NS_PER_MS  # 1.8 ms as measured, and no overtaking


def test_without_delays_the_same_system_decides_at_once() -> None:
    _, slow = a_run(MarketSource(minutes=3))
    _, fast = a_run(MarketSource(minutes=3), delays=Immediate())
    for kept, least, most in ((slow, 9.0, 100.0), (fast, 0.0, 0.0)):
        asked = {each.command_id: each.ts for each in kept.events["ExecutionPlanned"]}
        waited = [
            (asked[record.execution_id] - record.created_ts) / NS_PER_MS
            for record in kept.events["ExecutionRecord"]
            if record.execution_id in asked
        ]
        assert waited
        assert least <= min(waited) <= max(waited) <= most


def test_policies_of_a_folder_take_part_and_one_that_reads_a_file_of_the_future_is_chosen_no_more(
    tmp_path: Path,
) -> None:
    (tmp_path / "future.csv").write_text("1,2,3\n")
    (tmp_path / "honest.py").write_text(
        HEAD + "def signal(market):\n"
        "    seen = [c.open_ts + 60_000_000_000 for c in market.minutes]\n"
        "    seen += [book.received_ts for book in market.books.values()]\n"
        "    if max(seen) > market.ts or len(market.books) < 2:\n"
        "        raise ValueError('the future, or no market')\n"
        "    return Signal(0.5, 'held')\n" + TAIL
    )
    reads = "    for line in open(__file__.replace('planted.py', 'future.csv')):\n        pass\n"
    (tmp_path / "planted.py").write_text(
        HEAD + "CALLS = []\ndef signal(market):\n"
        "    CALLS.append(market.ts)\n"
        "    if len(CALLS) > 5:\n"
        + reads.replace("    ", "        ", 1).replace("\n        pass", "\n            pass")
        + "    return Signal(1.0, 'I know')\n"
        + TAIL
    )
    (tmp_path / "unasked.py").write_text("raise SystemExit\n")
    source = MarketSource(minutes=12)
    trading = Trading(source.symbols, MINUTE_NS // 2, policies=("honest", "planted"))
    profile = Profile.of({"POLICIES_DIR": str(tmp_path)})
    world, kept = a_run(source, trading, profile=profile)
    states: dict[str, list[str]] = {}
    for entry in kept.events["PolicyRegistered"]:
        states.setdefault(entry.policy_id, []).append(entry.state)
        if entry.state == "quarantined":
            quarantined_ts, fault = entry.ts, entry.fault
    assert states["honest"][-1] == "running"
    assert states["planted"] == ["starting", "starting", "running", "quarantined"]
    assert "unasked" not in states
    assert "a policy reads no files when it is asked" in fault
    chosen = [(each.ts, each.policy_id) for each in kept.events["PolicyChosen"]]
    before = {policy for ts, policy in chosen if ts < quarantined_ts}
    after = {policy for ts, policy in chosen if ts > quarantined_ts + 50 * NS_PER_MS}
    assert before == {"honest", "planted"}
    assert after == {"honest"}
    asked = [each for each in kept.events["PolicySignalled"] if each.policy_id == "honest"]
    assert len(asked) >= 20  # each closed minute of two symbols
    assert world.trader.began_ts is not None


def test_signals_from_outside_and_inputs_of_a_context_count_as_live() -> None:
    def tell(bus: Bus) -> None:
        def say(minute: int) -> None:
            for symbol in ("BTC-USDT", "ETH-USDT"):
                signal = PolicySignalled(
                    policy_id="x_desk",
                    symbol=symbol,
                    value=1.0,
                    inputs_ts=bus.now,
                    valid_until_ts=bus.now + 2 * MINUTE_NS,
                    version="outside",
                )
                bus.publish(POLICIES_SIGNALS, signal_key("x_desk", symbol), signal)
            told = ContextInput(
                symbol="*",
                name="sentiment",
                value=0.25,
                source="desk",
                ts=bus.now,
                valid_until_ts=bus.now + MINUTE_NS,
            )
            bus.publish(CONTEXT_INPUTS, input_key("*", "sentiment"), told)
            if minute < 5:
                bus.at(bus.now + MINUTE_NS, say, minute + 1)

        say(0)

    source = MarketSource(minutes=15, also=tell)
    trading = Trading(source.symbols, policies=("p_flat", "x_desk"))
    _, kept = a_run(source, trading)
    entries = [
        (each.state, each.ts) for each in kept.events["PolicyRegistered"] if each.policy_id == "x_desk"
    ]
    assert [state for state, _ in entries] == ["running", "starting"]  # until its last signal was long over
    assert entries[1][1] - (BEGIN + 7 * MINUTE_NS) == pytest.approx(300 * NS_PER_S, abs=2 * NS_PER_S)
    chosen = [each for each in kept.events["PolicyChosen"] if each.policy_id == "x_desk"]
    assert chosen
    assert max(each.ts for each in chosen) < entries[1][1] + NS_PER_S
    sources = [each.sources.get("sentiment") for each in kept.events["PolicyChosen"]]
    assert sources.count("desk") > 5
    assert sources[-1] is None  # it ended


def test_the_trader_waits_until_the_system_can_decide_and_says_for_what() -> None:
    source = MarketSource(minutes=3, venues=("okx",), history_days=0)  # nothing of the reference venue
    with World(source, Trading(("BTC-USDT", "SOL-USDT"))) as world:
        world.run()
        assert world.trader.sent == 0
        assert world.trader.waited == "no venue has been measured yet for SOL-USDT"


def test_a_policy_that_nobody_runs_is_refused_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("")
    profile = Profile.of({"POLICIES_DIR": str(tmp_path)})
    source = MarketSource(minutes=1)
    with pytest.raises(
        UnknownPolicyError, match=r"^no policy is called p_smaa; known are mine, p_breakout, "
    ):
        World(source, Trading(source.symbols, policies=("p_smaa", "mine", "x_any")), profile)


def test_a_run_in_slices_is_the_run_at_once() -> None:
    source = MarketSource(minutes=5)
    with World(source, Trading(source.symbols)) as world:
        for minute in range(1, 6):
            world.run(BEGIN + minute * MINUTE_NS)
            assert world.now == BEGIN + minute * MINUTE_NS
        sliced = world.bus.written
    with World(MarketSource(minutes=5), Trading(source.symbols)) as world:
        world.run()
        assert (world.now, world.bus.written) == (source.provenance.end_ts, sliced)
