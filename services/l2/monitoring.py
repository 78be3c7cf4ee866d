"""What l2 tells Prometheus, folded from its state at scrape time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from libs.common.events import BookState
from libs.common.metrics import Family, Histogram
from libs.common.time_units import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from libs.common.events import BookHealth
    from services.l2.handlers import State
    from services.l2.maintainer import BookMaintainer

BOOK = ("venue", "symbol")
# Seconds; a snapshot comes within half a second, a lost connection backs off for up to 30.
RECOVERIES = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0)


class Recoveries:
    """How long books are not LIVE."""

    def __init__(self) -> None:
        self.seconds = Histogram(RECOVERIES)
        self._left: dict[tuple[str, str], int] = {}  # ns UTC

    def saw(self, health: BookHealth, now: int) -> None:
        """Note a book's state: the time away ends when it is LIVE."""
        book = (health.venue, health.symbol)
        if health.state is not BookState.LIVE:
            self._left.setdefault(book, now)
        elif (left := self._left.pop(book, None)) is not None:
            self.seconds.observe((now - left) / NS_PER_S)


@dataclass(frozen=True, slots=True)
class Flow:
    """What passes through the shell."""

    clock_steps: int  # times that the machine's clock was set
    frames: int
    queued: int
    published: int  # records that Kafka has acknowledged
    lag_ns: int  # age of the oldest output that Kafka has not
    left_out: int  # records of subscriptions and healths that only another version knows
    too_large: int  # records that their topic does not take


def families(state: State, flow: Flow, recoveries: Recoveries, now: int) -> Iterable[Family]:
    """Return every metric of this process at `now` (ns UTC)."""
    books = [session.maintainer for session in state.sessions.values()]

    def per_book(value: Callable[[BookMaintainer], float]) -> Mapping[tuple[str, ...], float]:
        return {(book.venue, book.symbol): value(book) for book in books}

    text = "Times that the machine's clock was set; all books began anew"
    yield Family("bookrunner_l2_clock_steps_total", text, "counter", (), {(): flow.clock_steps})
    text = "Subscriptions and healths left out, as only another version knows them"
    yield Family("bookrunner_l2_left_out_total", text, "counter", (), {(): flow.left_out})
    text = "Messages not written, as their topic takes none so large; kept in dead-letters.v1"
    yield Family("bookrunner_l2_too_large_total", text, "counter", (), {(): flow.too_large})
    yield Family("bookrunner_l2_frames_total", "Frames received", "counter", (), {(): flow.frames})
    yield Family("bookrunner_l2_queued_outputs", "Outputs waiting for Kafka", "gauge", (), {(): flow.queued})
    yield Family(
        "bookrunner_l2_published_total", "Records that Kafka has", "counter", (), {(): flow.published}
    )
    yield Family(
        "bookrunner_l2_recovery_seconds",
        "From leaving LIVE, or the subscription, until a book is LIVE",
        "histogram",
        (),
        {(): recoveries.seconds},
    )
    yield Family(
        "bookrunner_l2_publish_lag_seconds",
        "From the socket until now, of the oldest output that Kafka has not acknowledged",
        "gauge",
        (),
        {(): flow.lag_ns / NS_PER_S},
    )
    yield Family(
        "bookrunner_l2_book_state",
        "1 for the state a book is in",
        "gauge",
        (*BOOK, "state"),
        {(b.venue, b.symbol, each.value): float(b.state is each) for b in books for each in BookState},
    )
    yield Family(
        "bookrunner_l2_book_lag_seconds",
        "Receipt minus venue time of the last message, clocks uncorrected",
        "gauge",
        BOOK,
        per_book(lambda b: (b.received_ts - b.venue_ts) / NS_PER_S if b.venue_ts is not None else 0.0),
    )
    yield Family(
        "bookrunner_l2_book_silence_seconds",
        "Since the last message of a book was received",
        "gauge",
        BOOK,
        per_book(lambda b: max(0, now - b.received_ts) / NS_PER_S),
    )
    yield Family(
        "bookrunner_l2_epoch_timestamp_seconds",
        "When a book's epoch began, unix time; 0 before the first",
        "gauge",
        BOOK,
        per_book(lambda b: b.epoch / 1e3),
    )
    for name, text in (
        ("messages", "Book messages accepted"),
        ("gaps", "Sequence holes, crossed books and unreadable frames"),
        ("resyncs", "Resyncs begun"),
        ("checksum_failures", "Checksums that differed"),
        ("disconnects", "Connections that ended or failed"),
        ("stales", "Connections that fell silent"),
        ("bad_frames", "Frames and replies kept as dead letters"),
        ("orphan_deletes", "Deletes of levels never seen"),
        ("ignored", "Messages that the feed does not know or cannot use, and late ones"),
        ("checksums_matched", "Messages whose checksum was the venue's"),
        ("false_stamps", "Venue times that cannot be true, and were not used"),
        ("repeated_trades", "Trades of an id that had been counted"),
        ("trade_holes", "Times at which the venue's trade ids left some out"),
        ("missing_trades", "Trades whose ids were left out"),
        (
            "reconnects",
            "Orderly reconnects: the new connection's book took over before the old one was dropped",
        ),
        ("resnapshots", "Snapshots taken while LIVE, as the mid neared the edge of what is known"),
        ("quotes_matched", "Best quotes of the venue that equalled the book at the same venue id"),
    ):
        yield Family(
            f"bookrunner_l2_{name}_total",
            text,
            "counter",
            BOOK,
            per_book(lambda b, n=name: getattr(b.counts, n)),  # type: ignore[misc]  # a default argument binds the name
        )
