"""A pair that its venue serves as another one's has no book: no socket, no request, and a reason why."""

from __future__ import annotations

import pytest

from libs.common.events import BookHealth, BookState
from libs.common.time_units import NS_PER_MS
from services.l2.feeds import FEEDS
from services.l2.handlers import State, handle
from services.l2.messages import BookUnwanted, BookWanted, CandlesKnown, ClockSet, Forget, Tick
from services.l2.record import main
from services.l2.settings import L2Settings
from tests.l2_world import POLICY, START

KEY = "coinbase:BTC-USDC"


def a_state() -> State:
    return State(FEEDS, lambda venue: (f"ws://test/{venue}", f"http://test/{venue}"), POLICY)


def test_what_stands_in_the_log_is_refused_without_a_socket_and_said_again_and_again() -> None:
    state, now = a_state(), START
    said = list(handle(state, BookWanted("coinbase", "BTC-USDC", 7), now))
    said += handle(state, CandlesKnown(KEY, ()), now)
    for _ in range(20 * 3600):  # an hour
        now += 50 * NS_PER_MS
        said += handle(state, Tick(), now)
    said += handle(state, ClockSet(3600 * 1000 * NS_PER_MS), now + 3600 * 1000 * NS_PER_MS)
    healths = [each for each in said if isinstance(each, BookHealth)]
    assert {(each.state, each.reason) for each in healths} == {
        (BookState.REFUSED, "coinbase serves BTC-USDC as BTC-USD: subscribe coinbase:BTC-USD")
    }
    assert len(healths) >= 3600
    assert {type(each).__name__ for each in said} <= {"BookHealth", "CloseSocket"}, "no socket, no request"
    assert handle(state, BookUnwanted("coinbase", "BTC-USDC"), now)[-1] == Forget(KEY)


def test_pairs_with_books_of_their_own_are_asked_for() -> None:
    for symbol in ("USDT-USDC", "EURC-USDC", "BTC-USD"):
        said = handle(a_state(), BookWanted("coinbase", symbol, 0), START)
        assert "OpenSocket" in [type(each).__name__ for each in said]


def test_settings_refuse_it_and_name_the_place() -> None:
    with pytest.raises(ValueError, match="place 2 names a pair that coinbase serves as another") as error:
        L2Settings(l2_books="binance:BTC-USDC,coinbase:btc/usdc")
    assert "btc/usdc" not in str(error.value.errors()[0]["msg"])  # type: ignore[attr-defined]  # pydantic's
    assert L2Settings(l2_books="binance:BTC-USDC,coinbase:USDT-USDC").books()[1] == ("coinbase", "USDT-USDC")


def test_the_recorder_refuses_it_before_it_writes(
    tmp_path: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    out = f"{tmp_path}/x.jsonl"
    assert main(["coinbase", "BTC-USDC", "--out", out]) == 2
    assert "subscribe coinbase:BTC-USD" in capsys.readouterr().err
