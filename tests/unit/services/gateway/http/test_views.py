"""What differs between an event and its answer; all else is the rule of `View`."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from libs.common.events import (
    AuditEntry,
    BookState,
    BookTop,
    ExecutionRecord,
    ExecutionSimulated,
    InstrumentTerms,
    PaperOrderPlaced,
    PolicyChosen,
    PortfolioOptimized,
    Position,
    RouterSnapshot,
    SizingSnapshot,
    SuspectDay,
    VenueMetrics,
)
from services.gateway.http.router_views import CHOICE, SNAPSHOT, unused_scope
from services.gateway.http.view import encode
from services.gateway.http.views import (
    AS_OF,
    AUDIT_ENTRY,
    BOOK,
    BOOK_SUMMARY,
    EXECUTION,
    PAPER_ORDER,
    PORTFOLIO,
    POSITION,
    SIMULATION,
    SIZING,
    SYMBOL_METRICS,
)
from services.gateway.reading.book_status import BookStatus
from tests.full_valued import full
from tests.unit.services.gateway.world import a_book_health

if TYPE_CHECKING:
    from msgspec import Struct

STALE = BookStatus(BookState.STALE, "silent")
MS = 1_000_000


def told(answer: Struct) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(encode(answer))
    return said


@pytest.mark.parametrize(("fills_total", "said"), [(1500, 1500), (None, 1)])
def test_an_answer_says_how_many_fills_there_were_beyond_those_it_shows(
    fills_total: int | None, said: int
) -> None:
    placed, record = full(PaperOrderPlaced), full(ExecutionRecord)
    assert told(PAPER_ORDER(replace(placed, fills_total=fills_total)))["fillsTotal"] == said
    assert told(EXECUTION(replace(record, fills_total=fills_total)))["fillsTotal"] == said


def test_an_order_has_short_names_and_exact_amounts_and_tells_nothing_of_its_book() -> None:
    order = told(PAPER_ORDER(full(PaperOrderPlaced)))["order"]
    placed = full(PaperOrderPlaced).order
    assert (order["orderId"], order["size"], order["limit"]) == (placed.cl_ord_id, "0.0125", "0.0125")
    assert order["ts"] == placed.submitted_ts // MS
    assert not {"clOrdId", "submittedTs", "mid", "epoch", "seq", "arrivesTs", "cumQuote"} & order.keys()


def test_an_execution_says_what_each_of_its_venues_does_in_exact_amounts() -> None:
    answer = told(EXECUTION(full(ExecutionRecord)))
    (leg,) = answer["legs"]
    amounts = ("size", "filled", "open", "unscheduled", "avgPx", "fees")
    assert [leg[name] for name in amounts] == ["0.0125"] * 6
    assert leg["shortfall"] == answer["shortfall"]
    assert {"maxVenues", "venues", "singleVenue", "savingBps", "savedBps", "splitReason"} <= answer.keys()


def test_an_execution_says_where_to_verify_it_and_how_else_it_might_have_been_worked() -> None:
    record = full(ExecutionRecord)
    answer = told(EXECUTION(record))
    assert answer["audit"]["href"] == f"/api/audit/{record.execution_id}"
    assert answer["policyScore"] == record.score
    assert "scope" not in answer
    assert answer["alternatives"][0]["whyNot"] == record.plan.alternatives[0].why_not
    assert "alternatives" not in answer["plan"]
    assert answer["plan"]["slices"] == [
        {"at": record.plan.slices[0].at_ts // MS, "size": 0.0125, "limit": 0.0125, "venue": "binance"}
    ]
    assert told(EXECUTION(replace(record, plan=None)))["alternatives"] == []


def test_amounts_of_an_execution_are_numbers_but_for_those_of_its_orders_and_fills() -> None:
    answer = told(EXECUTION(full(ExecutionRecord)))
    assert (answer["filled"], answer["sizing"]["quantity"]) == (0.0125, 0.0125)
    assert (answer["fills"][0]["price"], answer["orders"][0]["cumQty"]) == ("0.0125", "0.0125")


def test_the_parts_of_a_shortfall_have_names_in_camel_case() -> None:
    record = full(ExecutionRecord)
    cost = replace(record.shortfall, detail={"walk_bps": 1.0, "timing_bps": 2.0, "notional": "7"})
    answer = told(EXECUTION(replace(record, shortfall=cost)))
    assert answer["shortfall"]["detail"] == {"walkBps": 1.0, "timingBps": 2.0, "notional": "7"}


@pytest.mark.parametrize(("caps", "said"), [({"cvar": 0.5, "cash": 1.0}, 0.5), ({"cash": 1.0}, None)])
def test_a_sizing_names_the_cap_of_the_cvar_budget(caps: dict[str, float], said: float | None) -> None:
    assert told(SIZING(replace(full(SizingSnapshot), caps=caps)))["cvarCap"] == said


def test_a_simulation_shows_the_alternatives_beside_its_plan() -> None:
    answer = told(SIMULATION(full(ExecutionSimulated)))
    assert len(answer["alternatives"]) == 1
    assert "alternatives" not in answer["plan"]
    assert "commandId" not in answer


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ('{"a":{"b_ts":1}}', {"a": {"b_ts": 1}}),
        ("[1]", {"altered": "[1]"}),
        ('{"a":' * 5_000, {"altered": '{"a":' * 5_000}),
    ],
)
def test_a_payload_is_shown_as_it_was_hashed_and_as_text_if_it_is_no_object(payload: str, said: Any) -> None:
    assert told(AUDIT_ENTRY(replace(full(AuditEntry), payload=payload)))["payload"] == said


def test_the_id_of_a_choice_is_that_of_the_decision_to_be_rewarded() -> None:
    answer = told(CHOICE(full(PolicyChosen)))
    assert answer["decisionId"] == full(PolicyChosen).command_id
    assert answer["uncertaintyWidth"] == full(PolicyChosen).width
    assert not {"commandId", "width", "features", "layout"} & answer.keys()


def test_a_scope_tells_its_drift_and_who_provided_each_input_that_was_filled_and_which_is_a_stub_s() -> None:
    sources = {"obi": "binance book", "rr25": "deribit", "sentiment": "stub"}
    event = replace(full(RouterSnapshot), sources=sources, stubs=("sentiment",), drift_alarms=3)
    answer = told(SNAPSHOT(event))
    assert answer["drift"] == {"alarms": 3}
    assert answer["providers"] == [
        {"name": "obi", "stub": False, "source": "binance book"},
        {"name": "rr25", "stub": False, "source": "deribit"},
        {"name": "sentiment", "stub": True, "source": "stub"},
    ]
    older = told(SNAPSHOT(replace(event, sources={}, stubs=("rr25",))))
    assert older["providers"] == [{"name": "rr25", "stub": True, "source": "stub"}]


def test_a_scope_that_was_never_used_has_every_field_of_one_that_was_and_nothing_in_it() -> None:
    answer = told(unused_scope("mine"))
    assert answer.keys() == told(SNAPSHOT(full(RouterSnapshot))).keys()
    assert {name: each for name, each in answer.items() if each} == {"scope": "mine"}
    assert [answer[name] for name in ("ts", "noise", "layout", "lastChoice", "choices")] == [None] * 4 + [0]


def test_weights_are_keyed_as_the_caller_spelt_them_and_limits_named_as_the_caller_names_them() -> None:
    by_symbol = {"BTC-USDT": 0.5}
    event = replace(
        full(PortfolioOptimized),
        **dict.fromkeys(("weights", "kelly", "mean", "cvar_by_symbol", "cvar_limits"), by_symbol),
        **{key: {"BTC-USDT": 40} for key in ("observations_by_symbol", "filled_days")},
        suspect_days=(replace(full(SuspectDay), symbol="BTC-USDT"),),
        dropped=("BTC-USDT",),
        binding=("cvar_budget",),
        shadow_prices={"vol_target": 0.1},
    )
    answer = told(PORTFOLIO(event, spelt={"BTC-USDT": "btcusdt"}))
    spelt = {"btcusdt": 0.5}
    assert [answer[name] for name in ("weights", "kelly", "mean")] == [spelt] * 3
    assert answer["cvar"] == {
        "sum": event.cvar_sum,
        "portfolio": event.cvar_portfolio,
        "bySymbol": spelt,
        "limits": spelt,
    }
    assert (answer["symbols"], answer["dropped"]) == (["btcusdt"], ["btcusdt"])
    assert answer["observationsBySymbol"] == answer["filledDays"] == {"btcusdt": 40}
    assert [day["symbol"] for day in answer["suspectDays"]] == ["btcusdt"]
    assert (answer["binding"], answer["shadowPrices"]) == (["cvarBudget"], {"volTarget": 0.1})
    assert answer["firstDay"] == event.first_day_ts // MS


def test_amounts_of_a_position_are_plain_digits_and_its_price_has_no_zeros_too_many() -> None:
    held = replace(
        full(Position), quantity=Decimal("1E+2"), cash=Decimal("-0E-8"), avg_price=Decimal("100.5000")
    )
    answer = told(POSITION(held))
    assert [answer[name] for name in ("quantity", "cash", "avgPrice")] == ["100", "-0.00000000", "100.5"]
    assert "basis" not in answer
    assert told(POSITION(replace(held, avg_price=None)))["avgPrice"] is None


def test_whatever_a_stranger_calls_an_amount_is_answered() -> None:
    odd = Decimal("sNaN")
    assert told(POSITION(replace(full(Position), avg_price=odd, cash=odd)))["cash"] == "sNaN"
    assert told(EXECUTION(replace(full(ExecutionRecord), filled=odd)))["filled"] is None


@pytest.mark.parametrize(("venue_ts", "ts"), [(7 * MS, 7), (None, 9)])
def test_a_book_has_the_state_it_is_given_as_many_levels_as_asked_for_and_the_venues_time_if_it_has_one(
    venue_ts: int | None, ts: int
) -> None:
    levels = ((3.0, 1.0), (2.0, 1.0), (1.0, 1.0))
    top = replace(full(BookTop), bids=levels, asks=levels, venue_ts=venue_ts, received_ts=9 * MS)
    answer = told(BOOK(top, health=None, status=STALE, depth=2))
    assert (answer["state"], answer["reason"], answer["ts"]) == ("STALE", "silent", ts)
    assert (len(answer["bids"]), len(answer["asks"])) == (2, 2)
    past = told(AS_OF(top, status=STALE, at=11))
    assert (past["at"], past["ts"], past["instrument"], len(past["bids"])) == (11, ts, None, 3)


TERMS = InstrumentTerms(
    tick=Decimal("1E+1"), lot=Decimal("0.10"), min_qty=Decimal("0.10"), min_notional=Decimal(5)
)


@pytest.mark.parametrize(
    ("symbol", "terms", "tick", "source"),
    [("BTC-USDT", TERMS, "10", "venue"), ("BTC-USDT", None, "0.01", "table"), ("NO-SUCH", None, None, None)],
)
def test_a_book_tells_what_its_venue_demands_and_who_says_so(
    symbol: str, terms: InstrumentTerms | None, tick: str | None, source: str | None
) -> None:
    health = replace(a_book_health(), venue="binance", symbol=symbol, terms=terms)
    top = replace(full(BookTop), venue="binance", symbol=symbol)
    book = told(BOOK(top, health=health, status=STALE, depth=1))
    line = told(BOOK_SUMMARY(health, top=top, status=STALE, now=top.received_ts))
    assert book["instrument"] == line["instrument"]
    found = book["instrument"] or {}
    assert (found.get("tick"), found.get("source")) == (tick, source)


def test_the_line_of_a_book_has_no_numbers_of_a_top_that_never_came() -> None:
    line = told(BOOK_SUMMARY(a_book_health(), top=None, status=STALE, now=0))
    assert [line[name] for name in ("ts", "bestBid", "bestAsk", "ageMs")] == [None] * 4
    top = replace(full(BookTop), epoch=5, seq=6, bids=(), asks=((7.0, 1.0),), received_ts=3 * MS)
    line = told(BOOK_SUMMARY(a_book_health(), top=top, status=STALE, now=4 * MS))
    assert [line[name] for name in ("epoch", "seq", "bestBid", "bestAsk", "ageMs")] == [5, 6, None, 7.0, 1.0]
    assert told(BOOK_SUMMARY(a_book_health(), top=top, status=STALE, now=0))["ageMs"] == 0.0


def test_the_metrics_of_a_symbol_have_the_state_of_its_book_now_and_their_age() -> None:
    metrics = replace(full(VenueMetrics), state=BookState.LIVE, ts=MS)
    answer = told(SYMBOL_METRICS(metrics, status=STALE, now=3 * MS))
    assert (answer["state"], answer["reason"], answer["ageMs"]) == ("STALE", "silent", 2.0)
    assert (answer["latencyP50Ms"], "alpha" in answer) == (metrics.latency_p50_ms, False)
    assert told(SYMBOL_METRICS(metrics, status=STALE, now=0))["ageMs"] == 0.0
