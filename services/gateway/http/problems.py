"""Everything that can go wrong for a caller, as RFC 9457 problem documents.

References
----------
RFC 9457, Problem Details for HTTP APIs, https://www.rfc-editor.org/rfc/rfc9457 (read 2026-11).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from libs.common.time_units import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MEDIA_TYPE: Final = "application/problem+json"
MAX_FIELD_ERRORS: Final = 20


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of problem; its `type` is the place in ``/docs`` that explains it."""

    slug: str
    status: int
    title: str
    remedy: str

    @property
    def uri(self) -> str:
        """The document's `type` (RFC 9457 section 3.1.1)."""
        return f"/docs#{self.slug}"


NOT_JSON: Final = ProblemType(
    "not-json", 400, "The body is not JSON", "Send one JSON object in UTF-8 (RFC 8259), each key once."
)
NOT_HTTP: Final = ProblemType(
    "not-http",
    400,
    "The request is not HTTP",
    "Send HTTP/1.1 (RFC 9112) with one Host and percent-encoded addresses.",
)
UNAUTHORIZED: Final = ProblemType(
    "unauthorized",
    401,
    "No valid token",
    "Send `Authorization: Bearer TOKEN`; ask the operator for the token.",
)
FOREIGN_PAGE: Final = ProblemType(
    "foreign-page",
    403,
    "A web page of another origin may not ask this",
    "Send it from the gateway's own pages or from a program; ask the operator to list the page's origin in "
    "GATEWAY_CORS_ORIGINS.",
)
UNKNOWN_ROUTE: Final = ProblemType("unknown-route", 404, "No such route", "The routes are listed in /docs.")
UNKNOWN_VENUE: Final = ProblemType(
    "unknown-venue", 404, "No such venue", "Use one of the venue ids in the detail."
)
UNKNOWN_SYMBOL: Final = ProblemType(
    "unknown-symbol", 404, "No such symbol", "Use one of the symbols in the detail, like BTC-USDT or BTCUSDT."
)
NOT_SUBSCRIBED: Final = ProblemType(
    "not-subscribed",
    404,
    "No such book",
    'POST {"venue": …, "symbol": …} to /api/l2/subscriptions; GET /api/l2 lists the books there are.',
)
NOT_KNOWN_THEN: Final = ProblemType(
    "not-known-then",
    404,
    "The book is not known for that moment",
    "Ask for a moment within `retained`, or at `nearby.before` or `nearby.after`.",
)
UNKNOWN_TOPIC: Final = ProblemType(
    "unknown-topic", 404, "No such topic", "Use one of the topics in the detail."
)
NO_RECORD: Final = ProblemType(
    "no-record",
    404,
    "No such record",
    "Ask for an offset within `kept`; of a compacted topic the newest record of each key stays.",
)
UNKNOWN_NAME: Final = ProblemType(
    "unknown-name", 404, "No such thing", "The detail says what is not known, and what is."
)
METHOD_NOT_ALLOWED: Final = ProblemType(
    "method-not-allowed", 405, "This route has no such method", "The header Allow lists those it has."
)
TOO_SLOW: Final = ProblemType(
    "too-slow",
    408,
    "The request took too long to come",
    "Send head and body in one go; the detail says in what time.",
)
KEY_REUSED: Final = ProblemType(
    "idempotency-key-reused",
    409,
    "The Idempotency-Key belongs to another request",
    "Repeat the same body under the same key; take a new key for a new request.",
)
TOO_LARGE: Final = ProblemType("too-large", 413, "The body is too large", "Send at most 64 KiB.")
URI_TOO_LONG: Final = ProblemType("uri-too-long", 414, "The address is too long", "Send at most 8 KiB.")
WRONG_MEDIA_TYPE: Final = ProblemType(
    "wrong-media-type",
    415,
    "The body is not application/json",
    "Send Content-Type: application/json, in UTF-8, without a Content-Encoding.",
)
MISDIRECTED: Final = ProblemType(
    "misdirected",
    421,
    "The gateway is not served under this name",
    "Ask by an address or by localhost; ask the operator to list the name in GATEWAY_SERVED_AS.",
)
INVALID: Final = ProblemType(
    "invalid", 422, "A field is invalid", "`errors` names each field and what is wrong with it."
)
HEADERS_TOO_LARGE: Final = ProblemType(
    "headers-too-large", 431, "The headers are too large", "Send at most 32 KiB of headers."
)
TOO_FAST: Final = ProblemType(
    "too-fast", 429, "There are too many requests", "Retry after the seconds in Retry-After."
)
SHARE_TAKEN: Final = ProblemType(
    "share-taken",
    429,
    "This address has its share",
    "End something that this address has under way, or retry after the seconds in Retry-After.",
)
INTERNAL: Final = ProblemType(
    "internal", 500, "The gateway failed", "The log has the reason under the X-Correlation-Id of this answer."
)
COMMAND_FAILED: Final = ProblemType(
    "command-failed",
    500,
    "The service failed on this command",
    "Nothing of it was done, and a retry fails too. It is a bug: report it; the detail says what is kept.",
)
NOT_READY: Final = ProblemType(
    "not-ready",
    503,
    "What this needs is not ready",
    "Retry after the seconds in Retry-After; /readyz says why.",
)
BOOK_NOT_SYNCED: Final = ProblemType(
    "book-not-synced",
    503,
    "The book has not synchronised yet",
    "Retry after the seconds in Retry-After; GET /api/l2 shows its state.",
)
UNAVAILABLE: Final = ProblemType(
    "unavailable",
    503,
    "What this needs is not there now",
    "The detail says what is missing; retry after the seconds in Retry-After.",
)
TOO_MANY: Final = ProblemType(
    "too-many", 503, "A limit of the gateway is reached", "Retry after the seconds in Retry-After."
)
NO_ANSWER: Final = ProblemType(
    "no-answer",
    504,
    "No answer came in time",
    "The command may still be carried out. Retry under the same Idempotency-Key, or look at the state.",
)

