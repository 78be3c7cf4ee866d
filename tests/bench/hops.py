"""What the observers of an end-to-end run found, hop by hop, beside raw round trips through the same Kafka.

The hops of a delta: from its sending to l2's socket (`received_ts`), from there to a consumer of Kafka, and
from there to a client of the gateway's stream, who has it as JSON. Tops are conflated to ten a second and
book, so only the messages that a top carried last can be followed to GET; asking begins when a consumer of
Kafka has the top, so its last hop is an upper bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from libs.common.time_units import NS_PER_MS, NS_PER_S
from tests.bench.load_exchange import SYMBOLS
from tests.bench.observers import ROUND_TRIP_BYTES, ROUND_TRIP_S
from tests.bench.report import Latency, Quartiles, Result, latency, quartiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bench.load_exchange import SendLog
    from tests.bench.observers import Observers, Sighting
    from tests.bench.report import Report

RATE: Final = 1000  # messages a second, all books together
WARM_UP_S: Final = 5
MEASURED_S: Final = 60
BOOKS: Final = 2 * len(SYMBOLS)
ROUND_TRIP_TOPIC: Final = "bench.round-trips.v1"
NEEDED_DELTAS: Final = 10_000
BENCH: Final = "end_to_end"
BASELINE: Final = "raw aiokafka round trip"


class LostMessagesError(RuntimeError):
    """The chain did not carry what was sent; then there is no latency to print."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What came out of a run."""

    sent: SendLog
    seen: Observers
    cpu: Mapping[str, float]  # of one core, by process
    books: Sequence[Mapping[str, int | str]]


def tell(report: Report, measured: Measured, cores: str) -> None:
    """Report every hop.

    Raises
    ------
    LostMessagesError
        If a message was lost on the way, or a book was not LIVE to the end.
    """
    sent = _sent_by_ms(measured.sent)
    _check(measured, sent)
    assumptions: dict[str, float | int | str] = {
        "rate_per_s": RATE,
        "books": BOOKS,
        "loop": "open; latency from the true time of sending",
        "messages": "Binance 20.7 levels, 553 bytes; Kraken v2 depth 10 with checksum; half each",
        "warm_up_s": WARM_UP_S,
        "measured_s": MEASURED_S,
        "processes": f"{cores}, broker, exchange and observers on them too",
        "stream": "one client of /api/stream has every delta",
    }
    report.add(
        Result(
            bench=BENCH,
            case="CPU, parts of a core",
            contender="all processes",
            figures={name: f"{share:.0%}" for name, share in measured.cpu.items()},
        )
    )
    raw = [(at, took) for at, took in measured.seen.round_trips if at >= min(sent.values())]
    raw_figures = latency([took for _, took in raw])
    begun = min(sent.values())
    report.add(
        Result(
            bench=BENCH,
            case="beside the load",
            contender=BASELINE,
            figures=_figures(raw_figures),
            latency_ms={"round trip": raw_figures},
            assumptions={"bytes": ROUND_TRIP_BYTES, "every_s": ROUND_TRIP_S, "acks": "all", "linger_ms": 0},
        )
    )
    raw_medians = _medians([(at, took) for at, took in raw], begun)
    lag = latency(
        [
            ts - measured.sent.start_ts - at * measured.sent.interval_ns
            for at, ts in enumerate(measured.sent.sent_ts)
        ]
    )
    for case, sightings, json_ts, last_hop in (
        (f"every delta, {RATE:,}/s", measured.seen.deltas, measured.seen.streamed, "Kafka to streamed JSON"),
        ("the messages tops carried", measured.seen.tops, measured.seen.shown, "Kafka to JSON by GET"),
    ):
        followed = [at for at in sent if at in sightings and at in json_ts]
        hops = _hops(followed, sent, sightings, json_ts, last_hop)
        whole = hops.pop("total")
        timed = [(sent[at], json_ts[at] - sent[at]) for at in followed]
        report.add(
            Result(
                bench=BENCH,
                case=case,
                contender="socket to gateway JSON",
                figures=_figures(whole),
                ratio=_ratio(_medians(timed, begun), raw_medians),
                baseline=BASELINE,
                latency_ms={"total": whole, "sent after due": lag},
                assumptions=assumptions,
            )
        )
        for hop, found in hops.items():
            figures = {"share": f"{found.mean / whole.mean:.0%}"} | _figures(found)
            report.add(
                Result(bench=BENCH, case=case, contender=hop, figures=figures, latency_ms={hop: found})
            )
    report.say(f"  the exchange sent p50 {lag.p50:.2f} p99 {lag.p99:.2f} ms after the due time")
    report.say(f"  {measured.seen.polls} GETs were made")


def _sent_by_ms(log: SendLog) -> dict[int, int]:
    """Return when each message after the warm-up was sent, by its venue time in ms."""
    first = WARM_UP_S * RATE
    return {
        (log.start_ts + at * log.interval_ns) // NS_PER_MS: ts
        for at, ts in enumerate(log.sent_ts)
        if at >= first
    }


def _check(measured: Measured, sent: Mapping[int, int]) -> None:
    wrong = [
        book for book in measured.books if book["state"] != "LIVE" or book["gaps"] or book["checksumFailures"]
    ]
    if wrong or len(measured.books) != BOOKS:
        raise LostMessagesError(f"not {BOOKS} books LIVE without a gap: {measured.books}")
    for name, found in (("Kafka", measured.seen.deltas), ("the stream", measured.seen.streamed)):
        lost = len(sent.keys() - found.keys())
        if lost:
            raise LostMessagesError(f"{lost} of {len(sent)} messages were not seen on {name}")
    if len(sent) < NEEDED_DELTAS:
        raise LostMessagesError(f"{len(sent)} messages are too few for a p99")


def _hops(
    followed: Sequence[int],
    sent: Mapping[int, int],
    sightings: Mapping[int, Sighting],
    json_ts: Mapping[int, int],
    last_hop: str,
) -> dict[str, Latency]:
    return {
        "socket to l2": latency([sightings[at].received_ts - sent[at] for at in followed]),
        "l2 to Kafka's consumer": latency(
            [sightings[at].seen_ts - sightings[at].received_ts for at in followed]
        ),
        last_hop: latency([json_ts[at] - sightings[at].seen_ts for at in followed]),
        "total": latency([json_ts[at] - sent[at] for at in followed]),
    }


def _figures(found: Latency) -> dict[str, float | int | str]:
    return {"p50 ms": found.p50, "p90": found.p90, "p99": found.p99, "max": found.max, "n": found.count}


def _medians(timed: Sequence[tuple[int, int]], begun: int) -> dict[int, float]:
    """Return the median duration (ns) of each second."""
    seconds: dict[int, list[int]] = {}
    for at, took in timed:
        seconds.setdefault((at - begun) // NS_PER_S, []).append(took)
    return {second: float(np.median(values)) for second, values in seconds.items()}


def _ratio(ours: Mapping[int, float], raw: Mapping[int, float]) -> Quartiles:
    return quartiles([ours[second] / raw[second] for second in sorted(ours.keys() & raw.keys())])
