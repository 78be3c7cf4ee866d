from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from libs.common.events import SourceState
from libs.common.told import input_fault
from services.context.judging import PAUSES_S, Reply, Verdict, backoff_ns, judge
from services.context.source import Get, MalformedError, Reading, Source, Value, is_canonical

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

S = 1_000_000_000
NOW = 1_800_000_000 * S


def a_source(reading: Reading | Exception) -> Source:
    def read(_replies: Mapping[str, bytes], _symbols: Collection[str], _now: int) -> Reading:
        if isinstance(reading, Exception):
            raise reading
        return reading

    def requests(_symbols: Collection[str]) -> tuple[Get, ...]:
        return (Get("/"),)

    return Source(
        name="here",
        names=("rr25",),
        host="https://example.com",
        simulated="",
        period_s=10.0,
        oldest_s=60.0,
        rate=None,
        requests=requests,
        read=read,
    )


def judged(reading: Reading | Exception, *replies: Reply, pace: float = 1.0, took_ns: int = 0) -> Verdict:
    asked = {f"/{n}": reply for n, reply in enumerate(replies or (Reply(200),))}
    return judge(a_source(reading), asked, ("BTC-USDT",), pace, 0, took_ns, NOW)


def said(value: float = 0.1, ts: int = NOW, name: str = "rr25", until_ts: int | None = None) -> Reading:
    return Reading([Value("BTC-USDT", name, value, ts, until_ts)])


def test_a_new_answer_is_fresh_and_holds_for_three_polls() -> None:
    verdict = judged(said(ts=NOW - 5 * S), pace=2.0)
    assert (verdict.state, verdict.reason, verdict.pause_ns) == (SourceState.FRESH, "", 20 * S)
    (given,) = verdict.inputs
    assert (given.symbol, given.name, given.value, given.source) == ("BTC-USDT", "rr25", 0.1, "here")
    assert (given.ts, given.valid_until_ts) == (NOW - 5 * S, NOW + 60 * S)
    assert input_fault(given, NOW) == ""
    assert not verdict.failed


def test_a_poll_that_takes_long_gives_numbers_that_hold_the_longer() -> None:
    assert judged(said(), took_ns=30 * S).inputs[0].valid_until_ts == NOW + 3 * (10 + 30) * S


def test_only_a_canonical_symbol_becomes_a_part_of_an_address() -> None:
    symbols = (
        "BTC-USDT",
        "btc-usdt",
        "BTCUSDT",
        "BTC-USDT&x=1",
        "../BTC-USDT",
        "*",
        "",
        "BTC-USDT?",
        "É-USDT",
    )
    assert [symbol for symbol in symbols if is_canonical(symbol)] == ["BTC-USDT"]


def test_a_source_may_know_the_end_of_its_numbers() -> None:
    assert judged(said(until_ts=NOW + 7)).inputs[0].valid_until_ts == NOW + 7


def test_nothing_asked_and_nothing_said_is_no_trouble() -> None:
    verdict = judged(Reading())
    assert (verdict.state, verdict.inputs, verdict.failed) == (SourceState.FRESH, (), False)


@pytest.mark.parametrize(("age_s", "state"), [(60, SourceState.FRESH), (61, SourceState.STALE)])
def test_what_is_older_than_its_source_may_say_is_stale_and_not_told(age_s: int, state: SourceState) -> None:
    verdict = judged(said(ts=NOW - age_s * S))
    assert verdict.state is state
    assert len(verdict.inputs) == (state is SourceState.FRESH)
    if state is SourceState.STALE:
        assert verdict.reason == "BTC-USDT rr25 is 61 s old, over 60"
        assert verdict.pause_ns == 10 * S
        assert verdict.failed


@pytest.mark.parametrize(
    ("reading", "why"),
    [
        (said(7.0), "BTC-USDT rr25 is 7, and must be from -5 to 5"),
        (said(float("nan")), "BTC-USDT rr25 is nan, and must be from -5 to 5"),
        (said(float("inf")), "BTC-USDT rr25 is inf, and must be from -5 to 5"),
        (said(11.0, name="atmVol"), "BTC-USDT atmVol is 11, and must be from 0.001 to 10"),
        (said(ts=NOW + 3_600 * S), "BTC-USDT rr25 is 3.6e+03 s ahead of this clock"),
        (MalformedError("the answer is no JSON"), "the answer is no JSON"),
        (Reading(faults=["ETH: one-sided"]), "ETH: one-sided"),
        (Reading(faults=["a", "b", "c", "d", "e"]), "a; b; c; and 2 more"),
    ],
)
def test_what_cannot_be_used_is_failing_in_words(reading: Reading | Exception, why: str) -> None:
    verdict = judged(reading)
    assert (verdict.state, verdict.reason, verdict.inputs) == (SourceState.FAILING, why, ())
    assert verdict.failed
    assert verdict.pause_ns == backoff_ns("here", 0, 1.0)


def test_one_fault_leaves_the_other_values_and_the_period() -> None:
    verdict = judged(Reading([Value("BTC-USDT", "rr25", 0.1, NOW)], ["ETH: one-sided"]))
    assert (verdict.state, verdict.reason) == (SourceState.FAILING, "ETH: one-sided")
    assert len(verdict.inputs) == 1
    assert verdict.pause_ns == 10 * S
    assert not verdict.failed


@pytest.mark.parametrize("status", sorted(PAUSES_S))
def test_a_limit_is_obeyed_for_as_long_as_it_says(status: int) -> None:
    verdict = judged(said(), Reply(200), Reply(status, retry_after_s=7_200.0))
    assert (verdict.state, verdict.inputs, verdict.pause_ns) == (SourceState.LIMITED, (), 7_200 * S)
    assert str(status) in verdict.reason
    assert judged(said(), Reply(status)).pause_ns == PAUSES_S[status] * S


def test_a_limit_of_no_time_is_a_second_and_a_block_is_never_short() -> None:
    assert judged(said(), Reply(429, retry_after_s=0.0)).pause_ns == S
    assert judged(said(), Reply(403, retry_after_s=1.0)).pause_ns == 600 * S


@pytest.mark.parametrize("status", [301, 404, 500, 503])
def test_other_answers_are_failing_with_their_status(status: int) -> None:
    verdict = judged(said(), Reply(status, b"<html>"))
    assert (verdict.state, verdict.inputs) == (SourceState.FAILING, ())
    assert verdict.reason == f"it answered with status {status}"


def test_a_busy_server_is_left_alone_for_as_long_as_it_says() -> None:
    assert judged(said(), Reply(503, retry_after_s=120.0)).pause_ns == 120 * S


def test_no_answer_says_why() -> None:
    assert judged(said(), Reply(0, fault="there is no answer: TimeoutError")).reason == (
        "there is no answer: TimeoutError"
    )


def test_pauses_double_up_to_five_minutes_and_differ_between_sources() -> None:
    pauses = [backoff_ns("okx", failures, 1.0) / S for failures in range(12)]
    for failures, pause in enumerate(pauses):
        longest = min(300.0, 10.0 * 2**failures)
        assert longest / 2 <= pause <= longest
    assert pauses == [backoff_ns("okx", failures, 1.0) / S for failures in range(12)]
    assert len({backoff_ns(name, 3, 1.0) for name in ("okx", "bybit", "deribit", "binance-usdm")}) == 4
    assert backoff_ns("okx", 10_000, 1.0) <= 300 * S


def test_an_answer_s_words_do_nothing_on_a_terminal() -> None:
    assert judged(MalformedError("\x1b[2J\nboo")).reason == r"\x1b[2J\nboo"
