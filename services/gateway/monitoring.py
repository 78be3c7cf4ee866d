"""What the gateway tells Prometheus of itself; what was asked over HTTP is counted in `traffic`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.common.metrics import Family
from services.gateway.reading.fleet import SERVICES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from libs.common.budgets import Account, Usage
    from services.gateway.asking.commands import Commands
    from services.gateway.asking.new_scopes import NewScopes
    from services.gateway.asking.questions import Questions
    from services.gateway.reading.audit_log import AuditLog
    from services.gateway.reading.books import Books
    from services.gateway.reading.past_books import PastBooks
    from services.gateway.reading.topic_views import GatewayViews
    from services.gateway.stream.hub import Hub


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
        (
            "view_held_up",
            "Partitions of a view that stand: an open transaction, or no answer of Kafka",
            {n: len(v.held_up) for n, v in by_topic.items()},
        ),
        ("view_ready", "1 once a view has caught up", {n: float(v.ready) for n, v in by_topic.items()}),
    ):
        yield Family(f"{prefix}_{what}", text, "gauge", ("topic",), values)
    held_up = {(topic.name,): len(partitions) for topic, partitions in questions.held_up.items()}
    text = "Partitions of answers that stand: an open transaction, or no answer of Kafka"
    yield Family(f"{prefix}_answers_held_up", text, "gauge", ("topic",), held_up)
    for what, text, value in (
        ("rebuilds", "Past books being rebuilt", past_books.rebuilding),
        ("commands_waiting", "Commands without an answer yet", questions.waiting),
        ("streams", "Open streams", hub.open_streams),
    ):
        yield Family(f"{prefix}_{what}", text, "gauge", (), {(): value})
    left_out = {name: view.left_out for name, view in by_topic.items()}
    text = "Messages left out of a view, as only another version knows them"
    yield Family(f"{prefix}_view_left_out_total", text, "counter", ("topic",), left_out)
    unknown = {(topic.name,): count for topic, count in questions.left_out.items()}
    text = "Answers left out, as only another version knows them"
    yield Family(f"{prefix}_answers_left_out_total", text, "counter", ("topic",), unknown)
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


def kept(
    commands: Commands, past_books: PastBooks, audit_log: AuditLog, hub: Hub, new_scopes: NewScopes
) -> Iterable[Family]:
    """Return what the gateway keeps for callers, and how often there was no room for one more."""
    places = (
        hub.places,
        hub.replays.places,
        past_books.places,
        audit_log.places,
        commands.places,
        commands.waiters,
    )
    yield Family(
        "bookrunner_gateway_places",
        "Places taken of those that callers share",
        "gauge",
        ("what",),
        {(each.allowance.name,): each.taken.total for each in places},
    )
    text = "Bytes that wait for slow clients of streams"
    yield Family("bookrunner_gateway_stream_backlog_bytes", text, "gauge", (), {(): hub.backlog_bytes})
    replies = commands.replies
    text = "Bytes of the replies kept under Idempotency-Keys"
    yield Family("bookrunner_gateway_reply_bytes", text, "gauge", (), {(): replies.bytes.total})
    refused = {
        (each.name, limit): count
        for each in (*(place.allowance for place in places), commands.keys, commands.key_bytes)
        for limit, count in each.refused.items()
    }
    refused["scopes", "address"] = new_scopes.refused
    yield Family(
        "bookrunner_gateway_places_refused_total",
        "Requests for which there was no room, by whose share was taken",
        "counter",
        ("what", "limit"),
        refused,
    )
    text = "Bytes read for streams of old messages, as their budget counts them"
    yield Family("bookrunner_gateway_replay_bytes_total", text, "counter", (), {(): hub.replays.bytes})


def turned_away(refusals: Mapping[str, int], addresses: int) -> Iterable[Family]:
    """Return what the guards in front of the routes count."""
    yield Family(
        "bookrunner_gateway_refused_total",
        "Requests refused before a route saw all of them, and answers that nobody took",
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


def measured(before: Mapping[str, Usage], found: Mapping[str, Usage | None]) -> Mapping[str, Usage]:
    """Return what is known of each topic that is there: as found, else as it was before."""
    return {name: known for name, usage in found.items() if (known := usage or before.get(name))}


def of_topics(accounts: Mapping[str, Account]) -> Iterable[Family]:
    """Return what the topics take on Kafka beside their budgets, by name."""
    for what, text, values in (
        ("records", "Records in a topic, at most", {n: a.records for n, a in accounts.items()}),
        ("bytes", "Bytes of a topic in one replica's logs", {n: a.bytes for n, a in accounts.items()}),
        ("budget_records", "Records that it may have", {n: a.budget.records for n, a in accounts.items()}),
        ("budget_bytes", "Bytes that it may take", {n: a.budget.bytes for n, a in accounts.items()}),
    ):
        known = {(name,): value for name, value in values.items() if value is not None}
        yield Family(f"bookrunner_topic_{what}", text, "gauge", ("topic",), known)
