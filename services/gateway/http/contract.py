"""What OpenAPI says about the routes: schemas from the types that are really encoded, examples, problems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import models_json_schema

from libs.common import schemas
from services.gateway.asking.subscriptions import SubscriptionAnswer
from services.gateway.http import mirrors, views
from services.gateway.http.bodies import Body, ScoreBody, SubscriptionBody
from services.gateway.http.execution_bodies import ExecuteBody, PaperOrderBody, SimulateBody
from services.gateway.http.portfolio_body import OptimizeBody
from services.gateway.http.problem_examples import example_of
from services.gateway.http.problems import (
    BOOK_NOT_SYNCED,
    FOREIGN_PAGE,
    HEADERS_TOO_LARGE,
    INVALID,
    KEY_REUSED,
    MEDIA_TYPE,
    MISDIRECTED,
    NO_ANSWER,
    NOT_HTTP,
    NOT_JSON,
    NOT_KNOWN_THEN,
    NOT_READY,
    NOT_SUBSCRIBED,
    SHARE_TAKEN,
    TOO_FAST,
    TOO_LARGE,
    TOO_MANY,
    UNKNOWN_SYMBOL,
    UNKNOWN_TOPIC,
    UNKNOWN_VENUE,
    URI_TOO_LONG,
    WRONG_MEDIA_TYPE,
    ProblemDocument,
    ProblemType,
)
from services.gateway.reading.as_of import PastDocument
from services.gateway.reading.readiness import HealthAnswer, ReadyAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import msgspec

BODIES: Final = (SubscriptionBody, ScoreBody, SimulateBody, ExecuteBody, PaperOrderBody, OptimizeBody)
JSON: Final = "application/json"
REF: Final = "#/components/schemas/{name}"
DESCRIPTION: Final = """\
Order books, verified message by message against the exchanges' own sequence numbers and checksums, from
materialised Kafka topics. Prices are in quote units and sizes in base units, both JSON numbers; times are
milliseconds since 1970 UTC; symbols are canonical `BASE-QUOTE`, and `BTCUSDT`, `BTC/USDT` and lower case are
understood. Errors are `application/problem+json` (RFC 9457); [what helps](/docs#problems) against each kind.
Every answer carries `X-Correlation-Id`: yours, if you sent one of 1-128 characters `A-Za-z0-9._:-`. The
topics have a document of their own: [asyncapi.json](/asyncapi.json).
"""
TAGS: Final = [
    {"name": "books", "description": "verified order books, and which ones there are"},
    {"name": "venues", "description": "what each exchange costs, and which takes an order at the least cost"},
    {"name": "router", "description": "which policy to trade by, learnt from what each earned"},
    {"name": "executions", "description": "trades on paper, from policy to audit"},
    {"name": "portfolio", "description": "what is held, what it risks, and weights within limits"},
    {"name": "stream", "description": "messages of the topics as they come"},
    {"name": "operations", "description": "whether the gateway is well, and what the topics carry"},
]

INSTRUMENT_EXAMPLE: Final = {
    "tick": "0.01",
    "lot": "0.00001",
    "minQty": "0.00001",
    "minNotional": "5",
    "source": "venue",
}
BOOK_EXAMPLE: Final = {
    "venue": "binance",
    "symbol": "BTC-USDT",
    "bids": [[60000.1, 0.52], [60000.0, 1.2]],
    "asks": [[60000.2, 0.31], [60000.5, 2.0]],
    "seq": 48211,
    "ts": 1767225600123,
    "state": "LIVE",
    "epoch": 1767225541000,
    "venueSeq": 51098765432,
    "features": {
        "mid": 60000.15,
        "microprice": 60000.1627,
        "spreadBps": 0.0167,
        "obi": -0.147,
        "depthBid": 14.2,
        "depthAsk": 11.9,
        "depthTruncated": False,
        "tradeImbalance": 0.08,
    },
    "receivedTs": 1767225600131,
    "reason": "the snapshot joins the stream",
    "instrument": INSTRUMENT_EXAMPLE,
}
PAST_EXAMPLE: Final = {
    **BOOK_EXAMPLE,
    "features": None,
    "instrument": None,
    "reason": "the next message of its epoch joins",
    "at": 1767225600140,
}
NOT_KNOWN_EXAMPLE: Final = {
    **example_of(NOT_KNOWN_THEN),
    "retained": {"from": 1767204003211, "to": 1767225600131},
}
SUMMARY_EXAMPLE: Final = {
    "venue": "binance",
    "symbol": "BTC-USDT",
    "state": "LIVE",
    "epoch": 1767225541000,
    "seq": 48211,
    "ts": 1767225600123,
    "bestBid": 60000.1,
    "bestAsk": 60000.2,
    "gaps": 0,
    "resyncs": 1,
    "checksumFailures": 0,
    "ageMs": 41.7,
    "reason": "the snapshot joins the stream",
    "instrument": INSTRUMENT_EXAMPLE,
}
READY_EXAMPLE: Final = {
    "status": "degraded",
    "degraded": ["book okx SOL-USDT is DISCONNECTED: connection refused"],
    "services": [
        {
            "service": "router",
            "instance": "0",
            "version": "0.1.0",
            "state": "ready",
            "partitionsOwned": [0, 1, 2, 3, 4, 5, 6, 7],
            "partitionsStopped": [],
            "sinceTs": 1767225541000,
            "ageMs": 412.5,
            "detail": "",
        }
    ],
    "views": [{"topic": "l2.book-tops.v1", "ready": True, "lag": 0, "keys": 6}],
}
SUBSCRIPTION_EXAMPLE: Final = {"venue": "binance", "symbol": "BTC-USDT", "state": "SYNCING"}
STREAM_EXAMPLE: Final = (
    "event: l2.trades.v1\nid: l2.trades.v1:3:1042\n"
    'data: {"type":"Trade","venue":"binance","symbol":"BTC-USDT","tradeId":"77","price":60000.1,"size":0.02,'
    '"side":"buy","venueTs":1767225600123,"receivedTs":1767225600131}\n\n'
)

# Whatever the route.
EVERYWHERE: Final = (NOT_HTTP, FOREIGN_PAGE, URI_TOO_LONG, MISDIRECTED, HEADERS_TOO_LARGE)
RETRIED: Final = (429, 503)  # Retry-After belongs to them: RFC 6585 section 4, RFC 9110 section 15.6.4
IDEMPOTENCY_HEADER: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1-255 visible ASCII characters. A repeated request gets the first reply again, marked "
    "`Idempotency-Replayed: true`, for 24 hours and over restarts; only successes are kept.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


METRICS_EXAMPLE: Final = """\
# HELP bookrunner_gateway_view_lag_messages Messages a view is behind its log
# TYPE bookrunner_gateway_view_lag_messages gauge
bookrunner_gateway_view_lag_messages{topic="l2.book-tops.v1"} 0.0
"""
ASYNCAPI_EXAMPLE: Final[dict[str, Any]] = {
    "asyncapi": "3.0.0",
    "info": {"title": "Bookrunner", "version": "1"},
    "channels": {"l2.trades.v1": {"address": "l2.trades.v1"}},
}


def reference(kind: type) -> dict[str, Any]:
    """Return the schema that refers to this type's component."""
    return {"$ref": REF.format(name=kind.__name__)}


def command_request(body: type, example: Mapping[str, object]) -> dict[str, Any]:
    """Return what OpenAPI says of a command with this body."""
    content = {JSON: {"schema": reference(body), "example": dict(example)}}
    return {"parameters": [IDEMPOTENCY_HEADER], "requestBody": {"required": True, "content": content}}


def success(
    description: str, schema: Mapping[str, Any], example: object, media_type: str = JSON
) -> dict[str, Any]:
    """Return what OpenAPI says of a good answer."""
    return {"description": description, "content": {media_type: {"schema": dict(schema), "example": example}}}


def problems(*types: ProblemType) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of the problems a route may answer with, by status."""
    said: dict[int | str, dict[str, Any]] = {}
    for problem in (*types, *EVERYWHERE):
        answer = said.setdefault(
            problem.status,
            {
                "description": problem.title,
                "content": {MEDIA_TYPE: {"schema": reference(ProblemDocument), "examples": {}}},
            },
        )
        if problem.title not in answer["description"]:
            answer["description"] += f"; or: {problem.title}"
        answer["content"][MEDIA_TYPE]["examples"][problem.slug] = {"value": example_of(problem)}
        if problem.status in RETRIED:
            answer["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    return said


def show_examples(document: Mapping[str, Any]) -> None:
    """Say the example of every required parameter where a page that sends requests takes its first value.

    An optional one stays empty there: the request is meant to be answered.
    """
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if parameter["required"] and "examples" in parameter["schema"]:
                    parameter["example"] = parameter["schema"]["examples"][0]


def components() -> dict[str, Any]:
    """Return the schemas of everything the gateway encodes or accepts."""
    answers = (
        views.BOOK.struct,
        views.AS_OF.struct,
        views.BOOK_SUMMARY.struct,
        SubscriptionAnswer,
        ReadyAnswer,
        HealthAnswer,
        ProblemDocument,
        PastDocument,
        views.VENUE_ENTRY.struct,
        views.SCORE.struct,
        views.EXECUTION.struct,
        views.SIMULATION.struct,
        views.SIZING.struct,
        views.PAPER_ORDER.struct,
        views.AuditAnswer,
        views.PORTFOLIO.struct,
        views.POSITION.struct,
        views.RISK.struct,
    )
    found = schemas_of(answers, BODIES)
    found[views.AS_OF.struct.__name__]["examples"] = [PAST_EXAMPLE]
    return found


def schemas_of(answers: Sequence[type[msgspec.Struct]], bodies: Sequence[type[Body]]) -> dict[str, Any]:
    """Return the schemas of answers as they are encoded, and of bodies as they are checked."""
    encoded = schemas.schemas_of(answers, REF, "ms")
    _, accepted = models_json_schema(
        [(body, "validation") for body in bodies], ref_template=REF.replace("{name}", "{model}")
    )
    found = {**encoded, **accepted["$defs"]}
    mirrors.describe(found)
    return found


def _book_answers() -> dict[int | str, dict[str, Any]]:
    said = problems(
        UNKNOWN_VENUE,
        UNKNOWN_SYMBOL,
        NOT_SUBSCRIBED,
        INVALID,
        SHARE_TAKEN,
        BOOK_NOT_SYNCED,
        NOT_READY,
        TOO_MANY,
    )
    absent = said[404]
    absent["description"] += f"; or: {NOT_KNOWN_THEN.title}"
    content = absent["content"][MEDIA_TYPE]
    content["schema"] = {"anyOf": [reference(ProblemDocument), reference(PastDocument)]}
    content["examples"][NOT_KNOWN_THEN.slug] = {"value": NOT_KNOWN_EXAMPLE}
    shown = {"anyOf": [reference(views.BOOK.struct), reference(views.AS_OF.struct)]}
    best = success("The best levels; with `at` if that was asked for.", shown, BOOK_EXAMPLE)
    return {200: best, **said}


BOOKS_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: success(
        "By venue and symbol.",
        {"type": "array", "items": reference(views.BOOK_SUMMARY.struct)},
        [SUMMARY_EXAMPLE],
    ),
    **problems(NOT_READY),
}
BOOK_ANSWERS: Final = _book_answers()
SUBSCRIBE_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    201: success(
        "The l2 service has taken it up.",
        reference(SubscriptionAnswer),
        SUBSCRIPTION_EXAMPLE,
    ),
    200: success(
        "It was subscribed already.",
        reference(SubscriptionAnswer),
        SUBSCRIPTION_EXAMPLE | {"state": "LIVE"},
    ),
    **problems(
        NOT_JSON,
        UNKNOWN_VENUE,
        UNKNOWN_SYMBOL,
        KEY_REUSED,
        TOO_LARGE,
        WRONG_MEDIA_TYPE,
        INVALID,
        TOO_FAST,
        SHARE_TAKEN,
        NOT_READY,
        TOO_MANY,
        NO_ANSWER,
    ),
}
UNSUBSCRIBE_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: success(
        "The l2 service has dropped it.",
        reference(SubscriptionAnswer),
        SUBSCRIPTION_EXAMPLE | {"state": "UNSUBSCRIBED"},
    ),
    **problems(
        UNKNOWN_VENUE,
        UNKNOWN_SYMBOL,
        NOT_SUBSCRIBED,
        INVALID,
        TOO_FAST,
        SHARE_TAKEN,
        NOT_READY,
        TOO_MANY,
        NO_ANSWER,
    ),
}
STREAM_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: success(
        "Server-sent events, until you leave.",
        {"type": "string"},
        STREAM_EXAMPLE,
        media_type="text/event-stream",
    ),
    **problems(UNKNOWN_TOPIC, UNKNOWN_VENUE, UNKNOWN_SYMBOL, INVALID, SHARE_TAKEN, NOT_READY, TOO_MANY),
}
HEALTHZ_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: success("Yes.", reference(HealthAnswer), {"status": "alive"}),
    **problems(),
}
READYZ_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: success(
        "Every route would do its work.",
        reference(ReadyAnswer),
        READY_EXAMPLE,
    ),
    **problems(NOT_READY),
}
METRICS_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: success("The Prometheus text format.", {"type": "string"}, METRICS_EXAMPLE, media_type="text/plain"),
    **problems(),
}
ASYNCAPI_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: success("An AsyncAPI 3.0 document.", {"type": "object"}, ASYNCAPI_EXAMPLE),
    **problems(),
}
SUBSCRIBE_REQUEST: Final = command_request(SubscriptionBody, {"venue": "binance", "symbol": "BTCUSDT"})
