"""One full-valued and one bare message of every type, by the types of its fields.

As a program it prints those of the version on PYTHONPATH, to be kept as what that version wrote
(``tests/data/older_records``): ``PYTHONPATH=<checkout> python tests/full_valued.py``.
"""

from __future__ import annotations

import base64
import json
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import inspect

from libs.common.codec import encode
from libs.common.topics import TOPICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.common.events import Event

NOW: Final = 1_795_000_000_000_000_000
_ID: Final = "7d444840-9dc0-41d1-b245-5ffdce74fad2"
_TEXTS: Final = {"symbol": "BTC-USDT", "venue": "binance", "scope": "default", "policy_id": "p_sma"}


def full(kind: type[msgspec.Struct]) -> Any:
    """Return a message with every field set to something that is not its default."""
    return _struct(inspect.type_info(kind), bare=False)


def bare(kind: type[msgspec.Struct]) -> Any:
    """Return a message with the fields that it must have, each as small as can be."""
    return _struct(inspect.type_info(kind), bare=True)


def _struct(info: inspect.Type, *, bare: bool) -> Any:
    assert isinstance(info, inspect.StructType)
    fields = [field for field in info.fields if field.required or not bare]
    return info.cls(**{field.name: _value(field.name, field.type, bare=bare) for field in fields})


def _value(name: str, info: inspect.Type, *, bare: bool) -> Any:  # noqa: PLR0911 -- one case per kind of type
    match info:
        case inspect.Metadata(type=item):
            return _value(name, item, bare=bare)
        case inspect.UnionType(types=types):
            if bare and any(isinstance(each, inspect.NoneType) for each in types):
                return None
            first = next(each for each in types if not isinstance(each, inspect.NoneType))
            return _value(name, first, bare=bare)
        case inspect.StructType():
            return _struct(info, bare=bare)
        case inspect.StrType():
            return _ID if name.endswith("id") and name != "policy_id" else _TEXTS.get(name, f"{name} é")
        case inspect.IntType():
            return NOW if name.endswith("_ts") or name == "ts" else 7
        case inspect.FloatType():
            return 0.25
        case inspect.DecimalType():
            return Decimal("0.0125")
        case inspect.BoolType():
            return True
        case inspect.BytesType():
            return b"\x00\xff"
        case inspect.NoneType():
            return None
        case inspect.LiteralType(values=values):
            return values[-1]
        case inspect.EnumType(cls=cls):
            return list(cls)[-1]
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return () if bare else (_value(name, item, bare=bare),)
        case inspect.TupleType(item_types=items):
            return tuple(_value(name, item, bare=bare) for item in items)
        case inspect.DictType(key_type=key, value_type=value):
            return {} if bare else {_value(name, key, bare=bare): _value(name, value, bare=bare)}
    raise AssertionError(f"no value for {info}")


def kinds() -> Iterator[tuple[str, type[Event]]]:
    """Yield every topic's name with each of its types; with those of execution's state, which are its own."""
    for topic in TOPICS.values():
        for kind in topic.events:
            yield topic.name, kind
    try:
        from services.execution.app import wiring  # noqa: PLC0415 -- the first version had none
        from services.execution.settings import ExecutionSettings  # noqa: PLC0415 -- as above
    except ImportError:
        return
    state = wiring(ExecutionSettings()).state
    for kind in state.events:
        yield state.name, kind


def main() -> None:
    """Print topic, type, full and bare record of each, one JSON array a line."""
    for topic, kind in kinds():
        records = [base64.b64encode(encode(make(kind))).decode() for make in (full, bare)]
        sys.stdout.write(json.dumps([topic, kind.__name__, *records]) + "\n")


if __name__ == "__main__":
    main()
