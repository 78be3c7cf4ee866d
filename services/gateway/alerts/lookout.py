"""Which causes of alerts stand, from what the views show; pure.

What happens once (an execution fails, the router is alarmed) stands until the opposite is shown, and counts
how often it has happened. What was so when the gateway started is the past, and nobody is woken for it.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from libs.common.events import (
    STATUS_SILENCE_NS,
    BookState,
    ExecutionStatus,
    LimitName,
    LimitsUsed,
    PolicyState,
    SourceState,
)
from libs.common.limit_uses import KINDS, Unknown
from libs.common.time_units import NS_PER_S
from libs.common.told import first_line
from libs.common.trading_limits import ALL, SETTINGS, halts_in, limits_of, limits_set, symbol_scope
from services.gateway.alerts.cause import Cause
from services.gateway.reading.fleet import SERVICES
from services.gateway.reading.limit_uses import use_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from libs.common.events import ExecutionRecord, ServiceStatus
    from libs.common.record_view import RecordView
    from services.gateway.alerts.cause import Moment
    from services.gateway.reading.topic_views import GatewayViews

QUIET_NS: Final = 3_600 * NS_PER_S  # without another alarm of the router until the last one is over
UNHEARD_NS: Final = 30 * NS_PER_S  # that a service may take to be heard after the gateway's own start
SILENT_NS: Final = STATUS_SILENCE_NS + 5 * NS_PER_S  # of a process that was heard, since it was
SLOW_NS: Final = NS_PER_S  # between two looks at books and limits, of which there may be hundreds
NEAR: Final = 0.8  # of a limit: from there on its use is told
HEADS: Final = 64  # records by which the place is found up to which all were seen


class Lookout:
    """Looks at the views again and again; changes in place.

    Parameters
    ----------
    away
        Returns why Kafka does not answer, None if it does.
    """

    def __init__(self, views: GatewayViews, away: Callable[[], str | None]) -> None:
        self._views = views
        self._away = away
        self._last: list[Cause] = []
        self._slow: list[Cause] = []  # of what is looked at less often
        self._slow_at: int | None = None  # monotonic, ns
        self._failures = Failures(views.records)
        self._alarms = Alarms(views)

    def causes(self, now: Moment) -> list[Cause]:
        """Return all that stand; while Kafka does not answer, those of before and that.

        Without Kafka the views show the past, and every service and book would be missed at once.
        """
        if (reason := self._away()) is not None:
            return [*self._last, kafka_gone(reason)]
        if self._slow_at is None or now.monotonic_ns - self._slow_at >= SLOW_NS:
            self._slow = [*books_away(self._views, now.ts), *limits_near(self._views, now.ts)]
            self._slow_at = now.monotonic_ns
        self._last = [
            *halts(self._views),
            *services_gone(self._views, now.ts),
            *partitions_standing(self._views),
            *policies_quarantined(self._views),
            *sources_failing(self._views),
            *self._slow,
            *self._failures.causes(),
            *self._alarms.causes(now.monotonic_ns),
        ]
        return self._last


def kafka_gone(reason: str) -> Cause:
    """Return the cause that Kafka does not answer."""
    return Cause(
        kind="service-gone",
        place="kafka",
        what="Kafka does not answer the gateway, which has no news of anything",
        over="Kafka answers the gateway",
        why=reason,
        details={"service": "kafka"},
    )


def halts(views: GatewayViews) -> Iterator[Cause]:
    """Yield a cause for each scope in which trading is halted."""
    for halt in halts_in(views.controls.items):
        yield Cause(
            kind="trading-halted",
            place=halt.scope,
            what=f"trading is halted for {halt.scope} by {halt.by}",
            over=f"trading for {halt.scope} goes on",
            why=halt.reason,
            since=halt.ts,
            details={
                "scope": halt.scope,
                "by": halt.by,
                "limit": halt.limit.limit.value if halt.limit else None,
            },
        )


def services_gone(views: GatewayViews, now: int) -> Iterator[Cause]:
    """Yield a cause for each service of which no process is heard at `now` (ns UTC)."""
    for service in SERVICES:
        heard = list(views.fleet.processes(service))
        if any(not each.silent for each in heard):
            continue
        last = min(heard, key=lambda each: each.age_ns, default=None)
        yield Cause(
            kind="service-gone",
            place=service,
            what=f"no process of the service {service} is heard",
            over=f"a process of the service {service} is heard",
            since=None if last is None else now - last.age_ns,
            hold_ns=UNHEARD_NS if last is None else SILENT_NS,
            details={"service": service, "instance": None if last is None else last.status.instance},
        )


def partitions_standing(views: GatewayViews) -> Iterator[Cause]:
    """Yield a cause for each partition that was stopped, that nobody works on, or whose log stands."""
    for service in SERVICES:
        living = [each.status for each in views.fleet.processes(service) if not each.silent]
        stopped: dict[int, ServiceStatus] = {}
        for status in living:
            stopped |= dict.fromkeys(status.partitions_stopped, status)
        for number, status in sorted(stopped.items()):
            yield Cause(
                kind="partition-stopped",
                place=f"{service}:{number}",
                what=f"{service} has stopped its partition {number}",
                over=f"the partition {number} of {service} is not stopped",
                why=status.detail,
                since=status.since_ts,
                details={"service": service, "partition": number, "instance": status.instance},
            )
        unowned = sorted(views.fleet.unowned(service) - stopped.keys()) if living else ()
        if unowned:
            numbers = ", ".join(map(str, unowned))
            yield Cause(
                kind="partition-unowned",
                place=service,
                what=f"no process of {service} works on its partitions {numbers}",
                over=f"no partition of {service} is left to nobody",
                details={"service": service, "partitions": numbers},
            )
    for view in views.all:
        for number, said in view.held_up.items():
            yield Cause(
                kind="view-held-up",
                place=f"{view.topic.name}:{number}",
                what=f"the gateway's view of {view.topic.name} stands at partition {number}",
                over=f"the gateway's view of {view.topic.name} goes on at partition {number}",
                why=said,
                details={"topic": view.topic.name, "partition": number},
            )


def policies_quarantined(views: GatewayViews) -> Iterator[Cause]:
    """Yield a cause for each policy that broke its contract."""
    for key, policy in views.policies.items.items():
        if policy.state is not PolicyState.QUARANTINED or key != policy.policy_id.encode():
            continue
        yield Cause(
            kind="policy-quarantined",
            place=policy.policy_id,
            what=f"the policy {policy.policy_id} is quarantined",
            over=f"the policy {policy.policy_id} runs, or is registered no more,",
            why=first_line(policy.fault),
            since=policy.ts or None,
            details={"policyId": policy.policy_id, "version": policy.version, "source": policy.source},
        )


def sources_failing(views: GatewayViews) -> Iterator[Cause]:
    """Yield a cause for each source of context inputs that gives nothing."""
    for key, source in views.input_sources.items.items():
        if source.state is not SourceState.FAILING or key != source.source.encode():
            continue
        yield Cause(
            kind="context-source-failing",
            place=source.source,
            what=f"the source {source.source} of context inputs fails",
            over=f"the source {source.source} of context inputs answers",
            why=source.reason,
            details={"source": source.source, "names": ", ".join(source.names), "failures": source.failures},
        )


def books_away(views: GatewayViews, now: int) -> Iterator[Cause]:
    """Yield a cause for each subscribed book that is not LIVE, as callers see it at `now` (ns UTC)."""
    for key in views.subscribed():
        shown = views.shown(key, now)
        if shown.state is BookState.LIVE:
            continue
        venue, _, symbol = key.decode("utf-8", "replace").partition(":")
        health = views.healths.items.get(key)
        by_owner = health is not None and health.state is shown.state
        yield Cause(
            kind="book-not-live",
            place=f"{venue}:{symbol}",
            what=f"the book {venue} {symbol} is not LIVE but {shown.state}",
            over=f"the book {venue} {symbol} is LIVE, or wanted no more,",
            why=shown.reason,
            since=health.since_ts if health is not None and by_owner else None,
            details={"venue": venue, "symbol": symbol, "state": str(shown.state)},
        )


def limits_near(views: GatewayViews, now: int) -> Iterator[Cause]:
    """Yield a cause for each limit that is used by `NEAR` or more at `now` (ns UTC), of the book or a symbol.

    Left out are those that a single order uses, and the number of venues, which is a least one.
    """
    controls = views.controls.items
    symbols = {each.symbol for each in views.positions.items.values()}
    symbols |= {each.symbol for each in controls.values() if isinstance(each, LimitsUsed)}
    for symbol in (None, *sorted(symbols)):
        limits = limits_of(controls, symbol, limits_set(controls, SETTINGS))
        for name in LimitName:
            value = getattr(limits, name)
            if (
                name is LimitName.MIN_LIVE_VENUES
                or KINDS[name].of_symbol != (symbol is not None)
                or not value
            ):
                continue
            use = use_of(views, name, symbol, now)
            if not isinstance(use, Unknown) and use >= NEAR * value:
                yield _near(name, ALL if symbol is None else symbol_scope(symbol), value, use)


def _near(name: LimitName, scope: str, value: float, use: float) -> Cause:
    reached = use >= value
    return Cause(
        kind="limit-near",
        place=f"{name}:{scope}",
        what=f"the limit {name} of {scope} is used by {use / value:.0%}",
        over=f"the limit {name} of {scope} is used by less than {NEAR:.0%}",
        why=f"{use:.4g} of {value:.4g}, {KINDS[name].unit}",
        to_do=KINDS[name].helps,
        severity="critical" if reached else "warning",
        occurrences=1 + reached,  # to reach it is told anew
        details={
            "limit": str(name),
            "scope": scope,
            "value": value,
            "use": use,
            "share": use / value,
            "breach": KINDS[name].breach,
        },
    )


class Failures:
    """The executions that fail, by symbol, until one of the symbol completes."""

    def __init__(self, records: RecordView) -> None:
        self._records = records
        self._heads: list[ExecutionRecord] | None = None  # None: nothing was looked at
        self._ended: dict[str, bytes] = {}  # executions that ended and were counted
        self._failing: dict[str, tuple[int, int, ExecutionRecord]] = {}  # count, first's ts, last, by symbol

    def causes(self) -> Iterator[Cause]:
        """Take what was written since the last look, and yield a cause for each symbol that fails."""
        begun, written = self._heads is not None, self._written()
        for record in written:
            if not record.status.final or record.execution_id in self._ended:
                continue
            self._ended[record.execution_id] = b""
            if begun:
                self._take(record)
        if len(self._ended) > 2 * len(self._records.items) + HEADS:
            kept = {each.execution_id for each in self._records.items.values()}
            self._ended = {name: b"" for name in self._ended if name in kept}
        for symbol, (count, since, last) in self._failing.items():
            yield Cause(
                kind="execution-failed",
                place=symbol,
                what=f"executions of {symbol} fail",
                over=f"executions of {symbol} complete",
                why=last.reason,
                since=since,
                occurrences=count,
                details={
                    "symbol": symbol,
                    "executionId": last.execution_id,
                    "policyId": last.policy_id,
                    "venue": last.venue,
                    "failures": count,
                },
            )

    def _take(self, record: ExecutionRecord) -> None:
        if record.status is ExecutionStatus.COMPLETED:
            self._failing.pop(record.symbol, None)
        if record.status is ExecutionStatus.FAILED:
            count, since, _ = self._failing.get(record.symbol, (0, record.ts, record))
            self._failing[record.symbol] = (count + 1, since, record)

    def _written(self) -> list[ExecutionRecord]:
        """Return the records written since the last look, oldest first; the view has the newest last."""
        seen = {id(record) for record in self._heads or ()}
        newest: list[ExecutionRecord] = []
        for record in self._records.last_written():
            if id(record) in seen:
                break
            newest.append(record)
        self._heads = list(islice(self._records.last_written(), HEADS))
        return newest[::-1]


class Alarms:
    """The router's drift alarms, by scope, until it had none for an hour."""

    def __init__(self, views: GatewayViews) -> None:
        self._views = views
        self._position = -1  # of the view, when it was looked at
        self._known: dict[str, int] = {}
        self._alarmed: dict[str, tuple[int, int, int]] = {}  # count, since (ns UTC), last (monotonic)

    def causes(self, monotonic_ns: int) -> Iterator[Cause]:
        """Take the alarms since the last look, and yield a cause for each scope that had one lately."""
        position = self._views.router_snapshots.progress
        if position != self._position:
            begun, self._position = self._position >= 0, position
            for snapshot in self._views.router_snapshots.items.values():
                new = snapshot.drift_alarms - self._known.get(snapshot.scope, 0)
                self._known[snapshot.scope] = snapshot.drift_alarms
                if new > 0 and begun:
                    count, since, _ = self._alarmed.get(snapshot.scope, (0, snapshot.ts, 0))
                    self._alarmed[snapshot.scope] = (count + new, since, monotonic_ns)
        for scope, (count, since, last) in list(self._alarmed.items()):
            if monotonic_ns - last >= QUIET_NS:
                del self._alarmed[scope]
                continue
            yield Cause(
                kind="drift-alarm",
                place=scope,
                what=f"rewards in the router's scope {scope} leave what it expects",
                over=f"no alarm of an hour stands for the router's scope {scope}",
                since=since,
                occurrences=count,
                details={"scope": scope, "alarms": count},
            )
