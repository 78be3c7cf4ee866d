"""The hash chain of an execution's audit entries; pure.

``hash = SHA-256(prev_hash + JCS({seq, ts, kind, payload}))`` in hex over UTF-8, `ts` in ms UTC, the first
`prev_hash` 64 zeros. JCS is the JSON Canonicalization Scheme, RFC 8785.
"""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from functools import lru_cache
from json.encoder import encode_basestring
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

import msgspec
import rfc8785

from libs.common.events import AuditEntry
from libs.common.time_units import NS_PER_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

GENESIS: Final = "0" * 64
_PLAIN: Final = 1e-4  # from here
_SMALL: Final = 1e-6  # ECMAScript writes no exponent from here
_LARGE: Final = 1e16  # to below here Python writes a double without exponent, as ECMAScript does
_CONSTANTS: Final[Mapping[bool | None, str]] = {None: "null", True: "true", False: "false"}
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
    return _STRICT.object(dict(payload))


def link(
    execution_id: str, seq: int, now: int, kind: str, payload: Mapping[str, object], prev_hash: str
) -> AuditEntry:
    """Return the next entry of a chain.

    Parameters
    ----------
    now
        ns UTC; kept in whole ms, as it is hashed.
    payload
        Whatever `jsonable` takes, and as it has it.

    Raises
    ------
    CanonicalizationError
        If it holds a NaN or an infinity.
    """
    ts_ms = now // NS_PER_MS
    text = _TELLING.object(msgspec.to_builtins(payload, str_keys=True))
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


class _Writer:
    """Writes what is frequent, ten times as fast as the package; the package writes and refuses the rest.

    Parameters
    ----------
    large
        Writes an integer that no double holds.
    """

    def __init__(self, large: Callable[[int], str]) -> None:
        self._large = large
        self._writers: Mapping[type, Callable[[Any], str]] = {
            str: encode_basestring,  # the escapes of RFC 8785 section 3.2.2.2
            float: _float_text,
            int: self._integer,
            bool: _CONSTANTS.__getitem__,
            NoneType: _CONSTANTS.__getitem__,
            dict: self.object,
            list: self._array,
            tuple: self._array,
        }

    def object(self, value: dict[str, Any]) -> str:
        """Return an object as text."""
        find = self._writers.get
        members = [
            name + find(type(item := value[key]), _refused)(item) for key, name in _members(tuple(value))
        ]
        return f"{{{','.join(members)}}}"

    def _array(self, value: Iterable[Any]) -> str:
        find = self._writers.get
        return f"[{','.join([find(type(item), _refused)(item) for item in value])}]"

    def _integer(self, value: int) -> str:
        return str(value) if -_EXACT <= value <= _EXACT else self._large(value)


def _float_text(value: float) -> str:
    """Return the shortest digits, as Python writes them, in the form of section 3.2.2.3."""
    size = abs(value)
    if _PLAIN <= size < _LARGE:
        return repr(value).removesuffix(".0")
    if _SMALL <= size < _PLAIN:
        return format(Decimal(repr(value)), "f")  # these digits without their exponent
    return "0" if value == 0.0 else rfc8785.dumps(value).decode()


def _refused(value: Any) -> str:  # noqa: ANN401 -- JSON
    return rfc8785.dumps(value).decode()


@lru_cache(maxsize=256)
def _members(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the names of an object in the order of section 3.2.3, each with its text."""
    return tuple((name, f"{encode_basestring(name)}:") for name in sorted(names, key=_utf16))


def _quoted(value: int) -> str:
    return f'"{value}"'


def _utf16(name: str) -> bytes:
    return name.encode("utf-16-be")


_STRICT: Final = _Writer(_refused)
_TELLING: Final = _Writer(_quoted)  # as `jsonable` has it
