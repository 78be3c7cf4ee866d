"""The hash chain of an execution's audit entries; pure.

``hash = SHA-256(prev_hash + JCS({seq, ts, kind, payload}))`` in hex over UTF-8, `ts` in ms UTC, the first
`prev_hash` 64 zeros. JCS is the JSON Canonicalization Scheme, RFC 8785.
"""

from __future__ import annotations

import hashlib
import json
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final

import msgspec
import rfc8785

from libs.common.events import AuditEntry
from libs.common.time_units import NS_PER_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

GENESIS: Final = "0" * 64
_PLAIN: Final = 1e-4  # from here
_LARGE: Final = 1e16  # to below here Python writes a double without exponent, as ECMAScript does
_EXACT: Final = 2**53 - 1  # the largest integer that JSON's numbers, doubles, hold with all below (RFC 7493)


def jsonable(value: object) -> Any:  # noqa: ANN401 -- JSON
    """Return `value` as JSON has it: Decimals and integers that no double holds become text."""
    return _exact(msgspec.to_builtins(value, str_keys=True))


def canonical(payload: Mapping[str, Any]) -> str:
    """Return the canonical JSON (RFC 8785) of a payload.

    Raises
    ------
    CanonicalizationError
        If it holds what JSON has no exact form for: a NaN, an infinity, an integer beyond 2^53, no JSON.
    """
    return _text(dict(payload))


def link(
    execution_id: str, seq: int, now: int, kind: str, payload: Mapping[str, Any], prev_hash: str
) -> AuditEntry:
    """Return the next entry of a chain.

    Parameters
    ----------
    now
        ns UTC; kept in whole ms, as it is hashed.
    """
    ts_ms = now // NS_PER_MS
    text = canonical(payload)
    return AuditEntry(
        execution_id=execution_id,
        seq=seq,
        ts=ts_ms * NS_PER_MS,
        kind=kind,
        payload=text,
        prev_hash=prev_hash,
        hash=_digest(prev_hash, seq, ts_ms, kind, text),
    )


def broken_links(entries: Iterable[AuditEntry]) -> list[str]:
    """Return what is wrong with a chain, in words; empty if it is whole from its first entry on."""
    found = []
    prev_hash, ids = GENESIS, set()
    for n, entry in enumerate(entries):
        ids.add(entry.execution_id)
        if entry.seq != n:
            found.append(f"entry {n} says it is number {entry.seq}")
        if entry.prev_hash != prev_hash:
            found.append(f"entry {n} ({entry.kind}) does not follow the one before it")
        if entry.hash != _recomputed(entry):
            found.append(f"entry {n} ({entry.kind}) is not what its hash was made of")
        prev_hash = entry.hash
    if len(ids) > 1:
        found.append(f"entries of {len(ids)} executions")
    return found


def _recomputed(entry: AuditEntry) -> str | None:
    ts_ms, rest = divmod(entry.ts, NS_PER_MS)
    try:
        payload = json.loads(entry.payload, parse_int=_number)
        if rest or canonical(payload) != entry.payload:
            return None
        return _digest(entry.prev_hash, entry.seq, ts_ms, entry.kind, entry.payload)
    except (ValueError, TypeError, RecursionError, rfc8785.CanonicalizationError):
        return None


def _number(digits: str) -> int | float:
    number = int(digits)  # canonical JSON writes whole doubles like integers
    return number if abs(number) <= _EXACT else float(number)


def _digest(prev_hash: str, seq: int, ts_ms: int, kind: str, payload: str) -> str:
    # RFC 8785 section 3.2.3 sorts the members: kind, payload, seq, ts.
    body = f'{{"kind":{rfc8785.dumps(kind).decode()},"payload":{payload},"seq":{seq},"ts":{ts_ms}}}'
    return hashlib.sha256((prev_hash + body).encode()).hexdigest()


def _exact(value: Any) -> Any:  # noqa: ANN401 -- JSON
    kind = type(value)  # of `to_builtins`: no subclasses
    if kind is dict:
        return {key: _exact(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [_exact(item) for item in value]
    if kind is int and abs(value) > _EXACT:
        return str(value)
    return value


def _text(value: Any) -> str:  # noqa: ANN401 -- JSON
    """Write what is frequent, four times as fast as the package; the package writes and refuses the rest."""
    kind = type(value)
    if kind is str:
        return encode_basestring(value)  # the escapes of RFC 8785 section 3.2.2.2
    if kind is float and _PLAIN <= abs(value) < _LARGE:
        return repr(value).removesuffix(".0")  # section 3.2.2.3: the shortest digits, as Python writes them
    if kind is dict:
        members = sorted(value.items(), key=_utf16)
        return f"{{{','.join([f'{encode_basestring(name)}:{_text(item)}' for name, item in members])}}}"
    if kind is list or kind is tuple:
        return f"[{','.join([_text(item) for item in value])}]"
    return rfc8785.dumps(value).decode()


def _utf16(member: tuple[str, Any]) -> bytes:
    return member[0].encode("utf-16-be")  # section 3.2.3
