"""Messages as a later version would write them: derived from those of today, by the types of their fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import inspect

from libs.common.codec import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from libs.common.events import Event

    _Change = Callable[[str, inspect.Type, Any], Any]

UNKNOWN: Final = "of-a-later-version"
VENUE: Final = "laterex"
SYMBOL: Final = "LATER-LATR"
EXTRA: Final = {"later_field": {"later": [1, None, "é"]}, "later_ts": 2**63}
HEADERS: Final = (
    ("content-type", b"application/vnd.bookrunner.v2+msgpack"),
    ("ce_specversion", b"2.0"),
    ("ce_dataschema", b"v2"),
)


def extended(message: Event) -> bytes:
    """Return the message with fields that nobody knows today, in every struct of it."""

    def more(_path: str, info: inspect.Type, value: Any) -> Any:
        return value | EXTRA if isinstance(info, inspect.StructType) else value

    return _packed(_changed(message, more))


def of_unknown_type(message: Event) -> bytes:
    """Return the message as one of a type that nobody knows today."""
    return _packed(_wire(message) | {"type": "LaterMessage"})


def with_unknown_names(message: Event) -> Iterator[tuple[str, bytes]]:
    """Yield the message with a name that nobody knows today, once for each place of an enumeration."""
    places: dict[str, None] = {}

    def note(path: str, info: inspect.Type, value: Any) -> Any:
        named = isinstance(info, inspect.EnumType | inspect.LiteralType) or path.endswith(".type")
        if named and isinstance(value, str):
            places[path] = None
        return value

    _changed(message, note)
    for place in places:

        def rename(path: str, _info: inspect.Type, value: Any, at: str = place) -> Any:
            return UNKNOWN if path == at else value

        yield place, _packed(_changed(message, rename))


def of_unknown_instruments(message: Event) -> bytes:
    """Return the message of a venue, a symbol and currencies that nobody knows today."""
    names = {"venue": VENUE, "symbol": SYMBOL}

    def elsewhere(path: str, _info: inspect.Type, value: Any) -> Any:
        return names.get(path.rpartition(".")[2], value) if isinstance(value, str) else value

    return _packed(_changed(message, elsewhere))


def _wire(message: Event) -> Any:
    return msgspec.msgpack.decode(encode(message))


def _packed(wire: Any) -> bytes:
    return msgspec.msgpack.encode(wire)


def _changed(message: Event, change: _Change) -> Any:
    return _walk("$", inspect.type_info(type(message)), _wire(message), change)


def _walk(path: str, info: inspect.Type, value: Any, change: _Change) -> Any:
    match info:
        case inspect.Metadata(type=item):
            return _walk(path, item, value, change)
        case inspect.UnionType(types=types):
            return value if value is None else _walk(path, _member(types, value), value, change)
        case inspect.StructType(fields=fields, tag=tag):
            inner = {
                field.encode_name: _walk(
                    f"{path}.{field.encode_name}", field.type, value[field.encode_name], change
                )
                for field in fields
                if field.encode_name in value
            }
            if tag is not None:
                inner["type"] = change(f"{path}.type", inspect.StrType(), value["type"])
            return change(path, info, inner)
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return [_walk(f"{path}[{n}]", item, each, change) for n, each in enumerate(value)]
        case inspect.DictType(value_type=item):
            return {name: _walk(f"{path}[{name}]", item, each, change) for name, each in value.items()}
        case _:
            return change(path, info, value)


def _member(types: tuple[inspect.Type, ...], value: Any) -> inspect.Type:
    """Return the type of a union that the value is of."""
    structs = [each for each in types if isinstance(each, inspect.StructType)]
    if isinstance(value, dict) and structs:
        return next((each for each in structs if each.tag == value.get("type")), structs[0])
    return next(each for each in types if not isinstance(each, inspect.NoneType | inspect.StructType))
