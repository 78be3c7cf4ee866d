"""Bodies, read as JSON and nothing else before FastAPI holds them against their models."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, Final

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic_core import from_json

from services.gateway.http import problems as p
from services.gateway.http.problems import FieldError, ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from fastapi import Response

MAX_BODY: Final = 64 * 1024  # bytes
# RFC 9110 section 8.3.1; of the parameters only charset says anything of JSON.
_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER: Final = re.compile(rf';[ \t]*(?:({_WORD})=({_WORD}|"[^"\\]*")[ \t]*)?')
_PARAMETERS: Final = rf"[ \t]*((?:{_PARAMETER.pattern})*)"
JSON_TYPE: Final = "application/json"
TEXT_TYPE: Final = "text/plain"
_MEDIA_TYPE: Final = re.compile(JSON_TYPE + _PARAMETERS, re.IGNORECASE)
_TEXT_TYPE: Final = re.compile(f"(?:{JSON_TYPE}|{TEXT_TYPE}){_PARAMETERS}", re.IGNORECASE)
_BOM: Final = b"\xef\xbb\xbf"


class StrictRequest(Request):
    """A request whose body is one JSON object, read before FastAPI holds it against its model."""

    _raw: bytes
    _object: dict[str, Any]

    async def read(self, *, text: bool = False) -> None:
        """Read the whole body; with `text` it may be declared as text/plain.

        Raises
        ------
        ProblemError
            415 if it declares anything but JSON, another charset or an encoding; 413 if it is over the limit;
            400 or 422 if it is no JSON object, see `object_of`.
        """
        require_json(self.headers.get("content-type"), self.headers.getlist("content-encoding"), text=text)
        body = bytearray()
        async for chunk in self.stream():
            body += chunk
            if len(body) > MAX_BODY:
                raise too_large()
        self._raw = bytes(body)
        self._object = object_of(self._raw)

    async def body(self) -> bytes:
        """Return the body as it came."""
        return self._raw

    async def json(self) -> dict[str, Any]:
        """Return the object that the body is."""
        return self._object


class StrictRoute(APIRoute):
    """A route that takes a `StrictRequest`; FastAPI's own parser reads a key that stands twice, and NaN."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        answer = super().get_route_handler()

        async def read_first(request: Request) -> Response:
            strict = StrictRequest(request.scope, request.receive)
            if self.body_field is not None:
                await strict.read()
            return await answer(strict)

        return read_first


def require_json(content_type: str | None, encodings: Iterable[str] = (), *, text: bool = False) -> None:
    """Refuse a body that is not declared as JSON in UTF-8, as it is; with `text`, text/plain passes too.

    Raises
    ------
    ProblemError
        415 for any other media type or none, any other charset, and any encoding but ``identity``.
    """
    form, right = (_TEXT_TYPE, f"{JSON_TYPE} or {TEXT_TYPE}") if text else (_MEDIA_TYPE, JSON_TYPE)
    declared = None if content_type is None else form.fullmatch(content_type.strip())
    if declared is None:
        raise ProblemError(p.WRONG_MEDIA_TYPE, f"Send the body as Content-Type: {right}.")
    for name, value in _PARAMETER.findall(declared[1]):
        if name.lower() == "charset" and value.strip('"').lower() != "utf-8":
            detail = f"The charset {value[:40]} is not read: send the body in utf-8."
            raise ProblemError(p.WRONG_MEDIA_TYPE, detail)
    for encoding in (each.strip().lower() for line in encodings for each in line.split(",")):
        if encoding not in ("", "identity"):
            detail = f"The Content-Encoding {encoding[:40]!r} is not read: send the body as it is, identity."
            raise ProblemError(p.WRONG_MEDIA_TYPE, detail, asks={"Accept-Encoding": "identity"})


def too_large() -> ProblemError:
    """Return the problem of a body over `MAX_BODY`."""
    return ProblemError(p.TOO_LARGE, f"The body is over {MAX_BODY} bytes.")


def object_of(raw: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is.

    Raises
    ------
    ProblemError
        400 if `raw` is not JSON or names a key twice, 422 if it is no object.

    Notes
    -----
    NaN and Infinity are no JSON, but several clients write them: they are read as numbers, and refused by
    their field. A key that stands twice means one thing to one reader and another to the next (RFC 8259
    section 4), and a byte order mark is none of JSON (section 8.1): both are refused.
    """
    if raw.startswith(_BOM):
        raise ProblemError(p.NOT_JSON, "The body begins with a byte order mark (U+FEFF): send it without.")
    try:
        value = from_json(raw, allow_inf_nan=True)
    except ValueError as error:
        raise ProblemError(p.NOT_JSON, f"The body is not JSON: {error}.") from error
    _require_keys_once(raw)
    if not isinstance(value, dict):
        raise p.invalid([FieldError("", "the body must be a JSON object")])
    return value


def _require_keys_once(raw: bytes) -> None:
    """Refuse a key that stands twice in an object, however deep; `raw` is known to be JSON."""
    _KEYS.decode(raw.decode())


def _once(pairs: list[tuple[str, None]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise ProblemError(p.NOT_JSON, f"The key {key[:64]!r} stands twice in one object: send it once.")
        seen.add(key)


def _unread(_number: str) -> None:
    """Leave a number of any length as it is."""


_KEYS: Final = json.JSONDecoder(object_pairs_hook=_once, parse_int=_unread, parse_float=_unread)


def request_hash(method: str, path: str, raw: bytes) -> str:
    """Return what tells one request under an Idempotency-Key from another."""
    return hashlib.sha256(b"\n".join((method.encode(), path.encode(), raw))).hexdigest()
