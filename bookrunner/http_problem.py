"""`ProblemError`: what the gateway answers where it does not do what it was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping


class FieldFault(msgspec.Struct, frozen=True):
    """What is wrong with one field of a request."""

    field: str = ""
    message: str = ""


class _Document(msgspec.Struct, frozen=True, rename="camel"):
    type: str = ""
    title: str = ""
    detail: str = ""
    errors: tuple[FieldFault, ...] = ()
    command_id: str | None = None
    missing: tuple[str, ...] = ()


class ProblemError(Exception):
    """An answer that is no success (RFC 9457).

    Attributes
    ----------
    status
        The HTTP status: 422 a field is wrong, 404 there is no such thing, 503 not yet, 504 no answer in time.
    type, title
        The kind of problem: a place in the gateway's /docs, and words.
    detail
        What is wrong with this request, and what would be right.
    errors
        The same field by field, where it is fields.
    command_id
        Of a command that was sent and not answered in time; None: none was.
    missing
        With a 503: what the gateway waits for.
    retry_after_s
        After how many seconds the request may succeed; None: the gateway does not say.
    correlation_id
        Under which the gateway's logs tell of it.
    """

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        try:
            found = msgspec.json.decode(body, type=_Document)
        except msgspec.DecodeError:  # something between here and the gateway answers
            text = body[:200].decode("utf-8", "backslashreplace")
            found = _Document(title="no answer of a gateway", detail=text)
        self.status = status
        self.type = found.type
        self.title = found.title
        self.detail = found.detail
        self.errors = found.errors
        self.command_id = found.command_id
        self.missing = found.missing
        after = headers.get("Retry-After", "")
        self.retry_after_s = int(after) if after.isdecimal() else None
        self.correlation_id = headers.get("X-Correlation-Id", "")
        super().__init__(f"{status} {self.title}: {self.detail}")
