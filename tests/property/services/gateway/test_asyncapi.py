from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from libs.common.topics import TOPICS, Topic
from services.gateway.http import asyncapi
from tests.full_valued import bare, full
from tests.messages import MESSAGES, PAIRS, wire_of

if TYPE_CHECKING:
    from libs.common.events import Event

DOCUMENT: dict[str, Any] = asyncapi.document("1", "127.0.0.1:9092", 8)


@cache
def validator_of(name: str) -> Draft202012Validator:
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    )


@given(MESSAGES)
def test_every_message_on_the_wire_fits_the_schema_of_its_type(message: tuple[Topic, Event]) -> None:
    topic, event = message
    name = type(event).__name__
    assert name in DOCUMENT["channels"][topic.name]["messages"]
    assert list(validator_of(name).iter_errors(wire_of(event))) == []


@pytest.mark.parametrize("kind", dict.fromkeys(kind for _, kind in PAIRS))
def test_a_full_and_a_bare_message_of_each_type_fit_its_schema(kind: type[Event]) -> None:
    for event in (full(kind), bare(kind)):
        assert list(validator_of(kind.__name__).iter_errors(wire_of(event))) == []


@given(MESSAGES)
def test_a_message_without_one_of_its_fields_does_not(message: tuple[Topic, Event]) -> None:
    _, event = message
    wire = wire_of(event)
    del wire["type"]
    assert not validator_of(type(event).__name__).is_valid(wire)


def test_every_topic_is_a_channel_and_every_reference_leads_somewhere() -> None:
    assert DOCUMENT["channels"].keys() == TOPICS.keys()
    for reference in references(DOCUMENT):
        found: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def test_every_field_of_every_message_is_described() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert {kind.__name__ for _, kind in PAIRS} <= schemas.keys()
    silent = [
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, about in schema.get("properties", {}).items()
        if not about.get("description")
    ]
    assert silent == []
    assert schemas["BookDelta"]["properties"]["seq"]["description"] == (
        "ours: +1 per message within an epoch (ordinal)"
    )


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for part in value.values() for found in references(part)]
    if isinstance(value, list):
        return [found for part in value for found in references(part)]
    return []


def test_a_discriminator_is_the_name_of_a_field_as_asyncapi_has_it() -> None:
    said = [value for key, value in items(DOCUMENT) if key == "discriminator"]
    assert said
    assert set(said) == {"type"}


def items(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [*value.items(), *(found for part in value.values() for found in items(part))]
    if isinstance(value, list):
        return [found for part in value for found in items(part)]
    return []
