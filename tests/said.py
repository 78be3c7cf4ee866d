"""What the types of messages and answers leave unsaid, or say wrongly, of their fields."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import inspect

from libs.common.meanings import MOMENT, Word
from libs.common.schemas import inside, named_in, words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from libs.common.schemas import Words

_NUMBERS: Final = (inspect.IntType, inspect.FloatType, inspect.DecimalType)
_NULL: Final = re.compile(r"\b(null|none)\b", re.IGNORECASE)
_ENDINGS: Final = {"ts": MOMENT, "ns": "ns", "ms": "ms", "s": "s", "bps": "bps"}  # of names, after _


def faults(kinds: Iterable[type]) -> list[str]:
    """Return what is wrong with the words of these structs and of all that they contain; empty is well."""
    return [fault for info in named_in(inspect.multi_type_info(kinds)) for fault in _faults(info)]


def _faults(info: inspect.StructType | inspect.EnumType) -> Iterator[str]:
    name = info.cls.__name__
    if isinstance(info, inspect.EnumType):
        words = [member for member in info.cls if isinstance(member, Word) and member.meaning.strip()]
        yield from (f"{name}: {member!r} has no meaning" for member in info.cls if member not in words)
        return
    for field in info.fields:
        said = words_of(field.type)
        yield from (f"{name}.{field.name} {fault}" for fault in _of_field(field.name, field.type, said))


def _of_field(name: str, info: inspect.Type, said: Words) -> Iterator[str]:
    text = (said.meaning or "").strip()
    if not text:
        yield "has no meaning"
    if text.lower().replace(" ", "_") == name:
        yield "says but its name"
    if _NULL.search(text):
        yield "speaks of null in its meaning"
    if _bare(info):
        yield "has a number without unit"
    counts = any(isinstance(leaf, _NUMBERS) for leaf in _leaves(info))
    if said.unit and not counts:
        yield "has a unit and no number"
    if _nullable(info) and not said.null:
        yield "may be null, and does not say when"
    if said.null and not _nullable(info):
        yield "says when it is null, and never is"
    ending = _ENDINGS.get(f"_{name}".rpartition("_")[2])
    if counts and ending is not None and said.unit != ending:
        yield f"is {said.unit} by its type and {ending} by its name"
    if said.unit == MOMENT and ending != MOMENT:
        yield "is a moment, and its name does not end with ts"


def _nullable(info: inspect.Type) -> bool:
    match info:
        case inspect.Metadata(type=item):
            return _nullable(item)
        case inspect.UnionType(types=items):
            return any(isinstance(item, inspect.NoneType) for item in items)
    return False


def _bare(info: inspect.Type) -> bool:
    """Return whether there is a number without unit, in it and not in a struct of its own."""
    match info:
        case inspect.Metadata(extra={"unit": str()}) | inspect.StructType():
            return False
        case inspect.DictType(value_type=value):
            return _bare(value)
    return isinstance(info, _NUMBERS) or any(map(_bare, inside(info)))


def _leaves(info: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(info, inspect.StructType):
        return
    parts = inside(info)
    yield from (leaf for part in parts for leaf in _leaves(part)) if parts else (info,)
