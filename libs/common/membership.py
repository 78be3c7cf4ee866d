"""The name under which a consumer group knows a process; pure.

Kafka gives a static member that comes back within its session what it had, whatever it subscribes to now.
With partitions of a topic that it no longer reads, aiokafka stands still; those of a topic that is new to it,
or that has more of them now, it is not given. So who reads other topics, or other numbers of partitions, is
another member, and works once the session of the one before has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.common.topics import Topic


def static_member(group: str, instance: str, topics: Iterable[Topic], partitions: int) -> str:
    """Return the name of a replica that reads so many partitions of these topics, told by a digest."""
    read = ",".join((*sorted(topic.name for topic in topics), str(partitions)))
    return f"{group}-{instance}-{crc32(read.encode()):08x}"
