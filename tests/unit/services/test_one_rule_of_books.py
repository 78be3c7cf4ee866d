"""Every user of a book goes by the one rule, at its own patience: where they once disagreed they agree."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest
from msgspec.structs import replace

from libs.common.live_books import PATIENCE, usable
from tests.book_users import USERS, Seen
from tests.execution_market import EPOCH, NOW, a_book_health, a_book_top

S = 1_000_000_000
TOP = a_book_top()
EVERYBODY = frozenset(USERS)
NOBODY: frozenset[str] = frozenset()


def seen(health: dict[str, Any] | None = None, **top: Any) -> Seen:
    return Seen(replace(TOP, **top), a_book_health(**health or {}), NOW)


DOUBT = {"in_doubt": True}
ONCE_DISPUTED = {
    "an owner that is silent while its tops flow": (seen({"ts": NOW - 6 * S}), NOBODY),
    "in doubt for 2 s": (seen(DOUBT, received_ts=NOW - 2 * S), EVERYBODY - {"venues"}),
    "in doubt for 12 s": (seen(DOUBT, received_ts=NOW - 12 * S), EVERYBODY - {"venues", "router"}),
    "in doubt for 40 s": (seen(DOUBT, received_ts=NOW - 40 * S), NOBODY),
    "of an epoch nobody vouched for in 40 s": (seen({"epoch": EPOCH - 1}, received_ts=NOW - 40 * S), NOBODY),
    "unchanged for 40 s on a line that lives": (seen(received_ts=NOW - 40 * S), EVERYBODY),
    "LIVE and without a top": (Seen(None, a_book_health(), NOW), NOBODY),
    "crossed": (seen(bids=((60_001.0, 1.0), *TOP.bids)), NOBODY),
    "without features": (seen(features=None), NOBODY),
    "with a price that is none": (seen(asks=(*TOP.asks, (nan, 1.0))), NOBODY),
    "with a size that is none": (seen(bids=(*TOP.bids, (1.0, inf))), NOBODY),
    "fresh": (seen(), EVERYBODY),
}


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(("seen", "users"), ONCE_DISPUTED.values(), ids=ONCE_DISPUTED)
def test_where_users_of_books_disagreed_each_does_as_the_one_rule_says(
    user: str, seen: Seen, users: frozenset[str]
) -> None:
    use, uses = USERS[user]
    assert (usable(*seen, PATIENCE[use]) is None) == (user in users)
    assert uses(seen) == (user in users)


@pytest.mark.parametrize("user", USERS)
def test_each_user_waits_exactly_as_long_as_its_row_of_the_table_says(user: str) -> None:
    (silence_ns, unproven_ns), uses = PATIENCE[USERS[user].use], USERS[user].uses
    assert uses(seen({"ts": NOW - silence_ns}))
    assert not uses(seen({"ts": NOW - silence_ns - 1}))
    assert uses(seen(DOUBT, received_ts=NOW - unproven_ns))
    assert not uses(seen(DOUBT, received_ts=NOW - unproven_ns - 1))
