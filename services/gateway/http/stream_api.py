"""The route of streams: which topics and keys, and from where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from libs.common.topics import DEAD_LETTERS, GATEWAY_IDEMPOTENCY, TOPICS
from services.gateway.http import contract
from services.gateway.http.bodies import invalid
from services.gateway.http.problems import UNKNOWN_TOPIC, FieldError, ProblemError
from services.gateway.http.routing import caller_of, parts_of
from services.gateway.reading.books import book_id
from services.gateway.stream.sse import start_of

if TYPE_CHECKING:
    from libs.common.topics import Topic

# Keys of other callers, private state, and bytes that are no message, are nobody else's to watch.
STREAMED: Final = {
    name: topic
    for name, topic in TOPICS.items()
    if not topic.private and topic not in (GATEWAY_IDEMPOTENCY, DEAD_LETTERS)
}

router = APIRouter()


@router.get(
    "/api/stream",
    tags=["stream"],
    summary="Topic messages as they come",
    response_class=StreamingResponse,
    responses=contract.STREAM_ANSWERS,
)
async def stream(
    request: Request,
    topics: Annotated[
        str,
        Query(description="topic names, separated by commas", max_length=1000, examples=["l2.trades.v1"]),
    ],
    key: Annotated[
        str | None,
        Query(description="only these books: `venue:symbol`, separated by commas", max_length=1000),
    ] = None,
    start: Annotated[
        str | None,
        Query(
            alias="from",
            description="`end` (default), `beginning`, `-10m` (s, m, h, d), or ms since 1970 UTC; but with "
            "`Last-Event-ID`, as an EventSource that reconnects sends it, `dropped` comes first and the "
            "stream goes on from now",
        ),
    ] = None,
    last_event_id: Annotated[
        str | None,
        Header(
            description="the last id seen; what came since is sent first, while it is remembered and these "
            "topics have been read without a break; else, and always with `from` other than `end`, an event "
            '`dropped` with `{"count": null}` comes first: nobody knows how many are missing'
        ),
    ] = None,
) -> Response:
    """Stream decoded messages: `event` is the topic, `id` is `topic:partition:offset`, `data` is JSON.

    Names are in camel case; times and durations, nanoseconds on the topic, are in milliseconds (`venueTs`,
    `lagMs`). `type` is the message's; a deleted key comes as `{"type": "Tombstone", "key": …}`. A client that
    reads too slowly loses messages: an event `dropped` with `{"count": n}` stands in their place. A stream
    with `from` reads at the client's own pace and loses none while its connection lasts; it cannot be taken
    up where it was. A stream that cannot open while Kafka is away is 503; one whose reader Kafka fails later
    ends, and may be opened again.
    """
    parts = parts_of(request)
    wanted = [_streamed(name) for name in dict.fromkeys(_listed("topics", topics))]
    keys = frozenset() if key is None else frozenset(_book_key(text) for text in _listed("key", key))
    begin = start_of(start, parts.clock())
    return parts.hub.stream(wanted, keys, begin, last_event_id, caller_of(request))


def _listed(field: str, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise invalid([FieldError(field, "must be names separated by commas")])
    return names


def _streamed(name: str) -> Topic:
    try:
        return STREAMED[name]
    except KeyError:
        known = ", ".join(STREAMED)
        raise ProblemError(UNKNOWN_TOPIC, f"{name[:80]!r} is not streamed; these are: {known}.") from None


def _book_key(text: str) -> bytes:
    venue, _, symbol = text.partition(":")
    return book_id(venue, symbol).key
