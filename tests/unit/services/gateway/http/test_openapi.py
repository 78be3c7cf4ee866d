"""The OpenAPI document says everything, and its examples are what it says they are."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import rfc8785
from jsonschema import Draft202012Validator

from libs.common.audit_chain import GENESIS
from services.gateway.http.openapi import examples, problem_example
from services.gateway.http.problems import PROBLEM_TYPES
from tests.unit.services.gateway.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.gateway.http.problems import ProblemType

PROBLEM = "application/problem+json"
METHODS = {"get", "post", "put", "patch", "delete"}
# Units that a field's name ends with, and a word of its description that says the same.
UNITS = {"Bps": "bps", "Ms": "ms", "S": "s", "Ts": "1970"}


class Content(NamedTuple):
    """A body or an answer, as the document has it."""

    where: str
    media_type: str
    said: dict[str, Any]

    def examples(self) -> list[Any]:
        own = [self.said["example"]] if "example" in self.said else []
        return own + [named["value"] for named in self.said.get("examples", {}).values()]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    async def asked() -> Any:
        return (await World().ask("/openapi.json")).json()

    found: dict[str, Any] = asyncio.run(asked())
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method in METHODS & methods.keys():
            yield f"{method.upper()} {path}", methods[method]


def contents(document: dict[str, Any]) -> Iterator[Content]:
    for name, operation in operations(document):
        for media_type, said in operation.get("requestBody", {}).get("content", {}).items():
            yield Content(f"{name} request", media_type, said)
        for status, answer in operation["responses"].items():
            for media_type, said in answer["content"].items():
                yield Content(f"{name} {status}", media_type, said)


def fields(where: str, schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every property of a schema, however deep."""
    if isinstance(schema, list):
        for n, part in enumerate(schema):
            yield from fields(f"{where}[{n}]", part)
    if isinstance(schema, dict):
        for field, about in schema.get("properties", {}).items():
            yield f"{where}.{field}", about
            yield from fields(f"{where}.{field}", about)
        for key, part in schema.items():
            if key not in {"properties", "examples", "example"}:
                yield from fields(where, part)


