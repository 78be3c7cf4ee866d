"""Faults that hold for a while, at the clock readings that the tests give."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from simulator.conditions import Block, Conditions
from simulator.connections import Connection, Unavailable
from simulator.fault_requests import SPEAKERS, FaultKind, FaultRequest, parse_fault
from simulator.refusals import blocked
from simulator.settings import SimulatorSettings
from simulator.simulation import Simulation
from simulator.venues.venue import AnnouncesCut, RestRequest, TellsStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

S = 1_000_000_000
START = 1_790_000_000 * S
PAIRS = [("binance", "BTC-USDT"), ("kraken", "BTC-USDT"), ("okx", "BTC-USDT")]
KRAKEN_BOOK = '{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USDT"]}}'


@pytest.fixture
def simulation() -> Simulation:
    settings = SimulatorSettings(rate=900.0, outages=0.0, history_days=1, symbols=("BTC-USDT",))
    return Simulation(settings, START)


def run(simulation: Simulation, from_ns: int, seconds: float, step_s: float = 0.05) -> int:
    for number in range(1, round(seconds / step_s) + 1):
        now_ns = from_ns + round(number * step_s * S)
        simulation.tick(now_ns)
    return now_ns


def a_fault(kind: str, **fields: Any) -> FaultRequest:
    return FaultRequest(kind=FaultKind(kind), **{"venue": "kraken", **fields})


def a_client(simulation: Simulation, venue: str, path: str, now_ns: int) -> Connection:
    return simulation.connect(venue, path, {}, now_ns)


def said(connection: Connection, now_ns: int) -> Iterator[dict[str, Any]]:
    """Yield the JSON of the text frames that have arrived."""
    raw = connection.line.arrived(now_ns)
    while raw:
        size, start = raw[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(raw[2:start], "big")
        if raw[0] == 0x81:
            yield json.loads(raw[start : start + size])
        raw = raw[start + size :]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"kind": "blocked", "durationS": 9}, "blocked lacks status; it takes status, durationS, at?"),
        ({"kind": "blocked", "status": 451}, "blocked lacks durationS"),
        ({"kind": "blocked", "status": 500, "durationS": 9}, "403, 418, 429, 451"),
        ({"kind": "blocked", "status": 451, "durationS": 9, "at": "door"}, "door"),
        ({"kind": "blocked", "status": 451, "durationS": 9, "symbol": "BTC-USDT"}, "takes no symbol"),
        ({"kind": "quiet", "durationS": 9, "probability": 0.5}, "begins at once, so it has no probability"),
        ({"kind": "drop", "once": True, "ageS": 9}, "drop takes no ageS: that is for daily_cut"),
        ({"kind": "maintenance", "venue": "okx", "durationS": 9}, "kraken would"),
        ({"kind": "maintenance", "durationS": 9, "system": "online"}, "online"),
        ({"kind": "shutdown_notice"}, "binance and okx would"),
        ({"kind": "slow_line", "durationS": 9, "bytesPerS": 1}, ">= 100"),
        ({"kind": "drift", "durationS": 9}, "drift lacks bps"),
        ({"kind": "one_sided", "durationS": 9, "side": "both"}, "side one of: bids asks"),
    ],
)
def test_what_a_condition_does_not_understand_is_refused_with_what_would_be(
    body: dict[str, object], says: str
) -> None:
    with pytest.raises(ValueError, match=says.replace("?", r"\?")):
        parse_fault(json.dumps({"venue": "kraken", **body}).encode(), PAIRS, str)


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "blocked", "status": 451, "at": "socket", "durationS": 9},
        {"kind": "maintenance", "durationS": 9, "system": "cancel_only"},
        {"kind": "one_sided", "durationS": 9, "side": "bids", "symbol": "BTC-USDT"},
        {"kind": "daily_cut", "ageS": 86_400, "durationS": 9},
        {"kind": "slow_line", "bytesPerS": 1000, "durationS": 9, "once": True},
    ],
)
def test_a_condition_needs_no_once(body: dict[str, object]) -> None:
    request = parse_fault(json.dumps({"venue": "kraken", **body}).encode(), PAIRS, str)
    assert request.kind == body["kind"]


def test_a_block_is_met_where_it_is_until_it_ends_and_counts_whom_it_met() -> None:
    conditions = Conditions()
    conditions.begin(1, a_fault("blocked", status=418, at="rest", duration_s=10.0), START)
    assert conditions.block("kraken", "socket", START) is None
    assert conditions.block("okx", "rest", START) is None
    assert conditions.block("kraken", "rest", START + 4 * S) == Block(418, 6)
    assert conditions.totals[FaultKind.BLOCKED] == 1
    assert not conditions.end_due(START + 9 * S)
    assert len(conditions.end_due(START + 10 * S)) == 1
    assert conditions.block("kraken", "rest", START + 10 * S) is None


def test_a_block_for_good_names_no_time() -> None:
    conditions = Conditions()
    conditions.begin(1, a_fault("blocked", status=451, duration_s=10.0), START)
    assert conditions.block("kraken", "socket", START) == Block(451, None)
    assert conditions.block("kraken", "rest", START) == Block(451, None)


@pytest.mark.parametrize(
    ("venue", "block", "says"),
    [
        ("binance", Block(451, None), "Service unavailable from a restricted location"),
        ("binance", Block(418, 60), f"IP banned until {(START + 60 * S) // 1_000_000}"),
        ("bybit", Block(403, None), "403, access too frequent"),
        ("kraken", Block(451, None), "451 Unavailable For Legal Reasons"),
        ("okx", Block(403, None), "403 Forbidden"),
        ("coinbase", Block(429, 9), "429 Too Many Requests"),
    ],
)
def test_a_block_is_told_in_the_venues_words(venue: str, block: Block, says: str) -> None:
    reply = blocked(venue, block, START)
    assert (reply.status, reply.headers.get("Retry-After")) == (
        block.status,
        None if block.retry_after_s is None else str(block.retry_after_s),
    )
    assert says in reply.body


def test_each_connection_is_cut_at_its_own_age() -> None:
    conditions = Conditions()
    conditions.begin(1, a_fault("daily_cut", age_s=60.0, duration_s=1_000.0), START)

    def cuts(opened_s: int) -> list[int]:
        return [
            second
            for second in range(1, 130)
            if conditions.cut_at_age(
                "kraken", START + opened_s * S, START + (second - 1) * S, START + second * S
            )
        ]

    assert cuts(10) == [70]  # opened 10 s later, cut 60 s after; a cut one is opened anew
    assert cuts(25)[0] == 85
    assert cuts(-150)[0] == 30  # older than the age already: at the next multiple of it
    assert conditions.cut_at_age("okx", START, START + 59 * S, START + 61 * S) is False


def test_an_age_below_a_nanosecond_cuts_and_ends_nothing_else() -> None:
    conditions = Conditions()
    conditions.begin(1, a_fault("daily_cut", age_s=1e-10, duration_s=5.0), START)
    assert conditions.cut_at_age("kraken", START, START, START + S) is True


def test_a_blocked_socket_is_refused_and_those_that_are_open_stay(simulation: Simulation) -> None:
    connection = a_client(simulation, "kraken", "/v2", START)
    simulation.add_fault(a_fault("blocked", status=451, at="socket", duration_s=5.0), START)
    with pytest.raises(Unavailable) as refused:
        a_client(simulation, "kraken", "/v2", START + S)
    assert refused.value.reply is not None
    assert refused.value.reply.status == 451
    simulation.receive(connection, KRAKEN_BOOK, START + S)
    now_ns = run(simulation, START + S, 1.0)
    assert not connection.is_cut
    assert any(message.get("channel") == "book" for message in said(connection, now_ns))
    assert simulation.rest("kraken", RestRequest("/0/public/Time", {}, "a"), START + S).status == 200
    run(simulation, START + 5 * S, 0.1)
    a_client(simulation, "kraken", "/v2", START + 6 * S)


def test_maintenance_is_told_to_all_and_nothing_is_matched_until_online(simulation: Simulation) -> None:
    early = a_client(simulation, "kraken", "/v2", START)
    simulation.receive(early, KRAKEN_BOOK, START)
    now_ns = run(simulation, START, 0.5)
    assert next(said(early, now_ns))["data"][0]["system"] == "online"
    simulation.add_fault(a_fault("maintenance", duration_s=5.0), now_ns)
    simulation.tick(now_ns)  # what had happened before
    late = a_client(simulation, "kraken", "/v2", now_ns)
    before = simulation.truth("kraken", "BTC-USDT", now_ns)["venueSeq"]
    other = simulation.truth("okx", "BTC-USDT", now_ns)["bids"]
    now_ns = run(simulation, now_ns, 4.5)
    messages = list(said(early, now_ns))
    told_at = [message["channel"] for message in messages].index("status")
    status, *rest = messages[told_at:]
    frame = {"channel": "status", "type": "update", "data": status["data"]}
    assert status == frame
    (told,) = status["data"]
    assert (told["system"], told["api_version"], told["version"]) == ("maintenance", "v2", "2.0.10")
    assert isinstance(told["connection_id"], int)
    assert {message["channel"] for message in rest} == {"heartbeat"}
    assert next(said(late, now_ns))["data"][0]["system"] == "maintenance"
    assert simulation.truth("kraken", "BTC-USDT", now_ns)["venueSeq"] == before
    assert simulation.truth("okx", "BTC-USDT", now_ns)["bids"] != other
    now_ns = run(simulation, now_ns, 2.0)
    online, *rest = (message for message in said(early, now_ns) if message["channel"] != "heartbeat")
    assert online["data"][0]["system"] == "online"
    assert rest
    assert all(message["channel"] == "book" for message in rest)
    (status_shown,) = simulation.faults.statuses(now_ns)
    assert (status_shown.state, status_shown.injected) == ("spent", 3)  # one, and at the end two


def test_limit_only_matches_on(simulation: Simulation) -> None:
    simulation.add_fault(a_fault("maintenance", duration_s=5.0, system="limit_only"), START)
    before = simulation.truth("kraken", "BTC-USDT", START)["venueSeq"]
    now_ns = run(simulation, START, 2.0)
    assert simulation.truth("kraken", "BTC-USDT", now_ns)["venueSeq"] != before


def test_a_condition_that_is_cleared_ends_at_once(simulation: Simulation) -> None:
    simulation.add_fault(a_fault("maintenance", duration_s=500.0), START)
    simulation.add_fault(a_fault("one_sided", duration_s=500.0, venue="okx"), START)
    simulation.add_fault(a_fault("slow_line", duration_s=500.0, bytes_per_s=100), START)
    now_ns = run(simulation, START, 0.5)
    assert simulation.truth("okx", "BTC-USDT", now_ns)["asks"] == []
    simulation.clear_faults(now_ns)
    assert simulation.faults.statuses(now_ns) == []
    connection = a_client(simulation, "kraken", "/v2", now_ns)
    assert connection.bytes_per_s is None
    simulation.tick(now_ns + S)
    assert next(said(connection, now_ns + S))["data"][0]["system"] == "online"
    assert simulation.truth("okx", "BTC-USDT", now_ns)["asks"] != []


@pytest.mark.parametrize("side", ["bids", "asks"])
@pytest.mark.parametrize("venue", ["binance", "bybit", "coinbase", "kraken", "okx"])
def test_a_side_goes_and_comes_back_in_the_truth_itself(
    simulation: Simulation, venue: str, side: str
) -> None:
    other = "asks" if side == "bids" else "bids"
    simulation.add_fault(a_fault("one_sided", venue=venue, side=side, duration_s=3.0), START)
    now_ns = run(simulation, START, 2.0)
    truth: dict[str, Any] = simulation.truth(venue, "BTC-USDT", now_ns)
    assert truth[side] == []
    assert len(truth[other]) > 100
    run(simulation, now_ns, 0.5)
    later: dict[str, Any] = simulation.truth(venue, "BTC-USDT", now_ns)
    assert later[other] != truth[other]  # it goes on
    now_ns = run(simulation, now_ns, 2.0)
    whole: dict[str, Any] = simulation.truth(venue, "BTC-USDT", now_ns)
    assert len(whole[side]) > 100
    assert whole["bids"][0][0] < whole["asks"][0][0]


@pytest.mark.parametrize(("side", "bps"), [("asks", 400.0), ("bids", -400.0)])
def test_levels_that_the_price_has_passed_do_not_come_back(
    simulation: Simulation, side: str, bps: float
) -> None:
    simulation.add_fault(a_fault("one_sided", side=side, duration_s=60.0), START)
    simulation.add_fault(a_fault("drift", bps=bps, duration_s=2.0), START)
    now_ns = run(simulation, START, 6.0)
    book, flow = simulation.market.book("kraken", "BTC-USDT"), simulation.market.flow("kraken", "BTC-USDT")
    assert flow.give_back(now_ns) is not None
    assert min(len(book.bids), len(book.asks)) > 0
    assert book.bids.best < book.asks.best


def test_of_two_that_want_a_side_the_first_has_it(simulation: Simulation) -> None:
    first = simulation.add_fault(a_fault("one_sided", duration_s=5.0, side="bids"), START)
    second = simulation.add_fault(a_fault("one_sided", duration_s=1.0, side="asks"), START)
    assert (first.injected, second.injected) == (1, 0)
    now_ns = run(simulation, START, 2.0)
    truth: dict[str, Any] = simulation.truth("kraken", "BTC-USDT", now_ns)
    assert truth["bids"] == []
    assert truth["asks"] != []


def mid(simulation: Simulation, venue: str) -> float:
    truth: dict[str, Any] = simulation.truth(venue, "BTC-USDT", START)
    return float(truth["bids"][0][0] + truth["asks"][0][0]) / 2


def test_a_drift_moves_the_book_and_it_stays_there(simulation: Simulation) -> None:
    simulation.add_fault(a_fault("drift", venue="binance", bps=300.0, duration_s=5.0), START)
    now_ns = run(simulation, START, 10.0)
    assert mid(simulation, "binance") / mid(simulation, "okx") - 1 == pytest.approx(300e-4, abs=25e-4)
    simulation.add_fault(a_fault("drift", venue="binance", bps=-300.0, duration_s=2.0), now_ns)
    now_ns = run(simulation, now_ns, 1.0)
    simulation.clear_faults(now_ns)  # half way
    run(simulation, now_ns, 5.0)
    assert mid(simulation, "binance") / mid(simulation, "okx") - 1 == pytest.approx(150e-4, abs=25e-4)


def test_a_deep_book_is_deeper_than_a_snapshot_of_it() -> None:
    settings = SimulatorSettings(levels=6000, history_days=1, outages=0.0, feed="simulator")
    simulation = Simulation(settings, START)
    now_ns = run(simulation, START, 2.0)
    for symbol in settings.symbols:
        truth: dict[str, Any] = simulation.truth("binance", symbol, now_ns)
        assert min(len(truth["bids"]), len(truth["asks"])) > 5000, symbol
        query = {"symbol": symbol.replace("-", ""), "limit": "5000"}
        reply = simulation.rest("binance", RestRequest("/api/v3/depth", query, "a"), now_ns)
        shown = json.loads(reply.body)
        assert [len(shown[side]) for side in ("bids", "asks")] == [5000, 5000]
        assert [float(price) for price, _ in shown["bids"]] == [row[0] for row in truth["bids"][:5000]]


@pytest.mark.parametrize("one", [True, False])
def test_a_cut_that_is_called_off_does_not_follow(simulation: Simulation, *, one: bool) -> None:
    connection = a_client(simulation, "okx", "/ws/v5/public", START)
    fault = simulation.add_fault(a_fault("shutdown_notice", venue="okx", grace_s=3.0), START)
    if one:
        assert simulation.faults.end(fault.id, START + S)
    else:
        simulation.clear_faults(START + S)
    run(simulation, START + S, 5.0)
    assert not connection.is_cut


@pytest.mark.parametrize(
    ("venue", "path", "query", "exact"),
    [
        (
            "binance",
            "/ws/btcusdt@depth",
            {},
            {"e": "serverShutdown", "E": START // 1_000_000},
        ),
        (
            "binance",
            "/stream",
            {"streams": "btcusdt@depth"},
            {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": START // 1_000_000}},
        ),
        (
            "okx",
            "/ws/v5/public",
            {},
            {
                "event": "notice",
                "code": "64008",
                "msg": "The connection will soon be closed for a service upgrade. Please reconnect.",
                "connId": "00000001",
            },
        ),
    ],
)
def test_a_cut_is_announced_as_the_venue_does_and_follows(
    simulation: Simulation, venue: str, path: str, query: dict[str, str], exact: dict[str, object]
) -> None:
    told = simulation.connect(venue, path, query, START)
    simulation.add_fault(a_fault("shutdown_notice", venue=venue, grace_s=3.0), START)
    later = simulation.connect(venue, path, query, START + S)
    simulation.tick(START + 2 * S)
    assert next(said(told, START + 2 * S)) == exact
    assert not told.is_cut
    simulation.tick(START + 4 * S)
    assert (told.is_cut, later.is_cut) == (True, False)


def test_who_is_said_to_speak_can(simulation: Simulation) -> None:
    paths = {
        "binance": "/ws",
        "bybit": "/v5/public/spot",
        "coinbase": "/",
        "kraken": "/v2",
        "okx": "/ws/v5/public",
    }
    speakers = {
        FaultKind.MAINTENANCE: [name for name, venue in simulation.venues.items() if tells(venue)],
        FaultKind.SHUTDOWN_NOTICE: [
            name
            for name in simulation.venues
            if isinstance(a_client(simulation, name, paths[name], START).session, AnnouncesCut)
        ],
    }
    assert speakers == {kind: list(names) for kind, names in SPEAKERS.items()}


def tells(venue: object) -> bool:
    return isinstance(venue, TellsStatus)
