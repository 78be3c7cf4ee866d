"""What the gateway tells Prometheus of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from libs.common.metrics import Family, Histogram
from services.gateway.reading.fleet import SERVICES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from libs.common.budgets import Account
    from services.gateway.alerts.totals import AlertTotals
    from services.gateway.http.guard import WriteGuard
    from services.gateway.http.parts import Parts

# Seconds; hot answers take microseconds, commands milliseconds to seconds.
BUCKETS: Final = (5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)
UNROUTED: Final = "unrouted"
_KINDS: Final[dict[str, Literal["counter", "histogram", "gauge"]]] = {
    "total": "counter",
    "seconds": "histogram",
}
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Traffic:
    """Answers by method, route template and status, with the seconds until their first byte."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str, int], Histogram] = {}

    def of(self, method: str, route: str, status: int) -> Histogram:
        """Return the histogram of these answers; a method HTTP does not know is counted as ``other``."""
        label = (method if method in _METHODS else "other", route, status)
        found = self._answers.get(label)
        return self._answers.setdefault(label, Histogram(BUCKETS)) if found is None else found

    def family(self) -> Family:
        """Return the histogram; its ``_count`` is the number of requests."""
        return Family(
            "bookrunner_gateway_request_seconds",
            "From request to the first byte of its answer",
            "histogram",
            ("method", "route", "status"),
            {
                (method, route, str(status)): seconds
                for (method, route, status), seconds in self._answers.items()
            },
        )


def families(
    parts: Parts,
    guard: WriteGuard,
    traffic: Traffic,
    accounts: Mapping[str, Account],
    alerts: AlertTotals,
    *,
    ready: bool,
) -> Iterator[Family]:
    """Return every metric of the gateway, and of the topics by name; `accounts` are theirs."""
    yield traffic.family()
    yield _family("ready", "1 while every route does its work, as /readyz says", {(): float(ready)})
    outcomes = {(name,): count for name, count in alerts._asdict().items() if name != "waiting"}
    yield _family("alerts_total", "Alerts to the webhook, by what became of each try", outcomes, "outcome")
    yield _family("alerts_waiting", "Alerts that wait for the webhook to take them", {(): alerts.waiting})
    for what, text, value in _plain(parts, guard):
        yield _family(what, text, {(): value})
    for what, text, by_topic in _by_topic(parts):
        yield _family(what, text, {(name,): value for name, value in by_topic.items()}, "topic")
    for what, text, samples, *labels in _labelled(parts, guard):
        yield _family(what, text, samples, *labels)
    for what, text, values in (
        ("records", "Records in a topic, at most", {n: a.records for n, a in accounts.items()}),
        ("bytes", "Bytes of a topic in one replica's logs", {n: a.bytes for n, a in accounts.items()}),
        ("budget_records", "Records that it may have", {n: a.budget.records for n, a in accounts.items()}),
        ("budget_bytes", "Bytes that it may take", {n: a.budget.bytes for n, a in accounts.items()}),
    ):
        known = {(name,): value for name, value in values.items() if value is not None}
        yield Family(f"bookrunner_topic_{what}", text, "gauge", ("topic",), known)


def _family(what: str, text: str, samples: Mapping[Any, Any], *labels: str) -> Family:
    kind: Literal["counter", "histogram", "gauge"] = _KINDS.get(what.rpartition("_")[2], "gauge")
    return Family(f"bookrunner_gateway_{what}", text, kind, labels, samples)


def _plain(parts: Parts, guard: WriteGuard) -> Iterable[tuple[str, str, float | Histogram]]:
    hub, past_books = parts.hub, parts.past_books
    return (
        ("commands_waiting", "Commands without an answer yet", parts.commands.waiting),
        ("pages_encoded_total", "Book answers encoded; all others came from memory", parts.books.encoded),
        ("rebuilds", "Past books being rebuilt", past_books.places.taken.total),
        ("rebuild_records_total", "Records read to rebuild past books", past_books.records),
        ("rebuild_seconds", "Of rebuilding a past book", past_books.seconds),
        ("streams", "Open streams", hub.open_streams),
        ("stream_dropped_total", "Messages that a slow client of a stream did not get", hub.dropped),
        ("stream_backlog_bytes", "Bytes that wait for slow clients of streams", hub.backlog_bytes),
        (
            "replay_bytes_total",
            "Bytes read for streams of old messages, as their budget counts them",
            hub.replays.read_bytes,
        ),
        ("reply_bytes", "Bytes of the replies kept under Idempotency-Keys", parts.views.replies.bytes.total),
        ("write_addresses", "Addresses whose rate of writes is remembered", guard.addresses),
    )


def _by_topic(parts: Parts) -> Iterable[tuple[str, str, Mapping[str, float]]]:
    views, commands = {view.topic.name: view for view in parts.views.all}, parts.commands
    stand = "that stand: an open transaction, or no answer of Kafka"
    unknown = "as only another version knows them"
    held_up = {topic.name: len(partitions) for topic, partitions in commands.held_up.items()}
    left_out = {topic.name: count for topic, count in commands.left_out.items()}
    return (
        ("view_lag_messages", "Messages a view is behind its log", {n: v.lag() for n, v in views.items()}),
        ("view_keys", "Keys in a view", {n: len(v.items) for n, v in views.items()}),
        ("view_held_up", f"Partitions of a view {stand}", {n: len(v.held_up) for n, v in views.items()}),
        ("view_ready", "1 once a view has caught up", {n: float(v.ready) for n, v in views.items()}),
        (
            "view_left_out_total",
            f"Messages left out of a view, {unknown}",
            {n: v.left_out for n, v in views.items()},
        ),
        ("answers_held_up", f"Partitions of answers {stand}", held_up),
        ("answers_left_out_total", f"Answers left out, {unknown}", left_out),
    )


def _labelled(parts: Parts, guard: WriteGuard) -> Iterable[tuple[Any, ...]]:
    commands, hub, keys = parts.commands, parts.hub, parts.idempotency
    fleet = parts.views.fleet
    places = (
        *(hub.places, hub.replays.places, commands.places, commands.waiters),
        *(parts.past_books.places, parts.audit_log.places, parts.performance_log.places),
        parts.past_records.places,
        parts.moments.places,
        parts.why.places,
    )
    taken = {(each.name,): each.taken.total for each in places}
    limited = (*places, keys.keys, keys.key_bytes)
    refused = {(each.name, limit): count for each in limited for limit, count in each.refused.items()}
    refused["scopes", "address"] = parts.new_scopes.refused
    refused["policies", "address"] = parts.new_policies.refused
    refused["publications", "name"] = parts.publications.refused
    missing = {(service,): len(fleet.unowned(service)) for service in SERVICES}
    turned_away = {(reason,): count for reason, count in sorted(guard.refusals.items())}
    early = "Requests refused before a route saw all of them, and answers that nobody took"
    no_room = "Requests for which there was no room, by whose share was taken"
    waited = "From a command until it was answered, refused, or given up"
    return (
        ("partitions_missing", "Partitions of a service that no process heard works on", missing, "service"),
        ("command_seconds", waited, commands.seconds, "command", "outcome"),
        ("places", "Places taken of those that callers share", taken, "what"),
        ("places_refused_total", no_room, refused, "what", "limit"),
        ("refused_total", early, turned_away, "reason"),
    )
