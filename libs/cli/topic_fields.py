"""`bookrunner topics TOPIC`: the messages of a topic, each field with its type, meaning and unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.console import Group
from rich.table import Table

from libs.cli.screen import Text
from libs.common.schemas import schemas_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType

    from libs.common.topics import Topic

TAG: Final = "type"
LINE: Final = "\n"
_NAMES: Final = {
    "string": "text",
    "decimal": "decimal text",
    "base64": "bytes",
    "number": "float",
    "integer": "int",
    "boolean": "bool",
}


def fields_table(topic: Topic) -> Group:
    """Return each message of a topic, and then what they contain, as a table of its fields."""
    head = Text.assemble(
        (topic.name, "bold"), f"  key: {topic.key.value}; written by {', '.join(topic.writers)}"
    )
    if not topic.events:
        return Group(head, Text("raw bytes, as they were; headers say where they came from and why"))
    schemas = schemas_of(topic.events, "{name}", "ns")
    order = dict.fromkeys([*(kind.__name__ for kind in topic.events), *schemas])
    return Group(head, *(line for name in order for line in _shown(name, schemas[name])))


def type_name(schema: Mapping[str, Any]) -> str:
    """Return a JSON Schema's type as a person reads it: ``list of text``, ``Features or null``."""
    match schema:
        case {"anyOf": [*options]}:
            return " or ".join(map(type_name, options))
        case {"enum": [*words]}:
            return " or ".join(map(str, words))
        case {"prefixItems": [*items]}:
            return f"({', '.join(map(type_name, items))})"
        case {"items": item}:
            return f"list of {type_name(item)}"
        case {"additionalProperties": value}:
            return f"map of {type_name(value)}"
    found: str = schema.get("$ref") or schema.get("format") or schema.get("contentEncoding") or schema["type"]
    return _NAMES.get(found, found)


def _shown(name: str, schema: Mapping[str, Any]) -> Iterator[RenderableType]:
    yield Text("")
    yield Text.assemble((name, "bold"), f"  {schema.get('description', '').partition(LINE)[0]}")
    fields = {field: about for field, about in schema.get("properties", {}).items() if field != TAG}
    if not fields:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("field", no_wrap=True)
    table.add_column("type", overflow="fold")
    table.add_column("meaning (unit)", overflow="fold")
    for field, about in fields.items():
        table.add_row(f"  {field}", type_name(about), about["description"])
    yield table
