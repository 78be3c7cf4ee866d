"""What l2 tells Prometheus, folded from its state at scrape time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.common.events import BookState
from libs.common.metrics import Family

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from services.l2.handlers import State
    from services.l2.maintainer import BookMaintainer

BOOK = ("venue", "symbol")


def families(state: State, frames: int, queued: int, lag_ns: int) -> Iterable[Family]:
    """Return every metric of this process; `lag_ns` is the age of the oldest output that Kafka has not."""
    books = [session.maintainer for session in state.sessions.values()]

    def per_book(value: Callable[[BookMaintainer], float]) -> Mapping[tuple[str, ...], float]:
        return {(book.venue, book.symbol): value(book) for book in books}

    yield Family("bookrunner_l2_frames_total", "Frames received", "counter", (), {(): frames})
    yield Family("bookrunner_l2_queued_outputs", "Outputs waiting for Kafka", "gauge", (), {(): queued})
    yield Family(
        "bookrunner_l2_publish_lag_seconds",
        "From the socket until now, of the oldest output that Kafka has not acknowledged",
        "gauge",
        (),
        {(): lag_ns / 1e9},
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
        per_book(lambda b: (b.received_ts - b.venue_ts) / 1e9 if b.venue_ts is not None else 0.0),
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
        ("checksums_matched", "Messages whose checksum was the venue's"),
        ("quotes_matched", "Best quotes of the venue that equalled the book at the same venue id"),
    ):
        yield Family(
            f"bookrunner_l2_{name}_total",
            text,
            "counter",
            BOOK,
            per_book(lambda b, n=name: getattr(b.counts, n)),  # type: ignore[misc]  # a default argument binds the name
        )