PROBLEM_TYPES: Final = tuple(value for value in list(globals().values()) if isinstance(value, ProblemType))


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field."""

    field: Annotated[str, Meta(description="its path, parts joined by dots; empty: the whole body")]
    message: Annotated[str, Meta(description="what is wrong, and what would be right")]


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The body of every answer that is no success."""

    type: Annotated[str, Meta(description="address of the place in the documentation that explains it")]
    title: Annotated[str, Meta(description="the kind of problem, in words; the same for the same `type`")]
    status: Annotated[int, Meta(description="the HTTP status")]
    detail: Annotated[str, Meta(description="what is wrong with this request, and what would be right")]
    errors: Annotated[tuple[FieldError, ...], Meta(description="field by field, where it is fields")] = ()
    command_id: Annotated[
        str | None,
        Meta(description="UUID of a command that was sent and not answered in time; null: none was"),
    ] = None
    missing: Annotated[
        tuple[str, ...], Meta(description="what is missing for every route to do its work, in words")
    ] = ()


class ProblemError(Exception):
    """A request that cannot be answered as asked.

    Parameters
    ----------
    retry_after_s
        Whole seconds after which a retry makes sense.
    command_id
        Of a command that was sent and not answered.
    asks
        Headers that ask for something else: WWW-Authenticate of a 401, Accept-Encoding of a 415 (RFC 9110
        sections 11.6.1 and 15.5.16).
    missing
        For every route to do its work.
    """

    def __init__(
        self,
        problem: ProblemType,
        detail: str,
        *,
        errors: tuple[FieldError, ...] = (),
        retry_after_s: int | None = None,
        command_id: str | None = None,
        asks: Mapping[str, str] | None = None,
        missing: tuple[str, ...] = (),
    ) -> None:
        super().__init__(detail)
        self.problem = problem
        self.status = problem.status
        self.detail = detail
        self.retry_after_s = retry_after_s
        retry = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        self.headers = {**(asks or {}), **retry}  # that go with the document
        self.document = ProblemDocument(
            type=problem.uri,
            title=problem.title,
            status=problem.status,
            detail=detail,
            errors=errors,
            command_id=command_id,
            missing=missing,
        )

    def body(self) -> bytes:
        """Return the document as JSON."""
        return msgspec.json.encode(self.document)


def too_fast(detail: str, wait_ns: int) -> ProblemError:
    """Return the problem of a request that may come again in so many ns."""
    return ProblemError(TOO_FAST, detail, retry_after_s=-(-wait_ns // NS_PER_S))


def not_ready(what: str, missing: tuple[str, ...] = ()) -> ProblemError:
    """Return the problem of a question asked before the state to answer it is there."""
    return ProblemError(NOT_READY, what, retry_after_s=1, missing=missing)


def invalid(errors: Sequence[FieldError]) -> ProblemError:
    """Return the problem of these fields."""
    kept = tuple(errors[:MAX_FIELD_ERRORS])
    detail = "; ".join(f"{error.field}: {error.message}" if error.field else error.message for error in kept)
    return ProblemError(INVALID, f"{detail}.", errors=kept)
