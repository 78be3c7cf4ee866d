"""What keeps a client of aiokafka alive where Kafka ends its connection; a shell.

To write on a connection that is gone raises a RuntimeError on uvloop and nothing on asyncio's own loop, and
aiokafka expects an OSError. So where a write met a connection that Kafka had just reset, the task ended that
was writing; and if it was the one that learns where partitions and coordinators are, whatever waited for it
waited for ever: the client fetched and committed nothing more, and nobody was told (seen with aiokafka 0.14.0
and uvloop 0.23 in one of ten kills of a broker that had work).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiokafka.conn import AIOKafkaConnection, CloseReason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_WRITES: Final = ("send", "_send_sasl_token")


def mend_connections() -> None:
    """Let every connection of this process that is gone be closed, and told, before it is written to."""
    for name, write in _mended.items():
        setattr(AIOKafkaConnection, name, write)


def _careful(write: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    def careful(self: AIOKafkaConnection, *arguments: object, **named: object) -> Awaitable[Any]:
        writer = self._writer
        if writer is not None and writer.is_closing():
            self.close(reason=CloseReason.CONNECTION_BROKEN)  # `write` then raises KafkaConnectionError
        return write(self, *arguments, **named)

    return careful


_mended: Final = {name: _careful(getattr(AIOKafkaConnection, name)) for name in _WRITES}
