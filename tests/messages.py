"""Every message that can stand on a topic, drawn by hypothesis from the types of its fields."""

from __future__ import annotations

from decimal import Decimal
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

import msgpack
import msgspec
from hypothesis import strategies as st

from libs.common.codec import encode
from libs.common.topics import TOPICS

if TYPE_CHECKING:
    from libs.common.events import Event

INTEGERS = st.integers(-(2**63), 2**64 - 1)  # what MessagePack holds
FLOATS = st.floats(allow_nan=False)  # NaN equals nothing, so it cannot be compared
SCALARS = st.none() | st.booleans() | INTEGERS | FLOATS | st.text()
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    int: INTEGERS,
    float: FLOATS,
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
}
PAIRS = [(topic, event) for topic in TOPICS.values() for event in topic.events]


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Return the values that a field of this type can have on the wire."""
    if hint in PLAIN:
        return PLAIN[hint]
    if get_origin(hint) in (Union, UnionType):
        return st.one_of(*map(values_of, get_args(hint)))
    if get_origin(hint) is dict:
        return st.dictionaries(*map(values_of, get_args(hint)), max_size=3)
    if get_origin(hint) is tuple:
        first, *others = get_args(hint)
        if others == [...]:
            return st.lists(values_of(first), max_size=4).map(tuple)
        return st.tuples(values_of(first), *map(values_of, others))
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return st.builds(hint, **{name: values_of(of) for name, of in get_type_hints(hint).items()})
    return st.from_type(hint)


MESSAGES = st.one_of(*(st.tuples(st.just(topic), values_of(event)) for topic, event in PAIRS))


def wire_of(event: Event) -> dict[str, Any]:
    """Return what a third party reads."""
    wire: dict[str, Any] = msgpack.unpackb(encode(event))
    return wire
