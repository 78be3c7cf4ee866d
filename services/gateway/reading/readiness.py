"""Whether every route would do its work now, and if not, what is missing, in words; pure.

Ready means: Kafka answers, every view has caught up, every partition of every service is worked on, some
policy can be chosen, the risk budget is there; and, once, that each subscribed book was LIVE, its symbol in
the risk, and each LIVE book measured by venues. For a feed the start waits a bounded time only: one that is
down is told as ``degraded``, at the start and later, for all else works without it; so is a service that is
optional (`OPTIONAL`) and not heard.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from msgspec import Meta, Struct

from libs.common.events import BookState, ServiceStatus
from libs.common.time_units import NS_PER_MS
from services.gateway.http.view import Computed, View
from services.gateway.reading.fleet import SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from services.gateway.reading.topic_views import GatewayViews

SETTLE_NS: Final = 15_000_000_000  # how long the first books are waited for, once the services are there
SHOWN: Final = 4  # of a list of books


_STATE: Final = "`starting`, `ready`, `degraded`, or `silent` after 5 s unheard"
SERVICE: Final = View(
    "ServiceAnswer",
    ServiceStatus,
    "A process, as it tells of itself.",
    drop=("state", "ts"),
    computed={
        "state": Computed(str, _STATE, lambda said, silent: "silent" if silent else said.state),
        "age_ms": Computed(float, "since it was heard, ms", lambda _, age_ns: age_ns / NS_PER_MS),
    },
)


class ViewLag(Struct, frozen=True, kw_only=True):
    """How far one materialised topic is behind its log."""

    topic: Annotated[str, Meta(description="name of the topic")]
    ready: Annotated[bool, Meta(description="caught up with the log as it was at the start")]
    lag: Annotated[int | None, Meta(description="messages behind the log's end; null before Kafka answered")]
    keys: Annotated[int, Meta(description="that it holds")]


class ReadyAnswer(Struct, frozen=True, kw_only=True):
    """Every route would do its work now."""

    status: Annotated[
        str,
        Meta(description="`ready`; `degraded`: so are all routes, but something is not as it should be"),
    ]
    degraded: Annotated[tuple[str, ...], Meta(description="what is not as it should be, in words")]
    services: Annotated[tuple[SERVICE.struct, ...], Meta(description="each process that was heard")]  # type: ignore[name-defined]  # made at import
    views: Annotated[tuple[ViewLag, ...], Meta(description="each materialised topic")]


class HealthAnswer(Struct, frozen=True):
    """The process is alive."""

    status: Annotated[str, Meta(description="`alive`")]


class Report(NamedTuple):
    """What is missing for every route to do its work, and what works less well than it should."""

    missing: tuple[str, ...]
    degraded: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing

    @property
    def detail(self) -> str:
        """What is missing, in a sentence."""
        return f"Not ready: {'; '.join(self.missing)}."


@dataclass(eq=False)
class Readiness:
    """Judges again at each `report`; remembers whether the first books have been waited for."""

    views: GatewayViews
    clock: Callable[[], int]  # int ns UTC
    stopwatch: Callable[[], int]  # monotonic, ns
    _there_since: int | None = field(default=None, init=False)  # all but the first books
    _settled: bool = field(default=False, init=False)

    def report(self, kafka_away: str | None, *, hears_answers: bool, unheard: Sequence[str] = ()) -> Report:
        """Judge, knowing why Kafka cannot be asked, if so, and what to say of answers that are not heard."""
        if kafka_away is not None:
            self.views.fleet.doubt()
            return Report((kafka_away,))
        missing = self._missing(unheard, hears_answers=hears_answers)
        if missing:
            self._there_since = None
            return Report(tuple(missing))
        away, unmeasured = self._books()
        now = self.stopwatch()
        self._there_since = now if self._there_since is None else self._there_since
        left_ns = self._there_since + SETTLE_NS - now
        if not self._settled:
            if left_ns > 0 and (waited_for := [*away, *unmeasured]):
                return Report((f"{_some(waited_for)} (waited for {left_ns / 1e9:.0f} s more at most)",))
            self._settled = True
        absences = () if left_ns > 0 else self.views.fleet.absences()  # they have as long to start
        return Report((), (*self._held_up(), *away, *unmeasured, *absences))

    def _held_up(self) -> list[str]:
        """Return a line for each part of a view that does not show what is in its log."""
        return [
            f"the view of {view.topic.name} stands: partition {number} is {said}"
            for view in self.views.all
            for number, said in view.held_up.items()
        ]

    def _missing(self, unheard: Sequence[str], *, hears_answers: bool) -> list[str]:
        behind = [view.topic.name for view in self.views.all if not view.ready]
        if behind:
            return [f"the gateway is still reading {', '.join(behind)}", *self._held_up()]
        missing = [] if hears_answers else ["the gateway does not hear the services' answers yet"]
        missing += unheard
        missing += filter(None, (self.views.fleet.lack_of(service) for service in SERVICES))
        if not self.views.policies.items:
            missing.append("execution has not registered a policy yet")
        if not self.views.risks.items:
            missing.append("portfolio has not told the risk budget yet")
        return missing

    def _books(self) -> tuple[list[str], list[str]]:
        """Return a line for each subscribed book without a market, and for each that venues do not know."""
        views, now = self.views, self.clock()
        assessed = {symbol for risk in views.risks.items.values() for symbol in risk.by_symbol}
        reference = {risk.venue for risk in views.risks.items.values()}
        lines, unmeasured = [], []
        for key in views.subscribed():
            venue, _, symbol = key.decode("utf-8", "replace").partition(":")
            shown = views.shown(key, now)
            if shown.state is not BookState.LIVE:
                lines.append(f"book {venue} {symbol} is {shown.state}: {shown.reason}")
            elif key not in views.venues.items:
                unmeasured.append(f"venues has not measured the book {venue} {symbol} yet")
            elif venue in reference and symbol not in assessed:
                lines.append(f"the risk of {symbol} is not known: too few days of {venue}'s candles")
        return lines, unmeasured


def ready_answer(report: Report, views: GatewayViews) -> ReadyAnswer:
    """Return what a gateway that is ready says of itself."""
    return ReadyAnswer(
        status="degraded" if report.degraded else "ready",
        degraded=report.degraded,
        services=services_shown(views),
        views=views_shown(views),
    )


def services_shown(views: GatewayViews) -> tuple[Struct, ...]:
    """Return each process that was heard."""
    shown = views.fleet.shown()
    return tuple(SERVICE(each.status, silent=each.silent, age_ns=each.age_ns) for each in shown)


def views_shown(views: GatewayViews) -> tuple[ViewLag, ...]:
    """Return how far each materialised topic is behind its log."""
    return tuple(
        ViewLag(topic=view.topic.name, ready=view.ready, lag=view.lag(), keys=len(view.items))
        for view in views.all
    )


def _some(lines: list[str]) -> str:
    more = f", and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "; ".join(lines[:SHOWN]) + more
