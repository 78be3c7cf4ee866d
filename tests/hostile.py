"""Messages as only a stranger writes them: of a topic's own types, with any values that these allow."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from libs.common.events import Event

MOST: Final = 3  # of a collection
NAMES: Final = ("BTC-USDT", "binance", "default", "p_sma", "order/x/arrive", "", "\x00", "é" * 300, "a:b:c")
_TEXTS: Final = (
    st.sampled_from(NAMES) | st.uuids(version=4).map(str) | st.text(max_size=20) | st.just(str(UUID(int=7)))
)
_FLOATS: Final = st.floats() | st.sampled_from((0.0, -0.0, 1.0, 1e-320, 1e300, -1e300))
_INTS: Final = st.integers(-(2**63), 2**64 - 1) | st.sampled_from((0, -1, 1, 1_800_000_000_000_000_000))
_DECIMALS: Final = st.decimals() | st.sampled_from(
    (Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity"), Decimal("1e999"), Decimal("1e-999"), Decimal(1))
)


def messages(kind: type[Event]) -> SearchStrategy[Event]:
    """Return any message of this type that its codec lets through."""
    found: SearchStrategy[Event] = _of(inspect.type_info(kind))
    return found


def _of(info: inspect.Type) -> SearchStrategy[Any]:  # noqa: PLR0911 -- one case per kind of type
    match info:
        case inspect.Metadata(type=item):
            return _of(item)
        case inspect.StructType(cls=cls, fields=fields):
            required = {field.name: _of(field.type) for field in fields if field.required}
            optional = {field.name: _of(field.type) for field in fields if not field.required}
            return st.fixed_dictionaries(required, optional=optional).map(lambda values: cls(**values))
        case inspect.UnionType(types=types):
            return st.one_of(*map(_of, types))
        case inspect.StrType():
            return _TEXTS
        case inspect.FloatType():
            return _FLOATS
        case inspect.IntType():
            return _INTS
        case inspect.DecimalType():
            return _DECIMALS
        case inspect.BoolType():
            return st.booleans()
        case inspect.BytesType():
            return st.binary(max_size=20)
        case inspect.NoneType():
            return st.none()
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.EnumType(cls=cls):
            return st.sampled_from(list(cls))
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return st.lists(_of(item), max_size=MOST).map(tuple)
        case inspect.TupleType(item_types=items):
            return st.tuples(*map(_of, items))
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(_of(key), _of(value), max_size=MOST)
    raise AssertionError(f"no strategy for {info}")


def decoded_again(message: Event) -> Event | None:
    """Return what a reader makes of the message; None of one that cannot even be written."""
    try:
        found: Event = msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=type(message))
    except (msgspec.MsgspecError, UnicodeError, OverflowError, ValueError):
        return None
    return found
