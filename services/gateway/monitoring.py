"""What the gateway tells Prometheus of itself; what was asked over HTTP is counted in `traffic`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.common.metrics import Family
from services.gateway.fleet import SERVICES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from services.gateway.books import Books
    from services.gateway.past_books import PastBooks
    from services.gateway.questions import Questions
    from services.gateway.stream import Hub
    from services.gateway.views import GatewayViews


def families(
    views: GatewayViews,
    books: Books,
    past_books: PastBooks,
    questions: Questions,
    hub: Hub,
    *,
    ready: bool,
) -> Iterable[Family]:
    """Return every metric of the process but the requests."""
    prefix = "bookrunner_gateway"
    text = "1 while every route does its work, as /readyz says"
    yield Family(f"{prefix}_ready", text, "gauge", (), {(): float(ready)})
    missing = {(service,): len(views.fleet.unowned(service)) for service in SERVICES}
    text = "Partitions of a service that no process heard works on"
    yield Family(f"{prefix}_partitions_missing", text, "gauge", ("service",), missing)
    by_topic = {(view.topic.name,): view for view in views.all}
    for what, text, values in (
        ("view_lag_messages", "Messages a view is behind its log", {n: v.lag() for n, v in by_topic.items()}),
        ("view_keys", "Keys in a view", {name: len(view.items) for name, view in by_topic.items()}),
        ("view_ready", "1 once a view has caught up", {n: float(v.ready) for n, v in by_topic.items()}),
    ):
        yield Family(f"{prefix}_{what}", text, "gauge", ("topic",), values)
    for what, text, value in (
        ("rebuilds", "Past books being rebuilt", past_books.rebuilding),
        ("commands_waiting", "Commands without an answer yet", questions.waiting),
        ("streams", "Open streams", hub.open_streams),
    ):
        yield Family(f"{prefix}_{what}", text, "gauge", (), {(): value})
    for what, text, count in (
        ("pages_encoded_total", "Book answers encoded; all others came from memory", books.encoded),
        ("rebuild_records_total", "Records read to rebuild past books", past_books.records),
        ("stream_dropped_total", "Messages that a slow client of a stream did not get", hub.dropped),
    ):
        yield Family(f"{prefix}_{what}", text, "counter", (), {(): count})
    yield Family(
        f"{prefix}_rebuild_seconds", "Of rebuilding a past book", "histogram", (), {(): past_books.seconds}
    )
    yield Family(
        f"{prefix}_command_seconds",
        "From a command until it was answered, refused, or given up",
        "histogram",
        ("command", "outcome"),
        questions.seconds,
    )


def turned_away(refusals: Mapping[str, int], addresses: int) -> Iterable[Family]:
    """Return what the guards in front of the routes count."""
    yield Family(
        "bookrunner_gateway_refused_total",
        "Requests refused before a route saw all of them",
        "counter",
        ("reason",),
        {(reason,): count for reason, count in sorted(refusals.items())},
    )
    yield Family(
        "bookrunner_gateway_write_addresses",
        "Addresses whose rate of writes is remembered",
        "gauge",
        (),
        {(): addresses},
    )
