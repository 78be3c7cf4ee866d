from __future__ import annotations

import re

import pytest

from tests.peers.door import VENUE_OF
from tests.peers.environments import LOCKS, NAMES
from tests.peers.known_faults import KNOWN
from tests.peers.peer import Peer
from tests.peers.report import failures
from tests.peers.run import PEERS, Result, difference

TRUTH = [[[100.0, 1.0], [99.5, 2.0]], [[100.5, 1.0], [101.0, 3.0]]]


def test_a_client_that_is_equal_everywhere_fails_nothing() -> None:
    assert failures([Result("pybit", "bybit", equal=3, tally={"wrong": []})]) == []


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (Result("pybit", "bybit"), "pybit at bybit: was never compared"),
        (
            Result("pybit", "bybit", equal=3, differ=["BTC-USDT: no book"]),
            "pybit at bybit: BTC-USDT: no book",
        ),
        (
            Result("pybit", "bybit", equal=3, tally={"wrong": ["u 9 follows 7"]}),
            "pybit at bybit: u 9 follows 7",
        ),
    ],
)
def test_what_no_known_fault_names_fails_the_run(result: Result, line: str) -> None:
    assert failures([result]) == [line]


def test_a_known_fault_hides_nothing_but_itself() -> None:
    known = ["BTC-USDT: ask 3 is [1.0, 2.0], the simulator's is [3.0, 4.0]", "BTC-USDT: 0 of 10 asks"]
    unknown = "BTC-USDT: bid 1 is [1.0, 2.0], the simulator's is [3.0, 4.0]"
    result = Result("cryptofeed", "coinbase", equal=1, differ=[*known, unknown])
    assert failures([result]) == [f"cryptofeed at coinbase: {unknown}"]


def test_every_known_fault_is_of_a_client_that_runs_and_names_file_and_version() -> None:
    run = {(client, venue) for client, venues, _ in PEERS for venue in venues}
    assert KNOWN.keys() <= run
    for fault in KNOWN.values():
        assert re.search(r"[a-z_/]+\.py of [0-9.]+", fault.why)


def test_every_client_has_a_file_and_a_lock_and_every_venue_hosts() -> None:
    for client, venues, environment in PEERS:
        module = Peer(client, venues[0], environment).module
        assert LOCKS.parent.joinpath("clients", f"{module.rpartition('.')[2]}.py").is_file()
        assert environment in NAMES
        assert set(venues) <= set(VENUE_OF.values())
    assert all((LOCKS / f"{name}.lock").is_file() for name in NAMES)


@pytest.mark.parametrize(
    ("book", "said"),
    [
        (TRUTH, "nothing"),
        ([[], []], "no book"),
        ([TRUTH[0], []], "0 of 2 asks"),
        ([[[100.0, 1.0], [99.5, 2.5]], TRUTH[1]], "bid 2 is [99.5, 2.5], the simulator's is [99.5, 2.0]"),
    ],
)
def test_the_first_difference_is_told(book: list[list[list[float]]], said: str) -> None:
    assert difference(book, TRUTH) == said
