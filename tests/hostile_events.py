"""Messages of every type whose every free text is a hostile one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import inspect

from tests.full_valued import full

if TYPE_CHECKING:
    from libs.common.events import Event


def hostile(kind: type[Event], text: str) -> Any:
    """Return a message with every field set, and each text that may be any set to this one."""
    return _replaced(full(kind), inspect.type_info(kind), text)


def _replaced(value: Any, info: inspect.Type, text: str) -> Any:
    match info:
        case inspect.Metadata(type=item):
            return _replaced(value, item, text)
        case inspect.StrType() if info.pattern is None and info.max_length is None:
            return text
        case inspect.StructType(fields=fields):
            changed = {
                field.name: _replaced(getattr(value, field.name), field.type, text)
                for field in fields
                if getattr(value, field.name) is not None
            }
            return msgspec.structs.replace(value, **changed)
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return type(value)(_replaced(each, item, text) for each in value)
        case inspect.DictType(key_type=key, value_type=item):
            return {_replaced(k, key, text): _replaced(v, item, text) for k, v in value.items()}
        case inspect.UnionType(types=types):
            fits = [each for each in types if _fits(value, each)]
            return _replaced(value, fits[0], text) if fits else value
        case _:
            return value


def _fits(value: Any, info: inspect.Type) -> bool:
    if isinstance(info, inspect.Metadata):
        return _fits(value, info.type)
    if isinstance(info, inspect.StructType):
        return isinstance(value, info.cls)
    kinds = {inspect.StrType: str, inspect.VarTupleType: tuple, inspect.DictType: dict}
    return isinstance(value, kinds.get(type(info), ()))
