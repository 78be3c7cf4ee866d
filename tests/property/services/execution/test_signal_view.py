"""The newest signal of a key is what a reader of all of them would find, whatever came in between."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from libs.common.events import PolicySignalled
from libs.common.told import signal_fault
from libs.common.topics import signal_key
from libs.common.views import MOST_KEYS
from services.execution.signal_view import KEEP, SignalView
from tests.execution_market import NOW, a_policy_signalled
from tests.execution_world import DAY, MINUTE, S
from tests.registered import a_policy_registered

POLICY = a_policy_registered("x_mine", kind="user", version="v2")
KEY = signal_key("x_mine", "BTC-USDT")
MOMENTS = st.integers(-6, 3).map(lambda n: NOW + n * 10 * S)
SIGNALS = st.builds(
    lambda at, lasts, value, version, part: (
        part,
        a_policy_signalled(value=value, inputs_ts=at, valid_until_ts=at + lasts, version=version),
    ),
    MOMENTS,
    st.sampled_from((0, 5 * S, 30 * S, DAY, 8 * DAY)),
    st.sampled_from((-1.0, 0.25, 1.0, 1.5, float("nan"))),
    st.sampled_from(("v2", "v2", "v2", "v1")),
    st.integers(0, 2),
)
Record = tuple[int, PolicySignalled]


def found(records: list[Record], now: int) -> PolicySignalled | None:
    view = SignalView()
    for offset, (partition, signal) in enumerate(records):
        view.fold(partition, offset, KEY, signal)
    return view.newest("x_mine", "BTC-USDT", POLICY, now).signal


def counts(signal: PolicySignalled, now: int) -> bool:
    """Tell whether it was usable at some moment until now: of each moment that matters."""
    moments = (signal.inputs_ts, signal.inputs_ts - S, signal.valid_until_ts, now)
    return any(moment <= now and not signal_fault(signal, POLICY, moment) for moment in moments)


def naive(records: list[Record], now: int) -> PolicySignalled | None:
    """Return the newest that counts, of all records."""
    counting = [(s.inputs_ts, offset, s) for offset, (_, s) in enumerate(records) if counts(s, now)]
    return max(counting, key=lambda each: each[:2])[2] if counting else None


@given(st.lists(SIGNALS, max_size=4 * KEEP), MOMENTS)
def test_it_is_the_one_that_a_reader_of_all_finds(records: list[Record], now: int) -> None:
    """As long as no more than KEEP others hide it from those that are kept."""
    well_formed = [s for _, s in records if counts(s, s.valid_until_ts)]
    lost = sum(not counts(signal, now) for _, signal in records)
    wanted = naive(records, now)
    if lost < KEEP:
        assert wanted is None or found(records, now) == wanted
    got = found(records, now)
    if got is not None and wanted is not None and len(well_formed) <= KEEP:
        assert got == wanted


@given(st.lists(SIGNALS, max_size=3 * KEEP), st.randoms(use_true_random=False))
def test_the_order_in_which_partitions_are_read_changes_nothing(records: list[Record], random: Any) -> None:
    """Each partition in its own order; offsets are those of the partitions."""
    placed = [(partition, offset, s) for offset, (partition, s) in enumerate(records)][:KEEP]
    others = sorted(placed, key=lambda each: (each[0], each[1]))
    if random.random() < 0.5:
        others.sort(key=lambda each: (-each[0], each[1]))
    results = []
    for order in (placed, others):
        view = SignalView()
        for partition, offset, signal in order:
            view.fold(partition, offset, KEY, signal)
        results.append(view.newest("x_mine", "BTC-USDT", POLICY, NOW).signal)
    assert repr(results[0]) == repr(results[1])  # a NaN is equal to none


def test_a_producer_whose_clock_was_ahead_for_an_hour_is_heard_as_soon_as_it_is_right() -> None:
    ahead = [(0, a_policy_signalled(inputs_ts=NOW + n * MINUTE, version="v2")) for n in range(1, 60)]
    right = [(0, a_policy_signalled(value=-0.5, inputs_ts=NOW, version="v2"))]
    got = found(ahead + right, NOW)
    assert got is not None
    assert got.value == -0.5
    late = found(ahead + right, NOW + 59 * MINUTE)
    assert late is not None
    assert late.inputs_ts == NOW + 59 * MINUTE


def test_late_ones_of_long_ago_do_not_hide_the_newest() -> None:
    new = [(0, a_policy_signalled(value=-0.5, inputs_ts=NOW, version="v2"))]
    old = [(0, a_policy_signalled(inputs_ts=NOW - n * S, version="v2")) for n in range(1, 100)]
    got = found(new + old, NOW)
    assert got is not None
    assert got.value == -0.5


def test_a_flood_of_keys_is_bounded_and_the_last_ones_told_are_kept() -> None:
    view = SignalView()
    for n in range(MOST_KEYS + 10):
        name = f"x_{n}"
        view.fold(0, n, signal_key(name, "BTC-USDT"), a_policy_signalled(name, version="v2"))
    policies = [a_policy_registered(f"x_{n}", kind="external") for n in (0, 9, 10, MOST_KEYS + 9)]
    kept = [view.newest(each.policy_id, "BTC-USDT", each, NOW).signal is not None for each in policies]
    assert kept == [False, False, True, True]


def test_what_cannot_be_the_signal_of_a_policy_of_others_is_not_even_decoded() -> None:
    view = SignalView()
    wanted = {
        key: view.wants(key) for key in (KEY, b"mine:BTC-USDT", b"p_sma:BTC-USDT", b"x_mine", b"x" * 500)
    }
    assert list(wanted.values()) == [True, True, False, False, False]
