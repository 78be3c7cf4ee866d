"""Whatever comes and goes: each cause is told once, recovers once, and never more than once a minute."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.alerts.ledger import Ledger
from services.gateway.alerts.outbox import Outbox
from tests.unit.services.gateway.alerts.causes import S, a_cause, at

if TYPE_CHECKING:
    from collections.abc import Sequence

TICK_S = 10  # so that a minute is six of them, and a hold of 30 s three
KINDS = {"a": ("trading-halted", 0), "b": ("book-not-live", 3), "c": ("execution-failed", 0)}
MINUTE = 6

# Of each tick: for each place how often its cause has happened, 0: it does not stand.
counts = st.dictionaries(st.sampled_from(sorted(KINDS)), st.integers(1, 3), max_size=3)
anyhow = st.lists(st.tuples(counts, st.integers(1, 9)), max_size=25)
flapping = st.tuples(st.sampled_from("ab"), st.lists(st.integers(1, 7), max_size=30)).map(
    lambda drawn: [({drawn[0]: 1} if turn % 2 else {}, ticks) for turn, ticks in enumerate(drawn[1])]
)
runs = anyhow | flapping


class Told(NamedTuple):
    tick: int
    state: str
    since: int  # tick
    suppressed: int


def of_ledger(history: Sequence[dict[str, int]]) -> dict[str, list[Told]]:
    ledger = Ledger()
    found: dict[str, list[Told]] = {place: [] for place in KINDS}
    for tick, counted in enumerate(history):
        causes = [a_cause(place, KINDS[place][0], occurrences=n) for place, n in counted.items()]
        for alert in ledger.judge(causes, at(tick * TICK_S)):
            since = (alert.since - at(0).ts) // (TICK_S * S)
            found[alert.cause.place].append(Told(tick, alert.state, since, alert.suppressed))
    return found


def of_stretches(stretches: Sequence[tuple[dict[str, int], int]], quiet: int = 0) -> list[dict[str, int]]:
    nothing: dict[str, int] = {}
    return [*(counted for counted, ticks in stretches for _ in range(ticks)), *[nothing] * quiet]


def by_hand(levels: Sequence[int], hold: int) -> list[Told]:
    """Derive the same of one key from the rules, as they are written, with all of its past at hand."""
    told: list[Told] = []
    missed = 0

    def last(state: str) -> int:
        return max((each.tick for each in told if each.state == state), default=-MINUTE)

    def say(tick: int, state: str, since: int) -> None:
        nonlocal missed
        told.append(Told(tick, state, since, missed))
        missed = 0

    began, open_level = 0, 0  # open: how many the receiver knows of, of what it thinks stands
    for tick, level in enumerate(levels):
        before = levels[tick - 1] if tick else 0
        if level and not before:
            if open_level:
                missed += 1  # it was back before anybody heard that it had gone
            else:
                began = tick
        if level:
            open_level = min(open_level, level)
            if level > open_level and tick - began >= hold and tick - last("firing") >= MINUTE:
                missed += level - open_level - 1
                open_level = level
                say(tick, "firing", began)
        else:
            if before and tick - 1 - began >= hold:
                missed += before - open_level
            if open_level and tick - last("resolved") >= MINUTE:
                open_level = 0
                say(tick, "resolved", began)
    return told


@settings(max_examples=600)
@given(runs)
def test_any_sequence_of_causes_is_told_as_the_rules_say(stretches: list[tuple[dict[str, int], int]]) -> None:
    history = of_stretches(stretches, 2 * MINUTE)
    for place, told in of_ledger(history).items():
        levels = [counted.get(place, 0) for counted in history]
        assert told == by_hand(levels, KINDS[place][1]), place


@settings(max_examples=300)
@given(runs)
def test_recoveries_follow_alerts_one_for_one_and_each_state_keeps_its_minute(
    stretches: list[tuple[dict[str, int], int]],
) -> None:
    history = of_stretches(stretches, 2 * MINUTE)
    for place, told in of_ledger(history).items():
        states = [state for state, _ in groupby(each.state for each in told)]
        assert states == ["firing", "resolved"] * (len(states) // 2), "all is over in the end, and told"
        for state in ("firing", "resolved"):
            ticks = [each.tick for each in told if each.state == state]
            assert all(later - sooner >= MINUTE for sooner, later in pairwise(ticks))
        hold = KINDS[place][1]
        longest = max(
            (len(list(run)) for stood, run in groupby(bool(c.get(place)) for c in history) if stood),
            default=0,
        )
        assert bool(told) == (longest > hold)


@settings(max_examples=300)
@given(runs, st.lists(st.booleans(), min_size=1, max_size=40))
def test_through_a_receiver_that_fails_at_times_the_last_word_of_each_key_arrives(
    stretches: list[tuple[dict[str, int], int]], takes: list[bool]
) -> None:
    history = of_stretches(stretches)
    ledger, outbox = Ledger(), Outbox()
    said: dict[str, str] = {}
    arrived: dict[str, str] = {}
    mentioned = sent = 0
    for tick, counted in enumerate(history):
        causes = [a_cause(place, KINDS[place][0], occurrences=n) for place, n in counted.items()]
        for alert in ledger.judge(causes, at(tick * TICK_S)):
            said[alert.cause.place] = alert.state
            outbox.put(alert)
            sent += 1
        now = tick * TICK_S * S
        while outbox.wait_ns(now) == 0:
            head = outbox.head()
            if takes[(tick + outbox.sent + outbox.failed) % len(takes)]:
                arrived[head.cause.place] = head.state
                mentioned += 1
                outbox.taken(head)
            else:
                outbox.not_taken(head, now, refused=False)
    while (wait_ns := outbox.wait_ns(0)) is not None and wait_ns >= 0:
        head = outbox.head()
        arrived[head.cause.place] = head.state
        mentioned += 1
        outbox.taken(head)
    assert arrived == said
    assert mentioned + outbox.replaced == sent