def closed(schema: Any) -> Any:
    """Return the schema with no field allowed that it does not name."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    shut = {"additionalProperties": False} if "properties" in schema else {}
    return {key: closed(part) for key, part in schema.items()} | shut


def test_every_field_of_every_type_is_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    silent = [name for name, schema in schemas.items() if not schema.get("description")]
    silent += [where for where, about in fields("", schemas) if not about.get("description", "").strip()]
    assert silent == []


def test_every_field_whose_name_has_a_unit_says_it(document: dict[str, Any]) -> None:
    wrong = [
        (where, about["description"])
        for where, about in fields("", document["components"]["schemas"])
        for ending, word in UNITS.items()
        if where.endswith(ending) and where[-len(ending) - 1].islower() and word not in about["description"]
    ]
    assert wrong == []


def test_every_field_that_may_be_null_says_when(document: dict[str, Any]) -> None:
    silent = [
        (where, about["description"])
        for where, about in fields("", document["components"]["schemas"])
        if {"type": "null"} in about.get("anyOf", ()) and "null" not in about["description"]
    ]
    assert silent == []


def test_a_past_book_promises_nothing_that_only_the_present_has(document: dict[str, Any]) -> None:
    past = document["components"]["schemas"]["BookAsOf"]["properties"]
    assert [past[name]["description"] for name in ("features", "instrument")] == [
        "always null: nothing of it is kept of the past"
    ] * 2
    said = document["paths"]["/api/l2/{venue}/{symbol}"]["get"]["description"]
    assert "`state` is LIVE, or ONE_SIDED" in " ".join(said.split())


def test_every_operation_parameter_and_answer_is_described(document: dict[str, Any]) -> None:
    silent = []
    for name, operation in operations(document):
        said = {name: operation} | {
            f"{name} {parameter['name']}": parameter for parameter in operation.get("parameters", ())
        }
        said |= {f"{name} {status}": answer for status, answer in operation["responses"].items()}
        silent += [where for where, about in said.items() if not about.get("description", "").strip()]
        assert operation.get("summary"), name
        assert operation.get("tags"), name
    assert silent == []


def test_every_body_answer_and_error_has_an_example_that_its_schema_allows(
    document: dict[str, Any],
) -> None:
    components = closed({"components": document["components"]})
    wrong: list[str] = []
    for content in contents(document):
        examples = content.examples()
        if not examples:
            wrong.append(f"{content.where} {content.media_type} has no example")
        validator = Draft202012Validator(closed(content.said["schema"]) | components)
        wrong += [
            f"{content.where}: {error.message} at {error.json_path}"
            for example in examples
            for error in validator.iter_errors(example)
        ]
    assert wrong == []


def test_every_error_is_a_problem_of_its_status_and_every_success_is_none(
    document: dict[str, Any],
) -> None:
    for content in contents(document):
        *_, status = content.where.split()
        if status == "request":
            text = {"text/plain"} if "/webhook " in content.where else set()
            assert content.media_type in {"application/json"} | text
        elif int(status) < 300:
            assert content.media_type != PROBLEM
        else:
            assert content.media_type == PROBLEM
            assert {example["status"] for example in content.examples()} == {int(status)}


def test_every_required_parameter_has_an_example_but_what_only_an_answer_can_name(
    document: dict[str, Any],
) -> None:
    bare = {
        parameter["name"]
        for _, operation in operations(document)
        for parameter in operation.get("parameters", ())
        if parameter["required"] and "example" not in parameter
    }
    assert bare == {"execution_id", "order_id", "policy_id"}


def test_every_tag_is_described_and_every_operation_has_a_short_name(document: dict[str, Any]) -> None:
    used = {tag for _, operation in operations(document) for tag in operation["tags"]}
    assert used == {tag["name"] for tag in document["tags"] if tag["description"]}
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z_]{3,20}", name) for name in names)


@pytest.mark.parametrize("problem", PROBLEM_TYPES, ids=lambda problem: problem.slug)
def test_the_example_of_a_problem_is_of_its_type(problem: ProblemType) -> None:
    example = problem_example(problem)
    assert (example["type"], example["status"]) == (problem.uri, problem.status)
    assert example["detail"]


def test_the_example_of_an_audit_can_be_verified() -> None:
    head = GENESIS
    for entry in examples()["audit"]["200"]["entries"]:
        assert entry["prevHash"] == head
        hashed = {name: entry[name] for name in ("seq", "ts", "kind", "payload")}
        head = hashlib.sha256(head.encode() + rfc8785.dumps(hashed)).hexdigest()
        assert entry["hash"] == head


def test_every_captured_answer_belongs_to_an_operation_or_is_a_problem(document: dict[str, Any]) -> None:
    names = {operation["operationId"] for _, operation in operations(document)}
    assert examples().keys() == names | {"get_book_at", "problems"}
    assert examples()["problems"].keys() <= {problem.slug for problem in PROBLEM_TYPES}


def test_no_captured_answer_tells_of_the_machine_that_it_was_captured_on() -> None:
    text = json.dumps(examples())
    assert re.findall(r"/(?:home|root|tmp|usr|var|work|Users)/|Traceback|\\.py\b", text) == []
    assert set(re.findall(r"(?:127\.0\.0\.1|localhost)(?::\d+)?", text)) <= {
        "127.0.0.1",
        "localhost",
        "localhost:8000",
    }
    assert {each["instance"] for each in examples()["readyz"]["200"]["services"]} <= {"0", "gateway-5000"}


def test_captured_lists_are_short() -> None:
    def lists(value: Any) -> Iterator[list[Any]]:
        if isinstance(value, list):
            yield value
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(part, dict | list) and name != "payload":  # an audit's is hashed, so whole
                yield from lists(part)

    assert max(len(found) for found in lists(dict(examples()))) <= 3
