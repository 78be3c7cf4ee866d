"""The system at a glance, also while it is not ready: processes, topics, dead letters, alerts; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

from msgspec import Meta, Struct

from libs.common.printable import printable
from libs.common.time_units import NS_PER_MS
from libs.common.topics import DEAD_LETTERS
from services.gateway.alerts.cause import KINDS, MOST_CHARS, RUNBOOKS
from services.gateway.reading.dead_letters import DeadLetter  # noqa: TC001 -- msgspec reads annotations
from services.gateway.reading.readiness import SERVICE, ViewLag, services_shown, views_shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from libs.common.budgets import Account
    from services.gateway.alerts.standing import Standing
    from services.gateway.reading.readiness import Report
    from services.gateway.reading.topic_figures import TopicFigures
    from services.gateway.reading.topic_views import GatewayViews


class TopicShown(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a topic takes beside what it may take."""

    topic: Annotated[str, Meta(description="its name")]
    records: Annotated[
        int | None, Meta(description="that it holds, at most where it is compacted; null: Kafka does not say")
    ]
    bytes: Annotated[
        int | None, Meta(description="of one replica's logs, bytes; null: the brokers do not say")
    ]
    per_second: Annotated[
        float | None,
        Meta(description="records written lately, 1/s, markers of transactions too; null: not known yet"),
    ]
    budget_bytes: Annotated[int, Meta(description="that it may take, bytes; in a year, where all is kept")]
    oldest_ts: Annotated[
        int | None, Meta(description="stamp of its oldest record, ms since 1970 UTC; null: it has none")
    ]


class DeadLettersShown(Struct, frozen=True, kw_only=True):
    """What could not be handled, and is kept for a week."""

    count: Annotated[int | None, Meta(description="that are kept; null: Kafka has not said yet")]
    newest: Annotated[tuple[DeadLetter, ...], Meta(description="the newest first, at most 20")]
    why: Annotated[str, Meta(description="why `newest` is not as of now; empty: it is, within 5 s")]


class AlertShown(Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that stands now and that somebody must know of."""

    cause: Annotated[str, Meta(description="its kind, like `book-not-live`")]
    place: Annotated[str, Meta(description="where")]
    severity: Annotated[str, Meta(description="`warning` or `critical`")]
    since: Annotated[int, Meta(description="when it began, ms UTC")]
    words: Annotated[str, Meta(description="what stands, and why, in words")]
    to_do: Annotated[str, Meta(description="what helps")]
    runbook: Annotated[str, Meta(description="where the documentation says more")]


class SystemAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """The system, as the gateway sees it."""

    ts: Annotated[int, Meta(description="of this answer, ms UTC")]
    ready: Annotated[bool, Meta(description="every route would do its work")]
    missing: Annotated[tuple[str, ...], Meta(description="for that, in words")]
    degraded: Annotated[tuple[str, ...], Meta(description="what works less well than it should, in words")]
    services: Annotated[tuple[SERVICE.struct, ...], Meta(description="each process that was heard")]  # type: ignore[name-defined]  # made at import
    views: Annotated[tuple[ViewLag, ...], Meta(description="each topic that the gateway materialises")]
    topics: Annotated[tuple[TopicShown, ...], Meta(description="each topic, as Kafka told of it last")]
    dead_letters: Annotated[DeadLettersShown, Meta(description="what could not be handled")]
    alerts: Annotated[
        tuple[AlertShown, ...], Meta(description="that stand, posted to a webhook or not, the newest first")
    ]


class Known(NamedTuple):
    """What is known of the system besides its views."""

    report: Report
    figures: TopicFigures
    accounts: Mapping[str, Account]
    standing: Sequence[Standing]
    letters: tuple[DeadLetter, ...]
    letters_why: str


def system_answer(views: GatewayViews, known: Known, now: int) -> SystemAnswer:
    """Return the system at `now`, ns UTC."""
    letters = known.figures.usage.get(DEAD_LETTERS.name)
    return SystemAnswer(
        ts=now // NS_PER_MS,
        ready=known.report.ready,
        missing=known.report.missing,
        degraded=known.report.degraded,
        services=services_shown(views),
        views=views_shown(views),
        topics=tuple(
            _topic(name, account, known.figures) for name, account in sorted(known.accounts.items())
        ),
        dead_letters=DeadLettersShown(
            count=None if letters is None else letters.offsets, newest=known.letters, why=known.letters_why
        ),
        alerts=tuple(map(_alert, known.standing)),
    )


def _topic(name: str, account: Account, figures: TopicFigures) -> TopicShown:
    return TopicShown(
        topic=name,
        records=account.records,
        bytes=account.bytes,
        per_second=figures.per_second(name),
        budget_bytes=account.budget.bytes,
        oldest_ts=figures.usage[name].oldest_ms,
    )


def _alert(standing: Standing) -> AlertShown:
    cause, kind = standing.cause, KINDS[standing.cause.kind]
    return AlertShown(
        cause=cause.kind,
        place=printable(cause.place, MOST_CHARS),
        severity=cause.severity or kind.severity,
        since=standing.since // NS_PER_MS,
        words=printable(f"{cause.what} ({cause.why})" if cause.why else cause.what, 2 * MOST_CHARS),
        to_do=cause.to_do or kind.to_do,
        runbook=f"{RUNBOOKS}#{kind.anchor}",
    )
