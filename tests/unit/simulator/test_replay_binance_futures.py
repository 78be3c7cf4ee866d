"""Both futures markets in a replay, where they differ from spot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from simulator.recordings import Frame, RestReply
from simulator.replay_binance import BinanceReplay
from simulator.replay_binance_futures import BinanceCoinmReplay, BinanceUsdmReplay
from simulator.replay_catalogue import catalogue_of
from simulator.replay_venue import Awaiting, HttpReply, Released
from tests.recordings import BINANCE_COINM, BINANCE_USDM, needs_recordings
from tests.unit.simulator.replay_builders import Levels, a_session, text

if TYPE_CHECKING:
    from pathlib import Path

URL = "wss://fstream.binance.com/stream"
DEPTH = "/binance-usdm/fapi/v1/depth"


def a_diff(previous: int, first: int, last: int, bids: Levels = (), pace: str = "@0ms") -> Frame:
    data = {"e": "depthUpdate", "E": last + 1000, "T": last + 900, "s": "BTCUSDT", "U": first, "u": last}
    data |= {"pu": previous, "b": bids, "a": ()}
    return Frame(0, "1", URL, text({"stream": f"btcusdt@depth{pace}", "data": data}))


def a_snapshot(last: int, bids: Levels = ()) -> RestReply:
    body = {"lastUpdateId": last, "E": 2, "T": 1, "bids": bids, "asks": ()}
    return RestReply(0, "https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT", text(body))


def played(*records: Frame | RestReply) -> BinanceUsdmReplay:
    venue = BinanceUsdmReplay()
    for record in records:
        venue.learn(record)
    for record in records:
        venue.play(record)
    return venue


def body(venue: BinanceUsdmReplay, **query: str) -> dict[str, Any]:
    answer = venue.rest(DEPTH, {"symbol": "BTCUSDT"} | query, 0)
    assert isinstance(answer, HttpReply)
    return msgspec.json.decode(answer.body, type=dict[str, Any])


def test_each_market_owns_its_hosts_and_no_other() -> None:
    venues = (BinanceReplay(), BinanceUsdmReplay(), BinanceCoinmReplay())
    urls = (
        "wss://stream.binance.com:9443/stream",
        "wss://fstream.binance.com/public/stream",
        "https://dapi.binance.com/dapi/v1/depth?symbol=BTCUSD_PERP",
        "ws://127.0.0.1:5100/binance/stream",
        "ws://127.0.0.1:5100/binance-usdm/stream",
        "ws://127.0.0.1:5100/binance-coinm/stream",
    )
    owned = [[venue.owns(url) for venue in venues].index(True) for url in urls]
    assert owned == [0, 1, 2, 0, 1, 2]
    assert all(sum(venue.owns(url) for venue in venues) == 1 for url in urls)


@pytest.mark.parametrize("asked", ["btcusdt@depth", "btcusdt@depth@100ms", "btcusdt@depth@0ms"])
def test_diffs_asked_for_at_any_pace_come_as_recorded(asked: str) -> None:
    frame = a_diff(1, 2, 3)
    venue = played(frame)
    session = a_session()
    connected = venue.connect(session, "/binance-usdm/stream", {"streams": f"{asked}/btcusdt@trade"})
    requested = venue.request(session, text({"method": "SUBSCRIBE", "params": [asked], "id": 1}), 0)
    delivery = venue.play(frame)
    assert delivery is not None
    assert not isinstance(delivery, Released)
    assert connected.subscribed == (delivery.topic, "btcusdt@trade")
    assert requested.subscribed == (delivery.topic,)
    assert delivery.wrapped == frame.text
    assert venue.is_book(delivery.topic)
    assert not venue.is_book("btcusdt@depth20")


def test_a_snapshot_still_ahead_is_awaited_and_released_byte_for_byte() -> None:
    venue = BinanceUsdmReplay()
    reply = a_snapshot(5, [("1.0", "1.0")])
    venue.learn(a_diff(1, 2, 6))
    venue.learn(reply)
    assert venue.rest(DEPTH, {"symbol": "BTCUSDT"}, 0) == Awaiting("BTCUSDT")
    assert venue.play(reply) == Released("BTCUSDT", reply.text)


def test_the_book_follows_the_chain_and_a_late_snapshot_says_its_last_event() -> None:
    venue = played(
        a_diff(1, 3, 8, [("98", "1")]),  # contains the snapshot's id
        a_snapshot(5, [("100", "1")]),
        a_diff(8, 20, 25, [("97", "2")]),  # ids of other symbols are between
    )
    assert body(venue) == {
        "lastUpdateId": 25,
        "bids": [["100", "1"], ["98", "1"], ["97", "2"]],
        "asks": [],
        "E": 1025,
        "T": 925,
    }
    assert body(venue, limit="1")["bids"] == [["100", "1"]]


def test_an_event_that_is_not_the_next_makes_the_book_unknown() -> None:
    venue = played(a_snapshot(5, [("100", "1")]), a_diff(5, 6, 8), a_diff(9, 9, 12))
    assert venue.truth("BTC-USDT") is None
    venue = played(a_snapshot(5, [("100", "1")]), a_diff(5, 6, 8), a_diff(8, 9, 12))
    truth = venue.truth("BTC-USDT")
    assert truth is not None
    assert truth.venue_seq == 12


@pytest.mark.parametrize(
    ("venue", "spelling", "symbol"),
    [
        (BinanceUsdmReplay(), "BTCUSDT", "BTC-USDT"),
        (BinanceUsdmReplay(), "BTCUSDT_240927", None),
        (BinanceCoinmReplay(), "BTCUSD_PERP", "BTC-USD"),
        (BinanceCoinmReplay(), "BTCUSD_240927", None),
    ],
)
def test_perpetuals_have_a_symbol_and_delivered_contracts_none(
    venue: BinanceReplay, spelling: str, symbol: str | None
) -> None:
    reply = text({"lastUpdateId": 5, "E": 2, "T": 1, "bids": (), "asks": ()})
    venue.learn(RestReply(0, f"https://x{venue.rest_path}/depth?symbol={spelling}", reply))
    stream = {"stream": f"{spelling.lower()}@depth@0ms", "data": {}}
    venue.learn(Frame(0, "1", URL, text(stream)))
    assert venue.symbols() == ((symbol,) if symbol else ())
    assert venue.unnamed == (set() if symbol else {spelling})


@needs_recordings
@pytest.mark.parametrize(
    ("path", "venue_id", "symbol", "diffs"),
    [(BINANCE_USDM, "binance-usdm", "BTC-USDT", 6551), (BINANCE_COINM, "binance-coinm", "BTC-USD", 26847)],
)
def test_the_recording_keeps_its_book_to_the_end_and_agrees_with_its_best_quotes(
    path: Path, venue_id: str, symbol: str, diffs: int
) -> None:
    catalogue = catalogue_of([str(path)])
    assert catalogue.books() == [f"{venue_id}:{symbol}"]
    venue = next(venue for venue in catalogue.venues if venue.venue == venue_id)
    assert isinstance(venue, BinanceReplay)
    spelling = "BTCUSDT" if symbol == "BTC-USDT" else "BTCUSD_PERP"
    rest = f"/{venue_id}{venue.rest_path}/depth"
    quotes: dict[int, list[list[str]]] = {}
    played, unknown, equal, last = 0, 0, 0, 0
    for _, record in catalogue.records_in_order():
        catalogue.play(record)
        said = msgspec.json.decode(record.text).get("data", {})
        if said.get("e") == "bookTicker":  # comes before the event of its id, now and then after it
            quotes[said["u"]] = [[said["b"], said["B"]], [said["a"], said["A"]]]
        elif said.get("e") == "depthUpdate":
            played, last = played + 1, said["u"]
        if last in quotes:
            quote = quotes.pop(last)
            answer = venue.rest(rest, {"symbol": spelling, "limit": "1"}, 0)
            if isinstance(answer, Awaiting):
                unknown += 1
                continue
            book = msgspec.json.decode(answer.body)
            assert (book["lastUpdateId"], [*book["bids"], *book["asks"]]) == (last, quote)
            equal += 1
    assert played == diffs
    truth = venue.truth(symbol)
    assert truth is not None
    assert truth.bids[0][0] < truth.asks[0][0]
    assert (unknown + equal) == (629 if symbol == "BTC-USDT" else 1125)
    assert unknown <= 1


@pytest.mark.parametrize("base", ["BTC", "DOT", "BNB"])
def test_a_perpetual_in_coins_is_quoted_in_dollars_whatever_its_coin_ends_in(base: str) -> None:
    assert BinanceCoinmReplay().read_symbol(f"{base}USD_PERP") == f"{base}-USD"


def test_a_perpetual_of_the_other_market_is_never_quoted_in_dollars() -> None:
    assert BinanceUsdmReplay().read_symbol("BTCBUSD") == "BTC-BUSD"
