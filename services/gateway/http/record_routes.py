"""The routes of records as they stand on the topics: one by its place, and those of a stretch of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request, Response

from libs.common.time_units import NS_PER_MS, UNITS_NS
from libs.common.topics import DEAD_LETTERS, GATEWAY_IDEMPOTENCY, TOPICS
from services.gateway.http import openapi
from services.gateway.http import problems as p
from services.gateway.http import requests as r
from services.gateway.http.openapi import answers, list_of, reference
from services.gateway.http.parts import caller_of, json_answer, parts_of
from services.gateway.http.presence import while_there
from services.gateway.http.problems import ProblemError
from services.gateway.http.spans import moments_of
from services.gateway.reading.record_history import NoRecordDocument, PastRecord, Stretch, WholeRecord

if TYPE_CHECKING:
    from libs.common.topics import Topic

# Keys of other callers, private state, and bytes that are no message, are nobody else's to watch.
STREAMED: Final = {
    name: topic
    for name, topic in TOPICS.items()
    if not topic.private and topic not in (GATEWAY_IDEMPOTENCY, DEAD_LETTERS)
}
DEFAULT_FROM: Final = "-15m"
DEFAULT_LIMIT: Final = 1000

router = APIRouter(tags=["stream"])


def streamed(name: str) -> Topic:
    """Return the topic of this name.

    Raises
    ------
    ProblemError
        404 with the topics there are, if it is none that may be watched.
    """
    try:
        return STREAMED[name]
    except KeyError:
        known = ", ".join(STREAMED)
        raise ProblemError(p.UNKNOWN_TOPIC, f"{name[:80]!r} is not streamed; these are: {known}.") from None


def _record_answers() -> openapi.Answers:
    found = answers(
        "The record.", reference(WholeRecord), p.UNKNOWN_TOPIC, p.NO_RECORD, *openapi.TAKES_A_PLACE
    )
    found[p.NO_RECORD.status]["content"][p.MEDIA_TYPE]["schema"] = reference(
        p.ProblemDocument, NoRecordDocument
    )
    return found


@router.get(
    "/api/records/{topic}/{partition}/{offset}", summary="One record of a topic", responses=_record_answers()
)
async def topic_record(
    request: Request, topic: r.TopicPath, partition: r.PartitionPath, offset: r.OffsetPath
) -> Response:
    """Return what stands at a place of a topic: what the `id` of a message of /api/stream names.

    `data` is as /api/stream tells it; `timestamp`, key and headers are Kafka's. A place at which nothing
    stands, any more or yet, is 404 with the offsets between which the partition is kept (`kept`).
    """
    work = parts_of(request).past_records.record(streamed(topic), partition, offset, caller_of(request))
    return json_answer(200, await while_there(request.receive, work))


@router.get(
    "/api/records/{topic}",
    summary="The records of a stretch of time",
    responses=answers("The oldest first.", list_of(PastRecord), p.UNKNOWN_TOPIC, *openapi.TAKES_A_PLACE),
)
async def topic_history(
    request: Request,
    topic: r.TopicPath,
    begin: r.HistoryBegin = DEFAULT_FROM,
    end: r.SpanEnd = None,
    key: r.RecordKey = None,
    every: r.Every = None,
    limit: r.HistoryLimit = DEFAULT_LIMIT,
) -> Response:
    """Return the newest records of a topic that Kafka stamped between two moments, both included.

    With `every` they are the last of each key in each step of that length: a curve of a long time in few
    points. Of a compacted topic there is what compaction has left. What needs more of the log than one
    reading may take is 503: ask for less time, or, of a topic of books, for one `key`.
    """
    parts = parts_of(request)
    asked = streamed(topic)
    span = moments_of(begin, end, parts.clock())
    stretch = Stretch(
        span.begin_ts // NS_PER_MS,
        span.end_ts // NS_PER_MS,
        limit,
        None if key is None else key.encode(),
        None if every is None else int(every[:-1]) * UNITS_NS[every[-1]] // NS_PER_MS,
    )
    work = parts.past_records.history(asked, stretch, caller_of(request))
    return json_answer(200, await while_there(request.receive, work))
