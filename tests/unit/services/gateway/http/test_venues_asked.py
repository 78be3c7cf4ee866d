"""Which venues an order may use, and how many, as callers say it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from services.gateway.http.command_rows import score
from services.gateway.http.requests import ExecuteBody, ScoreBody, venue_ids_of
from tests.unit.services.gateway.world import Answer, World

EXECUTE = "/api/exec/plan-and-execute"
SCORE = "/api/venues/score"
ORDER = {"symbol": "BTCUSDT", "size": 0.02}


async def asked(path: str, **fields: Any) -> Answer:
    body = ({"symbol": "BTCUSDT"} if path == EXECUTE else ORDER) | fields
    return await World().ask(path, "POST", json.dumps(body).encode(), {"content-type": "application/json"})


def test_an_execution_uses_up_to_three_venues_of_all_unless_it_says_otherwise() -> None:
    body = ExecuteBody.model_validate({"symbol": "BTCUSDT"})
    assert (body.max_venues, body.venues) == (3, [])


def test_a_score_is_bounded_by_nothing_unless_it_says_so() -> None:
    command = score(ScoreBody.model_validate(ORDER), "id")
    assert (command.max_venues, command.venues) == (None, ())


def test_venues_are_named_in_any_case_and_keep_their_order() -> None:
    command = score(ScoreBody.model_validate(ORDER | {"maxVenues": 2, "venues": ["OKX", "binance"]}), "id")
    assert (command.max_venues, command.venues) == (2, ("okx", "binance"))
    assert venue_ids_of([]) == ()


@pytest.mark.parametrize("most", [0, 10, 1.5, "3", True])
def test_a_number_of_venues_is_one_to_nine(most: object) -> None:
    with pytest.raises(ValidationError, match="maxVenues"):
        ExecuteBody.model_validate({"symbol": "BTCUSDT", "maxVenues": most})
    with pytest.raises(ValidationError, match="maxVenues"):
        ScoreBody.model_validate(ORDER | {"maxVenues": most})


@pytest.mark.parametrize("path", [EXECUTE, SCORE])
async def test_a_venue_that_is_none_is_told_with_the_nearest(path: str) -> None:
    answer = await asked(path, venues=["okx", "binanse"])
    assert answer.status == 404
    assert answer.json()["type"].endswith("unknown-venue")
    assert "'binanse' is no venue, did you mean binance?" in answer.json()["detail"]


@pytest.mark.parametrize("path", [EXECUTE, SCORE])
async def test_a_venue_named_twice_is_a_fault_of_its_place(path: str) -> None:
    answer = await asked(path, venues=["okx", "OKX"])
    assert (answer.status, [each["field"] for each in answer.json()["errors"]]) == (422, ["venues.1"])


async def test_a_simulation_knows_no_such_bounds() -> None:
    answer = await asked("/api/exec/simulate", maxVenues=2)
    assert (answer.status, [each["field"] for each in answer.json()["errors"]]) == (422, ["maxVenues"])
