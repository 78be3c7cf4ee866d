"""The name under which a consumer group knows a process; pure.

Kafka gives a static member that comes back within its session what it had, whatever it subscribes to now.
With partitions of a topic that it no longer reads, aiokafka stands still; those of a topic that is new to it,
it is not given. So a version that reads other topics is another member, and works once the session of the
one before has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.common.topics import Topic


def static_member(group: str, instance: str, topics: Iterable[Topic]) -> str:
    """Return the name of a replica that reads these topics, which stand in it as a digest."""
    names = ",".join(sorted(topic.name for topic in topics))
    return f"{group}-{instance}-{crc32(names.encode()):08x}"
