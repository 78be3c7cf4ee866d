from __future__ import annotations

from collections import Counter

import pytest

from tests.bench.scale import Case, Measured, points_of
from tests.bench.scale_model import Point
from tests.bench.scale_system import SOON, Look, books_of


def a_look(cpu_s: dict[str, float], messages: float = 0.0, publish_lag_s: float = 0.0) -> Look:
    return Look(
        cpu_s=cpu_s,
        rss_mib={},
        messages=messages,
        tops=0.0,
        live=15,
        publish_lag_s=publish_lag_s,
        input_age_s=0.0,
        behind={},
        written=0,
        bytes=0,
    )


def measured(used_s: dict[str, float], publish_lag_s: float = 0.0) -> Measured:
    looks = [
        a_look(dict.fromkeys(used_s, 1.0)),
        a_look({n: 1 + u for n, u in used_s.items()}, 200, publish_lag_s),
    ]
    return Measured(Case(15, 2.0, 1), 10.0, looks)


@pytest.mark.parametrize("count", [1, 15, 60, 150, 500])
def test_there_are_so_many_books_and_no_venue_has_more_than_start_soon(count: int) -> None:
    books = books_of(count)
    assert len(set(books)) == count
    assert all(had <= SOON[venue] for venue, had in Counter(venue for venue, _ in books).items())


def test_more_books_than_start_soon_are_refused() -> None:
    with pytest.raises(ValueError, match="start soon"):
        books_of(sum(SOON.values()) + 1)


def test_processes_of_a_service_are_counted_together() -> None:
    found = measured({"l2-0": 2.0, "l2-1": 3.0, "kafka": 1.0})
    assert found.cores("l2") == pytest.approx(0.5)
    assert found.cores("router") == 0.0
    assert found.messages_per_s == 20.0


def test_what_each_process_reads_counts_for_each_and_what_they_share_once() -> None:
    looks = measured({"l2-0": 2.0, "l2-1": 2.0, "venues-0": 1.0, "venues-1": 1.0, "gateway": 1.0}).looks
    two = Measured(Case(15, 2.0, 2), 10.0, looks)
    assert points_of([two], "l2") == [Point(2, 15, 20.0, 0.4)]
    assert points_of([two], "venues") == [Point(2, 30, 40.0, 0.2)]
    assert points_of([two], "gateway") == [Point(1, 15, 20.0, 0.1)]
    assert points_of([two], "router") == []


def test_the_bottleneck_is_the_process_whose_core_is_full_else_the_machine_else_nothing() -> None:
    assert measured({"venues": 9.0, "l2": 1.0}).bottleneck(2) == "venues: 90% of a core"
    assert measured({"venues": 8.0, "l2": 8.0, "kafka": 3.0}).bottleneck(2) == "the machine: 1.9 of 2 cores"
    assert measured({"kafka": 12.0}).bottleneck(2) == "none"  # it has threads for all cores
    assert measured({"l2": 1.0}, publish_lag_s=3.0).bottleneck(2) == "other work on the machine, 3.0 s behind"
