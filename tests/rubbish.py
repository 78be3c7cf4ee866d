"""Requests that nobody should send: bodies that break every rule, and bytes that are no HTTP."""

from __future__ import annotations

import copy
import json
import re
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER_S = 20.0  # without a byte of an answer for this long, a request hangs
DEEP = 30_000
WRONG_VALUES: tuple[Any, ...] = (None, [], {}, True, "", "\x00", "x" * 5000, -1, 10**400, float("nan"))

# Bodies that are no JSON object, and what they are answered.
BODIES: tuple[tuple[bytes, int], ...] = (
    (b"", 400),
    (b"{", 400),
    (b"nonsense", 400),
    (b'{"symbol": "BTCUSDT", "size": 1', 400),
    (b'{"symbol": "\xff\xfe"}', 400),  # no UTF-8
    (b"\xef\xbb\xbf{}", 400),  # a byte-order mark, which RFC 8259 forbids
    (b'{"symbol": "\\ud800"}', 400),  # half of a surrogate pair
    ("{}".encode("utf-16"), 400),
    (b"[" * DEEP + b"]" * DEEP, 400),
    (b'{"a":' * DEEP + b"1" + b"}" * DEEP, 413),
    (b'{"symbol": "BTCUSDT", "size": 1, "size": 2}', 400),
    (b"null", 422),
    (b"[]", 422),
    (b'"BTCUSDT"', 422),
    (b"1e999", 422),
    (b'{"symbol": "BTCUSDT", "size": NaN}', 422),
    (b'{"symbol": "BTCUSDT", "size": Infinity}', 422),
    (b'{"symbol": "BTCUSDT", "size": 1e999}', 422),
    (b'{"symbol": "BTCUSDT", "size": ' + b"9" * 5000 + b"}", 400),
    (b"x" * (64 * 1024 + 1), 413),
)
MEDIA_TYPES = (
    "",
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/json-seq",
    "multipart/form-data",
    "application/json; charset=iso-8859-1",
)


class Raw(NamedTuple):
    """Bytes for a socket, and the statuses that may answer them."""

    name: str
    head: bytes
    statuses: frozenset[int]


def _raw(name: str, head: bytes, *statuses: int) -> Raw:
    return Raw(name, head, frozenset(statuses))


