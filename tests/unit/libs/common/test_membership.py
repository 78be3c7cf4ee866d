from __future__ import annotations

from libs.common.membership import static_member
from libs.common.topics import ROUTER_CHOICES, ROUTER_COMMANDS, VENUES_SCORES


def test_a_replica_has_one_name_for_the_topics_it_reads_and_another_for_others() -> None:
    topics = (ROUTER_COMMANDS, ROUTER_CHOICES)
    name = static_member("router", "0", topics)
    assert name.startswith("router-0-")
    assert static_member("router", "0", reversed(topics)) == name
    others = {
        static_member("router", "1", topics),
        static_member("router", "0", (*topics, VENUES_SCORES)),
        static_member("router", "0", topics[:1]),
    }
    assert len(others - {name}) == 3
