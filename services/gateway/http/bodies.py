"""What callers may send: bodies and headers, checked before anything else sees them."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import from_json

from libs.common.instruments import MAX_SIZE
from services.gateway.http.problems import (
    INVALID,
    NOT_JSON,
    TOO_LARGE,
    WRONG_MEDIA_TYPE,
    FieldError,
    ProblemError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_BODY: Final = 64 * 1024  # bytes
MAX_FIELD_ERRORS: Final = 20
# RFC 9110 section 8.3.1; of the parameters only charset says anything of JSON.
_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER: Final = re.compile(rf';[ \t]*(?:({_WORD})=({_WORD}|"[^"\\]*")[ \t]*)?')
_MEDIA_TYPE: Final = re.compile(rf"application/json[ \t]*((?:{_PARAMETER.pattern})*)", re.IGNORECASE)
_BOM: Final = b"\xef\xbb\xbf"
_IDEMPOTENCY_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


class Body(BaseModel):
    """A JSON object: no unknown fields, no other types, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


SYMBOL_SAID: Final = (
    "BASE-QUOTE, as BTC-USDT, BTC/USDT or BTC_USDT, in any case; without separator, as BTCUSDT, where that "
    "is one pair only"
)
VENUE_SAID: Final = "id of the exchange, like binance; GET /api/venues/registry lists them"

SymbolText = Annotated[str, StringConstraints(min_length=1, max_length=40), Field(description=SYMBOL_SAID)]
VenueText = Annotated[str, StringConstraints(min_length=1, max_length=40), Field(description=VENUE_SAID)]
Side = Annotated[Literal["buy", "sell"], Field(description="buy takes asks, sell takes bids")]


class SubscriptionBody(Body):
    """A wish for a book."""

    venue: VenueText
    symbol: SymbolText


class ScoreBody(Body):
    """An order for which a venue is to be chosen."""

    symbol: SymbolText
    size: Annotated[float, Field(gt=0, le=MAX_SIZE, description="base units")]
    side: Side = "buy"


BodyT = TypeVar("BodyT", bound=Body)


def require_json(content_type: str | None, encodings: Iterable[str] = ()) -> None:
    """Refuse a body that is not declared as JSON in UTF-8, as it is.

    Raises
    ------
    ProblemError
        415 for any other media type or none, any other charset, and any encoding but ``identity``.
    """
    declared = None if content_type is None else _MEDIA_TYPE.fullmatch(content_type.strip())
    if declared is None:
        raise ProblemError(WRONG_MEDIA_TYPE, "Send the body as Content-Type: application/json.")
    for name, value in _PARAMETER.findall(declared[1]):
        if name.lower() == "charset" and value.strip('"').lower() != "utf-8":
            detail = f"The charset {value[:40]} is not read: send the body in utf-8."
            raise ProblemError(WRONG_MEDIA_TYPE, detail)
    for encoding in (each.strip().lower() for line in encodings for each in line.split(",")):
        if encoding not in ("", "identity"):
            detail = f"The Content-Encoding {encoding[:40]!r} is not read: send the body as it is, identity."
            raise ProblemError(WRONG_MEDIA_TYPE, detail, asks={"Accept-Encoding": "identity"})


def too_large() -> ProblemError:
    """Return the problem of a body over `MAX_BODY`."""
    return ProblemError(TOO_LARGE, f"The body is over {MAX_BODY} bytes.")


def parse_body(model: type[BodyT], raw: bytes) -> BodyT:
    """Return the checked body.

    Raises
    ------
    ProblemError
        400 if `raw` is not JSON or names a key twice, 422 with every wrong field if it is not what `model`
        says.

    Notes
    -----
    NaN and Infinity are no JSON, but several clients write them: they are read as numbers, and refused by
    their field. A key that stands twice means one thing to one reader and another to the next (RFC 8259
    section 4), and a byte order mark is none of JSON (section 8.1): both are refused.
    """
    if raw.startswith(_BOM):
        raise ProblemError(NOT_JSON, "The body begins with a byte order mark (U+FEFF): send it without.")
    try:
        value = from_json(raw, allow_inf_nan=True)
    except ValueError as error:
        raise ProblemError(NOT_JSON, f"The body is not JSON: {error}.") from error
    _require_keys_once(raw)
    if not isinstance(value, dict):
        raise invalid([FieldError("", "the body must be a JSON object")])
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(field_errors(error.errors(include_url=False, include_input=False))) from error


def _require_keys_once(raw: bytes) -> None:
    """Refuse a key that stands twice in an object, however deep; `raw` is known to be JSON."""

    def once(pairs: list[tuple[str, None]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ProblemError(
                    NOT_JSON, f"The key {key[:64]!r} stands twice in one object: send it once."
                )
            seen.add(key)

    json.loads(raw.decode(), object_pairs_hook=once, parse_int=_unread, parse_float=_unread)


def _unread(_number: str) -> None:
    """Leave a number of any length as it is."""


def field_errors(errors: Sequence[Mapping[str, Any]], skip: int = 0) -> list[FieldError]:
    """Return pydantic's errors as ours, without the first `skip` parts of each path; long parts are cut."""
    return [
        FieldError(".".join(str(part)[:64] for part in error["loc"][skip:]), error["msg"]) for error in errors
    ]


def invalid(errors: Sequence[FieldError]) -> ProblemError:
    """Return the problem of these fields."""
    kept = tuple(errors[:MAX_FIELD_ERRORS])
    detail = "; ".join(f"{error.field}: {error.message}" if error.field else error.message for error in kept)
    return ProblemError(INVALID, f"{detail}.", errors=kept)


def idempotency_key(header: str | None) -> str | None:
    """Return the caller's Idempotency-Key.

    Raises
    ------
    ProblemError
        422 if it is not 1 to 255 visible ASCII characters.
    """
    if header is None or _IDEMPOTENCY_KEY.fullmatch(header):
        return header
    raise invalid([FieldError("Idempotency-Key", "must be 1 to 255 visible ASCII characters")])


def request_hash(method: str, path: str, raw: bytes) -> str:
    """Return what tells one request under an Idempotency-Key from another."""
    return hashlib.sha256(b"\n".join((method.encode(), path.encode(), raw))).hexdigest()