_HOST = b"Host: localhost\r\n"
_POST = b"POST /api/venues/score HTTP/1.1\r\nContent-Type: application/json\r\n" + _HOST
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
REQUESTS = (
    _raw("no HTTP", b"hello there\r\n\r\n", 400),
    _raw("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64, 400),
    _raw("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 404, 405),
    _raw("no path", b"GET HTTP/1.1\r\n" + _HOST + b"\r\n", 400),
    _raw("a raw byte in the path", b"GET /\xff\xfe HTTP/1.1\r\n" + _HOST + b"\r\n", 400, 404),
    _raw("escapes that are no UTF-8", b"GET /api/l2/%ff/%c3%28 HTTP/1.1\r\n" + _HOST + b"\r\n", 404),
    _raw("a NUL in the path", b"GET /api/l2/binance/%00 HTTP/1.1\r\n" + _HOST + b"\r\n", 404),
    _raw("dots", b"GET /api/../../etc/passwd HTTP/1.1\r\n" + _HOST + b"\r\n", 404),
    _raw("an overlong path", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + _HOST + b"\r\n", 414),
    _raw("an overlong query", b"GET /api/l2?" + b"a=1&" * 3000 + b" HTTP/1.1\r\n" + _HOST + b"\r\n", 414),
    _raw("a header without end", b"GET /api/l2 HTTP/1.1\r\n" + _HOST + b"X: " + b"a" * 200_000, 431),
    _raw(
        "headers over the limit",
        b"GET /api/l2 HTTP/1.1\r\n" + _HOST + b"X: " + b"a" * 33_000 + b"\r\n\r\n",
        431,
    ),
    _raw("a broken header", b"GET /api/l2 HTTP/1.1\r\n" + _HOST + b"no colon\r\n\r\n", 400),
    _raw("a method nobody has", b"BREW /api/l2 HTTP/1.1\r\n" + _HOST + b"\r\n", 400, 405),
    _raw("a method of another route", b"PATCH /api/l2 HTTP/1.1\r\n" + _HOST + b"\r\n", 405),
    _raw("TRACE", b"TRACE /api/l2 HTTP/1.1\r\n" + _HOST + b"\r\n", 405),
    _raw("no host", b"GET /api/l2 HTTP/1.1\r\n\r\n", 400),
    _raw("two hosts", b"GET /api/l2 HTTP/1.1\r\n" + _HOST + _HOST + b"\r\n", 400),
    _raw("a host that is none", b"GET /nope HTTP/1.1\r\nHost: [\r\n\r\n", 400),
    _raw("a packed body", _POST + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 415),
    _raw("a length that is none", _POST + b"Content-Length: many\r\n\r\n", 400),
    _raw("a negative length", _POST + b"Content-Length: -1\r\n\r\n", 400),
    _raw("two lengths", _POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", 400, 422),
    _raw(
        "length and chunks",
        _POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        422,
    ),
    _raw("chunks in pieces", _CHUNKED + b'1\r\n{\r\n9\r\n"size": 1\r\n1\r\n}\r\n0\r\n\r\n', 422),
    _raw("a chunk of no length", _CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", 400),
    _raw("too many chunks", _CHUNKED + (b"1000\r\n" + b" " * 4096 + b"\r\n") * 17 + b"0\r\n\r\n", 413),
    _raw(
        "an Idempotency-Key with a space", _POST + b"Idempotency-Key: a b\r\nContent-Length: 2\r\n\r\n{}", 422
    ),
)


def wrong_bodies(document: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield, for each POST of an OpenAPI document, bodies near its example that are certainly wrong."""
    for path, methods in document["paths"].items():
        content = methods.get("post", {}).get("requestBody", {}).get("content", {})
        for said in content.values():
            example = said["example"]
            if "$ref" not in said["schema"]:
                continue  # any object will do
            schema = document["components"]["schemas"][said["schema"]["$ref"].rpartition("/")[2]]
            yield path, json.dumps(example | {"unheardOf": 1}).encode()
            for name in schema.get("required", ()):
                yield path, json.dumps({k: v for k, v in example.items() if k != name}).encode()
                for value in WRONG_VALUES:
                    if (name, value) not in _RIGHT:
                        yield path, json.dumps(copy.deepcopy(example) | {name: value}).encode()


# Reasons are escaped wherever they are shown: no word may keep trading from being halted.
_RIGHT: tuple[tuple[str, Any], ...] = (
    ("context", {}),
    ("reward", -1),
    ("value", -1),
    ("cvarBudget", 10**400),
    ("reason", "\x00"),
)


def ask_raw(url: str, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes, and return status, headers and body of what comes back.

    Raises
    ------
    TimeoutError
        If no whole answer comes in `ANSWER_S`.
    """
    address = urlsplit(url)
    with socket.create_connection((str(address.hostname), int(address.port or 80)), ANSWER_S) as opened:
        with suppress(BrokenPipeError, ConnectionResetError):  # it was answered before it was all sent
            opened.sendall(sent)
        received = b""
        while b"\r\n\r\n" not in received:
            if not (more := opened.recv(65536)):
                raise AssertionError(f"closed without an answer, after {received!r}")
            received += more
        head, _, body = received.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = 0 if sent.startswith(b"HEAD") else int(headers.get("content-length", 0))
        while len(body) < length:
            if not (more := opened.recv(65536)):
                raise AssertionError(f"closed within its answer, after {received!r}")
            body += more
    found = re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", status)
    assert found, status
    return int(found[1]), headers, body
