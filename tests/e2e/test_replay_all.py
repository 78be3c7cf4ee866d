"""Every recording that has a book: through simulator, sockets, l2 and Kafka, held against its oracle.

The numbers are those that each recording was found to have, by other code, beside the recordings. What reads
Kafka here is a dict a side, fed from MessagePack alone: it must agree with the venue's best quotes on the
way, and at the end have the simulator's own book.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from libs.common.venues import venue_of
from simulator.recordings import Frame, open_recording
from tests import recordings
from tests.e2e.system import System, until
from tests.e2e.test_replay import everything_on, finished
from tests.recordings import needs_recordings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [needs_recordings, pytest.mark.timeout(150)]

TEN_PAIRS = "ADA-EUR BAT-BTC BAT-EUR ETH-USD GALA-EUR SGB-EUR USDT-EUR USDT-USD XLM-GBP XRP-EUR"
COINBASE_PAIRS = "BAND-BTC BAND-GBP CRV-EUR DASH-BTC NMR-EUR NU-GBP SKL-BTC SKL-GBP SKL-USD YFI-BTC"
UNVERIFIED = "consistent as far as can be seen; the venue offers no proof"


LEVELS_KNOWN = 300  # a side, of the thousand that a snapshot shows: the market moved on from it


@dataclass(frozen=True)
class Oracle:
    """What a recording holds; `deltas` are those that no snapshot contains, over all books."""

    path: Path
    venue: str
    symbols: str
    deltas: int
    underway: int = 0  # at most so many come before the REST snapshot's reply, and are inside the keyframe
    quotes: int = 0
    checksums: int = 0
    reason: str = "consistent"
    speed: str = "20"
    resnapshots: int = 0  # at most so many, as the market leaves what the recorded snapshot shows


ORACLES = (
    Oracle(
        recordings.BINANCE_USDM,
        "binance-usdm",
        "BTC-USDT",
        6551 - 4,
        102,
        quotes=629,
        speed="10",
        resnapshots=3,
    ),
    Oracle(recordings.BINANCE_COINM, "binance-coinm", "BTC-USD", 26847 - 23, 402, quotes=1124),
    Oracle(
        recordings.BINANCE_2021,
        "binance",
        "BLZ-ETH LRC-BTC NKN-USDT RUNE-EUR",
        177 - 5,
        5,
        quotes=26,
        speed="5",
    ),
    Oracle(recordings.BITSTAMP, "bitstamp", TEN_PAIRS, 615, 30, reason=UNVERIFIED, speed="5"),
    Oracle(recordings.COINBASE, "coinbase", "BTC-USD ETH-USD", 775 - 2),
    Oracle(
        recordings.COINBASE_2021, "coinbase-exchange", COINBASE_PAIRS, 9729 - 10, reason=UNVERIFIED, speed="2"
    ),
    Oracle(recordings.BYBIT, "bybit-200", "BTC-USDT ETH-USDT", 299 + 249),
    Oracle(recordings.BYBIT_FIXTURE, "bybit", "BTC-USDT", 8),
    Oracle(recordings.OKX_2022, "okx-v5-2022", "BTC-USDT", 98 - 1, checksums=98),
    Oracle(recordings.KRAKEN_V2, "kraken", "BTC-USD", 3, checksums=4),
)


@dataclass
class Reader:
    """One book as a subscriber to `l2.book-deltas.v1` has it."""

    quotes: dict[int, tuple[float, ...]]  # of the venue, by book id: bid, its size, ask, its size
    resnapshots: int
    bids: dict[float, float] = field(default_factory=dict)
    asks: dict[float, float] = field(default_factory=dict)
    epochs: set[int] = field(default_factory=set)
    seq: int = 0
    told: int = 0
    agreed: int = 0

    def read(self, event: dict[str, Any]) -> None:
        self.epochs.add(event["epoch"])
        assert len(self.epochs) <= 1 + self.resnapshots, "one epoch means no gap and no resync"
        if event["type"] == "BookSnapshot":
            if event["reason"] == "resync":
                self.bids, self.asks, self.seq = dict(event["bids"]), dict(event["asks"]), event["seq"]
            assert (self.bids, self.asks, self.seq) == (
                dict(event["bids"]),
                dict(event["asks"]),
                event["seq"],
            )
            return
        assert event["seq"] == self.seq + 1
        self.seq = event["seq"]
        self.told += 1
        for side, levels in ((self.bids, event["bids"]), (self.asks, event["asks"])):
            for price, size in levels:
                if size:
                    side[price] = size
                else:
                    side.pop(price, None)
        if event["venue_seq"] in self.quotes:
            bid, ask = max(self.bids), min(self.asks)
            assert (bid, self.bids[bid], ask, self.asks[ask]) == self.quotes[event["venue_seq"]]
            self.agreed += 1

    def has(self, truth: dict[str, Any]) -> bool:
        most = None if len(self.epochs) == 1 else LEVELS_KNOWN
        return sorted(self.bids.items(), reverse=True)[:most] == [
            tuple(level) for level in truth["bids"][:most]
        ] and sorted(self.asks.items())[:most] == [tuple(level) for level in truth["asks"][:most]]


def best_quotes(oracle: Oracle, symbol: str) -> dict[int, tuple[float, ...]]:
    if not oracle.quotes:
        return {}
    begin = f'{{"stream":"{venue_of(oracle.venue).spell(symbol).lower()}@bookTicker"'
    frames = (record for record in open_recording(oracle.path).records() if isinstance(record, Frame))
    said = (json.loads(frame.text)["data"] for frame in frames if frame.text.startswith(begin))
    return {data["u"]: tuple(float(data[name]) for name in ("b", "B", "a", "A")) for data in said}


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda oracle: f"{oracle.venue} {oracle.path.stem}")
async def test_a_recording_reaches_kafka_whole_and_as_its_venue_proves_it(
    oracle: Oracle, fresh_kafka: str, tmp_path: Path
) -> None:
    symbols = oracle.symbols.split()
    quotes = {symbol: best_quotes(oracle, symbol) for symbol in symbols}
    settings = {
        "FEED": f"replay:{oracle.path}",
        "REPLAY_SPEED": oracle.speed,
        "REPLAY_SETTLE_S": "4",  # all books of one recording have asked for their snapshots by then
        "L2_BOOKS": ",".join(f"{oracle.venue}:{symbol}" for symbol in symbols),
    }
    async with System(fresh_kafka, tmp_path, **settings) as system:
        await until("the recording has ended", lambda: finished(system), 90)
        truths = {
            symbol: await system.get(f"/control/books/{oracle.venue}/{symbol}", system.simulator)
            for symbol in symbols
        }

        async def whole_in_kafka() -> dict[str, Reader] | None:
            readers = {symbol: Reader(quotes[symbol], oracle.resnapshots) for symbol in symbols}
            for event in await everything_on(fresh_kafka, "l2.book-deltas.v1"):
                readers[event["symbol"]].read(event)
            whole = all(reader.seq and reader.has(truths[symbol]) for symbol, reader in readers.items())
            return readers if whole else None

        readers: dict[str, Reader] = await until("Kafka has the simulator's books", whole_in_kafka, 9)
    published = sum(reader.told for reader in readers.values())
    assert oracle.deltas - oracle.underway <= published <= oracle.deltas
    agreed = sum(reader.agreed for reader in readers.values())
    assert 0.98 * oracle.quotes <= agreed <= oracle.quotes
    healths = await everything_on(fresh_kafka, "l2.book-health.v1")
    live = {health["symbol"]: health["reason"] for health in healths if health["state"] == "LIVE"}
    assert live == dict.fromkeys(symbols, oracle.reason)
    counts = {
        name: sum(max(h[name] for h in healths if h["symbol"] == symbol) for symbol in symbols)
        for name in ("gaps", "checksum_failures", "bad_frames", "checksums_matched", "quotes_matched")
    }
    assert 0.98 * oracle.quotes <= counts.pop("quotes_matched") <= oracle.quotes
    assert counts == {
        "gaps": 0,
        "checksum_failures": 0,
        "bad_frames": 0,
        "checksums_matched": oracle.checksums,
    }
