"""Each row makes a command of its topic from the body that the document shows."""

from __future__ import annotations

import json

import msgspec
import pytest

from services.gateway.asking.commands import ASKED
from services.gateway.http.command_routes import TOPIC_OF
from services.gateway.http.command_rows import ROWS, Row
from tests.unit.services.gateway.world import World

every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.post.path)


@every_row
def test_the_example_becomes_a_command_of_the_topic_and_its_answer_is_one_of_the_answers(row: Row) -> None:
    body = row.asks.body.model_validate(row.example)
    command = row.asks.command(body, "the id")
    topic = TOPIC_OF[type(command)]
    assert row.asks.view.kind in ASKED[topic][1].events
    assert (command.command_id, bool(getattr(command, topic.key))) == ("the id", True)
    assert msgspec.convert(msgspec.to_builtins(command), type(command)) == command  # no field of another type


@every_row
async def test_a_wrong_key_and_a_wrong_body_are_told_at_once(row: Row) -> None:
    headers = {"content-type": "application/json", "idempotency-key": "a b"}
    body = json.dumps(dict(row.example) | {"color": "red"}).encode()
    answer = await World().ask(row.post.path, "POST", body, headers)
    assert answer.status == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["Idempotency-Key", "color"]


@pytest.mark.parametrize(("camel", "snake"), [("ordType", "ord_type"), ("timeInForce", "time_in_force")])
async def test_a_field_has_one_name_which_is_in_camel_case(camel: str, snake: str) -> None:
    order = {"symbol": "BTCUSDT", "side": "buy", "size": 1, snake: "none"}
    headers = {"content-type": "application/json"}
    answer = await World().ask("/api/paper/orders", "POST", json.dumps(order).encode(), headers)
    assert [error["field"] for error in answer.json()["errors"]] == [snake]
    order[camel] = order.pop(snake)
    answer = await World().ask("/api/paper/orders", "POST", json.dumps(order).encode(), headers)
    assert [error["field"] for error in answer.json()["errors"]] == [camel]
