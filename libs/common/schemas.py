"""JSON Schemas of messages and answers, each field described by what its type says of itself; pure.

A description is the field's meaning, its unit in brackets, and when it is null: ``best ask minus best bid, of
the mid (bps); null without a book of two sides``. Words that have meanings list them.
"""

from __future__ import annotations

from inspect import cleandoc
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import inspect

from libs.common.meanings import MOMENT, Word

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Moment: TypeAlias = Literal["ns", "ms"]

TAG_MEANING: Final = "the message's name"


class Words(NamedTuple):
    """What a field's type says of it; None where it does not."""

    meaning: str | None
    unit: str | None
    null: str | None  # when it is


def schemas_of(kinds: Sequence[type], ref_template: str, moment: Moment) -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each type and of what it contains, by name, each field described.

    Parameters
    ----------
    kinds
        msgspec Structs; what none of its types says of a field stays unsaid.
    ref_template
        Where a schema stands, like ``#/components/schemas/{name}``.
    moment
        In what moments are counted there since 1970 UTC.
    """
    _, found = msgspec.json.schema_components(kinds, ref_template=ref_template)
    for info in named_in(inspect.multi_type_info(kinds)):
        schema = found[info.cls.__name__]
        if "description" in schema:
            schema["description"] = cleandoc(schema["description"])
        if isinstance(info, inspect.EnumType):
            _describe_words(schema, info.cls)
            continue
        if info.tag_field is not None:
            schema["properties"][info.tag_field]["description"] = TAG_MEANING
        for field in info.fields:
            about = schema["properties"][field.encode_name]
            for part in about.get("anyOf", ()):  # said of the whole
                part.pop("description", None)
            if said := composed(words_of(field.type), moment):
                about["description"] = said
    return found


def words_of(info: inspect.Type) -> Words:
    """Return what a field's type says of it: the outermost meaning, and every unit inside."""
    found = _first(info)
    description = None if found is None else (found.extra_json_schema or {}).get("description")
    null = None if found is None else (found.extra or {}).get("null")
    return Words(description, " or ".join(dict.fromkeys(_units(info))) or None, null)


def composed(words: Words, moment: Moment) -> str | None:
    """Return the description of a field, None if its meaning is not said."""
    if words.meaning is None:
        return None
    unit = f"{moment} since 1970 UTC" if words.unit == MOMENT else words.unit
    return f"{words.meaning}{f' ({unit})' if unit else ''}{f'; null {words.null}' if words.null else ''}"


def inside(info: inspect.Type) -> tuple[inspect.Type, ...]:
    """Return the types of which a type is made, one step down."""
    match info:
        case inspect.Metadata(type=item) | inspect.VarTupleType(item_type=item):
            return (item,)
        case inspect.ListType(item_type=item):
            return (item,)
        case inspect.UnionType(types=items) | inspect.TupleType(item_types=items):
            return items
        case inspect.DictType(key_type=key, value_type=value):
            return key, value
        case inspect.StructType(fields=fields):
            return tuple(field.type for field in fields)
    return ()


def named_in(
    infos: Iterable[inspect.Type], known: set[type] | None = None
) -> Iterator[inspect.StructType | inspect.EnumType]:
    """Yield the structs and enums there are, each once, before what it contains."""
    known = set() if known is None else known
    for info in infos:
        if isinstance(info, inspect.StructType | inspect.EnumType):
            if info.cls in known:
                continue
            known.add(info.cls)
            yield info
        yield from named_in(inside(info), known)


def _first(info: inspect.Type) -> inspect.Metadata | None:
    """Return the outermost metadata that say a meaning, of an optional type if need be those of its value."""
    match info:
        case inspect.Metadata(extra_json_schema=said, type=item):
            return info if said and "description" in said else _first(item)
        case inspect.UnionType(types=items):
            return next((found for item in items if (found := _first(item))), None)
    return None


def _units(info: inspect.Type) -> Iterator[str]:
    match info:
        case inspect.Metadata(extra={"unit": unit}):
            yield unit
        case inspect.StructType():
            return
        case inspect.DictType(value_type=value):
            yield from _units(value)
        case _:
            for item in inside(info):
                yield from _units(item)


def _describe_words(schema: dict[str, Any], kind: type) -> None:
    members: Mapping[str, Any] = getattr(kind, "__members__", {})
    said = [f"{word}: {word.meaning}" for word in members.values() if isinstance(word, Word) and word.meaning]
    if said:
        schema["description"] = f"{schema['description'].rstrip('.')}. {'; '.join(said)}"
