"""The routes that read: from the views, from the log, and the stream."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from libs.common.events import BOOK
from libs.common.topics import book_key
from libs.performance.answer import Performance
from services.gateway.http import openapi, router_views, views
from services.gateway.http import problems as p
from services.gateway.http import requests as r
from services.gateway.http.executions import id_of, record_of
from services.gateway.http.openapi import answers, list_of, reference
from services.gateway.http.parts import caller_of, json_answer, parts_of, ready_parts_of, shown
from services.gateway.http.presence import while_there
from services.gateway.http.problems import FieldError, ProblemError
from services.gateway.http.record_routes import streamed
from services.gateway.http.spans import span_of
from services.gateway.reading.as_of import PastDocument
from services.gateway.reading.books import book_id
from services.gateway.reading.venue_registry import venue_entries
from services.gateway.stream.sse import start_of

router = APIRouter()


@router.get(
    "/api/l2",
    tags=["books"],
    summary="Every book",
    responses=answers("By venue and symbol.", list_of(views.BOOK_SUMMARY), p.NOT_READY),
)
async def list_books(request: Request) -> Response:
    """Return the state, best prices and counts of every subscribed book."""
    parts = parts_of(request)
    return shown(parts.books.summaries(parts.clock()))


def _book_answers() -> openapi.Answers:
    found = answers(
        "The best levels; with `at` if that was asked for.",
        reference(views.BOOK, views.AS_OF),
        *(*openapi.NAMES_A_BOOK, p.NOT_SUBSCRIBED, p.NOT_KNOWN_THEN),
        *(p.BOOK_NOT_SYNCED, *openapi.TAKES_A_PLACE),
    )
    found[p.NOT_KNOWN_THEN.status]["content"][p.MEDIA_TYPE]["schema"] = reference(
        p.ProblemDocument, PastDocument
    )
    return found


@router.get("/api/l2/{venue}/{symbol:path}", tags=["books"], summary="One book", responses=_book_answers())
async def get_book(
    request: Request,
    venue: r.VenuePath,
    symbol: r.SymbolPath,
    depth: r.Depth = views.DEFAULT_DEPTH,
    at: r.At = None,
) -> Response:
    """Return the best levels of a book, as it is or as it was.

    A book that was LIVE and is not now answers 200 with its last proven top, and `state` and `reason` say so:
    use it only while `state` is LIVE. A book that never synchronised is 503.

    With `at`, the book is rebuilt from its log and holds every message whose `receivedTs` is not after that
    millisecond. `at` stands in the answer, `features` is null, and `state` is LIVE, or ONE_SIDED where a side
    was empty: a moment at which the book is not proven to have been either is 404, with the nearest at which
    it is (`nearby`) or the range that is kept (`retained`). What was received a moment ago may still be on
    its way to the log.
    """
    parts = parts_of(request)
    book = book_id(venue, symbol)
    if at is not None:
        work = parts.past_books.body(book, depth, at, caller_of(request))
        return json_answer(200, await while_there(request.receive, work))
    return json_answer(200, parts.books.page(book, depth, parts.clock()).body)


@router.get(
    "/api/stream",
    tags=["stream"],
    summary="Topic messages as they come",
    response_class=StreamingResponse,
    responses=answers(
        "Server-sent events, until you leave.",
        {"type": "string"},
        *(p.UNKNOWN_TOPIC, *openapi.NAMES_A_BOOK, *openapi.TAKES_A_PLACE),
        media_type="text/event-stream",
    ),
)
async def stream(
    request: Request,
    topics: r.Topics,
    key: r.BookKeys = None,
    start: r.From = None,
    last_event_id: r.LastEventId = None,
) -> Response:
    """Stream decoded messages: `event` is the topic, `id` is `topic:partition:offset`, `data` is JSON.

    Names are in camel case; times and durations, nanoseconds on the topic, are in milliseconds (`venueTs`,
    `lagMs`), also of messages inside a message (`fills[].ts`). `type` is the message's; a deleted key comes
    as `{"type": "Tombstone", "key": …}`. A client that reads too slowly loses messages: an event `dropped`
    with `{"count": n}` stands in their place. A stream with `from` reads at the client's own pace and loses
    none while its connection lasts; it cannot be taken up where it was. A stream that cannot open while
    Kafka is away is 503; one whose reader Kafka fails later ends, and may be opened again. What an `id` names
    is also at /api/records.
    """
    parts = parts_of(request)
    wanted = [streamed(name) for name in dict.fromkeys(_listed("topics", topics))]
    keys = frozenset() if key is None else frozenset(_book_key(text) for text in _listed("key", key))
    begin = start_of(start, parts.clock())
    return parts.hub.stream(wanted, keys, begin, last_event_id, caller_of(request))


def _listed(field: str, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise p.invalid([FieldError(field, "must be names separated by commas")])
    return names


def _book_key(text: str) -> bytes:
    venue, _, symbol = text.partition(":")
    return book_id(venue, symbol).key


@router.get(
    "/api/venues/registry",
    tags=["venues"],
    summary="Every venue, best first",
    responses=answers(
        "By the all-in cost of a reference order, then by venue id; what is not eligible comes last.",
        list_of(views.VENUE_ENTRY),
        *(p.UNKNOWN_SYMBOL, p.INVALID, p.NOT_READY),
    ),
)
async def registry(request: Request, symbol: r.MeasuredSymbol = None) -> Response:
    """Return what is measured of each venue: latency, spread, depth, fees, reliability and rate limit.

    `latency` is in ms, `spread_bps` and `feeBps` in bps, `topDepth` in base units, `reliability` and
    `rateRemaining` between 0 and 1. `score` is minus the cost of the reference order in bps.
    """
    parts = ready_parts_of(request)
    now = parts.clock()
    metrics = list(parts.views.venues.items.values())
    if not metrics:
        lack = parts.views.fleet.lack_of("venues") or "no book has been LIVE yet"
        raise p.not_ready(f"Nothing is measured yet: {lack}.")
    wanted = None if symbol is None else r.symbol_of(symbol)
    if wanted is not None:
        having = {each.venue for each in metrics if each.symbol == wanted}
        if not having:
            known = ", ".join(sorted({each.symbol for each in metrics})) or "none yet"
            raise ProblemError(p.UNKNOWN_SYMBOL, f"No venue has measured {wanted}; there are: {known}.")
        metrics = [each for each in metrics if each.venue in having]
    found = ((each, parts.views.shown(book_key(each.venue, each.symbol), now)) for each in metrics)
    return shown(venue_entries(found, wanted, now))


@router.get(
    "/api/router/snapshot",
    tags=["router"],
    summary="What the router knows",
    responses=answers("The scope as it is.", reference(router_views.SNAPSHOT), p.INVALID, p.NOT_READY),
)
async def get_snapshot(request: Request, scope: r.ScopeQuery = "default") -> Response:
    """Return the last choice, its feature vector, and each policy's posterior and off-policy value.

    A scope that was never used has no choice and no policies in its answer yet: both begin with its first
    command.
    """
    found = ready_parts_of(request).views.router_snapshots.items.get(scope.encode())
    return shown(router_views.unused_scope(scope) if found is None else router_views.SNAPSHOT(found))


@router.get(
    "/api/exec/records",
    tags=["executions"],
    summary="The newest executions",
    responses=answers(
        "The newest first.", list_of(views.EXECUTION), p.UNKNOWN_SYMBOL, p.INVALID, p.NOT_READY
    ),
)
async def records(request: Request, symbol: r.OnlySymbol = None, limit: r.RecordLimit = 50) -> Response:
    """Return executions as they stand."""
    newest = ready_parts_of(request).views.records.newest(None if symbol is None else r.symbol_of(symbol))
    return shown([views.EXECUTION(record) for record, _ in zip(newest, range(limit))])  # noqa: B905 -- the shorter ends it


@router.get(
    "/api/exec/sizing/last",
    tags=["executions"],
    summary="The last sizing",
    responses=answers(
        "The last size of the symbol, or of all.",
        reference(views.SIZING),
        *(p.UNKNOWN_NAME, p.UNKNOWN_SYMBOL, p.INVALID, p.NOT_READY),
    ),
)
async def last_sizing(request: Request, symbol: r.OnlySymbol = None) -> Response:
    """Return how the last signal became a size."""
    sizings = ready_parts_of(request).views.sizings.items.values()
    wanted = None if symbol is None else r.symbol_of(symbol)
    found = [each for each in sizings if wanted in (None, each.symbol)]
    if not found:
        raise ProblemError(p.UNKNOWN_NAME, f"Nothing was sized{f' of {wanted}' if wanted else ''} yet.")
    return shown(views.SIZING(max(found, key=lambda each: each.ts)))


@router.get(
    "/api/exec/{execution_id}",
    tags=["executions"],
    summary="One execution",
    responses=answers("As it stands.", reference(views.EXECUTION), p.UNKNOWN_NAME, p.INVALID, p.NOT_READY),
)
async def execution(request: Request, execution_id: r.ExecutionPath) -> Response:
    """Return an execution as it progresses."""
    return shown(views.EXECUTION(record_of(ready_parts_of(request), execution_id)))


@router.get(
    "/api/audit/{execution_id}",
    tags=["executions"],
    summary="Verify an execution",
    responses=answers(
        "Its chain, recomputed, and its decisions, made again.",
        reference(views.AuditAnswer),
        *(p.UNKNOWN_NAME, *openapi.TAKES_A_PLACE),
    ),
)
async def audit(request: Request, execution_id: r.ExecutionPath) -> Response:
    """Return the hash chain of an execution; `verified` says that nothing in it was altered.

    Signal, sizing, plan, shortfall and reward are computed again from the inputs that the chain holds.
    """
    parts = ready_parts_of(request)
    execution_id = id_of(parts, execution_id)
    record = parts.views.records.items.get(execution_id.encode())
    work = parts.audit_log.checked(execution_id, record, caller_of(request))
    return json_answer(200, await while_there(request.receive, work))


@router.get(
    "/api/performance",
    tags=["portfolio"],
    summary="What trading earned and cost",
    responses=answers("Of the time asked for.", reference(Performance), *openapi.TAKES_A_PLACE),
)
async def performance(request: Request, begin: r.SpanBegin = None, end: r.SpanEnd = None) -> Response:
    """Return equity, returns, ratios with their intervals, costs by term, policies, venues and regret.

    A number that cannot be had is null, and its `why` says the reason; what the numbers do not rest on is in
    `warnings`. They are made of the topics portfolio.equity.v1, execution.records.v1 and router.choices.v1:
    of all executions, and of the choices of the scope `default`.
    """
    parts = ready_parts_of(request)
    work = parts.performance_log.body(span_of(begin, end, parts.clock()), caller_of(request))
    return json_answer(200, await while_there(request.receive, work))


@router.get(
    "/api/portfolio/positions",
    tags=["portfolio"],
    summary="Every position",
    responses=answers("By symbol.", list_of(views.POSITION), p.NOT_READY),
)
async def positions(request: Request) -> Response:
    """Return what is held of each symbol that was ever filled, valued at its last mark."""
    found = ready_parts_of(request).views.positions.items
    return shown([views.POSITION(found[key]) for key in sorted(found)])


@router.get(
    "/api/portfolio/risk",
    tags=["portfolio"],
    summary="What the positions use of the CVaR budget",
    responses=answers(
        "The newest assessment of a book.",
        reference(views.RISK),
        *(p.UNKNOWN_NAME, p.INVALID, p.NOT_READY, p.UNAVAILABLE),
    ),
)
async def risk(request: Request, book: r.BookQuery = BOOK) -> Response:
    """Return how much of the budget is used and left, with the CVaR of one unit of weight per symbol."""
    risks = ready_parts_of(request).views.risks.items
    if not risks:
        raise ProblemError(p.UNAVAILABLE, "The portfolio has assessed no book yet.", retry_after_s=1)
    budget = risks.get(book.encode())
    if budget is None:
        known = ", ".join(sorted(key.decode("utf-8", "replace") for key in risks))
        raise ProblemError(p.UNKNOWN_NAME, f"There is no book {book!r}; there is: {known}.")
    return shown(views.RISK(budget))
