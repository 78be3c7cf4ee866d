from __future__ import annotations

from libs.common.membership import static_member
from libs.common.topics import ROUTER_CHOICES, ROUTER_COMMANDS, VENUES_SCORES


def test_a_replica_has_one_name_for_what_it_reads_and_another_for_others() -> None:
    topics = (ROUTER_COMMANDS, ROUTER_CHOICES)
    name = static_member("router", "0", topics, 8)
    assert name.startswith("router-0-")
    assert static_member("router", "0", reversed(topics), 8) == name
    others = {
        static_member("router", "1", topics, 8),
        static_member("router", "0", (*topics, VENUES_SCORES), 8),
        static_member("router", "0", topics[:1], 8),
        static_member("router", "0", topics, 4),
    }
    assert len(others - {name}) == 4
