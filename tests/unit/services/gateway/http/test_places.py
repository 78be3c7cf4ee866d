from __future__ import annotations

from typing import Any

import pytest

from services.gateway.http.places import Allowance, Places, Tally
from services.gateway.http.problems import ProblemError

LIMIT: dict[str, Any] = {"what": "cups are out", "most": 3, "most_of_address": 2, "retry_after_s": 7}


def refused(places: Places, address: str) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        places.take(address)
    return caught.value


def test_an_address_that_has_its_share_is_429_and_another_still_gets_a_place() -> None:
    places = Places("cups", **LIMIT)
    places.take("a")
    places.take("a")
    problem = refused(places, "a")
    assert (problem.status, problem.problem.slug, problem.retry_after_s) == (429, "share-taken", 7)
    assert problem.detail == "2 cups are out for a, the most allowed to one address."
    places.take("b")
    assert places.taken.total == 3


def test_once_all_are_taken_everybody_is_503_and_who_has_their_share_too() -> None:
    places = Places("cups", **LIMIT)
    for address in ("a", "a", "b"):
        places.take(address)
    for address in ("a", "b", "c"):
        problem = refused(places, address)
        assert (problem.status, problem.problem.slug, problem.retry_after_s) == (503, "too-many", 7)
    assert places.refused == {"total": 3, "address": 0}


def test_a_place_that_is_given_back_is_free_and_its_address_is_forgotten() -> None:
    places = Places("cups", **LIMIT)
    for number in range(10_000):
        with places.held(f"address {number}"):
            assert len(places.taken) == 1
    assert (places.taken.total, len(places.taken)) == (0, 0)


def test_a_place_is_given_back_after_a_failure_and_a_refusal_takes_none() -> None:
    places = Places("cups", **LIMIT)
    with pytest.raises(KeyError), places.held("a"):
        raise KeyError
    places.take("a")
    places.take("a")
    refused(places, "a")
    assert places.taken.of("a") == 2


def test_what_several_tallies_hold_counts_together() -> None:
    kept, begun = Tally(), Tally()
    kept.add("a", 1)
    begun.add("a", 1)
    with pytest.raises(ProblemError, match="2 cups are out for a"):
        Allowance("cups", **LIMIT).require("a", kept, begun)
    Allowance("cups", **LIMIT).require("a", kept)
